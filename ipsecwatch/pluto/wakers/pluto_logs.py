# SPDX-License-Identifier: MIT
"""Read pluto's log in the journal, in a file, or in both, and pass on each line once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ipsecwatch.pluto.query import Command, Via
from ipsecwatch.pluto.wakers.journal import PlutoLog
from ipsecwatch.pluto.wakers.log_file import LogFile
from ipsecwatch.pluto.wakers.two_logs import TwoLogs
from ipsecwatch.pluto.wakers.witnesses import pids_of, sees_our_files
from ipsecwatch.report import JOURNALD

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.config import Settings
    from ipsecwatch.pluto.query import Answer
    from ipsecwatch.report import LogLine


class OnLine(Protocol):
    """A callback for lines of pluto's log."""

    def __call__(self, line: LogLine, *, from_file: bool) -> bool:
        """Handle a line. Return whether pluto should be polled because of it.

        ``from_file``: it comes from a log file, else from the journal.
        """


class PlutoLogs:
    """Reads pluto's log in the journal, and in the file that the settings or pluto's answers name.

    A line that is in both is passed on once. ``on_line`` gets each line, and ``wake`` is called as
    in LogWaker.
    """

    def __init__(self, settings: Settings, on_line: OnLine, wake: Callable[[], None]) -> None:
        self._settings = settings
        self._on_line = on_line
        match = settings.journal_match
        self.journal = PlutoLog(settings.unit, self.on_journal_line, wake, match=match)
        self.file = LogFile(self._on_file_line, wake)
        self._two_logs = TwoLogs()

    @property
    def count(self) -> int:
        """How many lines have been read from both logs since the start.

        One that is in both counts twice. Lines for pluto's developers don't count.
        """
        return self.journal.count + self.file.count

    def open_file(self) -> None:
        """Follow the file that the settings name, else the one followed before an error."""
        if self._settings.log_file:
            self.file.follow(Path(self._settings.log_file))
        else:
            self.file.open()

    def close(self) -> None:
        """Stop reading both logs."""
        self.journal.close()
        self.file.close()

    async def catch_up(self, since: float) -> None:
        """Read what pluto has logged until now, in both logs; see LogWaker.catch_up()."""
        await self.journal.catch_up(since)
        await self.file.catch_up(since)

    def answered(self, answer: Answer) -> set[int]:
        """Record which pluto answered: only its lines in the journal are believed from now on.

        Return the process ids with which it may log; empty: they aren't known. They never are after
        an answer through whack. After whack's answer to STATUS, lines of pluto's unit are believed;
        its answer to another command changes nothing.
        """
        pids: set[int] = set()
        if answer.via is Via.SOCKET:
            pids = pids_of(Path(self._settings.control_socket), answer.pid)
            self.journal.answered(pids)
        elif answer.command is Command.STATUS:  # through whack: its process can't be identified
            self.journal.answered(())
        return pids

    async def follow(self, answer: Answer, named: str | None, at: float) -> None:
        """Follow the log file of the settings, or if they name none, the one to which pluto logs.

        ``named`` is the file that pluto's answer names. "": pluto logs to no file, so none is
        followed. None: the answer doesn't say, so the same file as before is followed. For a pluto
        in a container, and after an answer through whack, ``named`` isn't used and none is
        followed, since the path may not be one of ours. If no file was open before, the lines of
        this one are read at once: they may have the reason for what the answer shows. ``at``: when
        pluto answered (wall clock).
        """
        follows = self.file.follows
        if self._settings.log_file:
            self.file.follow(Path(self._settings.log_file))
        elif named == "" or not sees_our_files(Path(self._settings.control_socket), answer.pid):
            self.file.follow(None)
        elif named is not None:
            self.file.follow(Path(named))
        if self.file.follows and not follows:
            await self.file.catch_up(at)

    def on_journal_line(self, line: LogLine) -> bool:
        """Pass on a line of the journal, unless the same line of the file was passed on before.

        Return whether pluto should be polled because of it.
        """
        if line.identifier in ("systemd", JOURNALD):
            return self._on_line(line, from_file=False)
        return self._pass_on_once(line, from_file=False)

    def _on_file_line(self, line: LogLine) -> bool:
        return self._pass_on_once(line, from_file=True)

    def _pass_on_once(self, line: LogLine, *, from_file: bool) -> bool:
        """Pass on a line, unless the same line of the other log was passed on before.

        Return whether pluto should be polled because of it.
        """
        echo = self._two_logs.is_echo(line, from_file=from_file)
        return not echo and self._on_line(line, from_file=from_file)
