# SPDX-License-Identifier: MIT
"""pluto's log wherever it is: in the journal, in a file, or in both."""

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


class Hear(Protocol):
    """Takes a line, and says whether it is worth a look at pluto."""

    def __call__(self, line: LogLine, *, from_file: bool) -> bool:
        """Take a line."""


class PlutoLogs:
    """Reads pluto's log where the settings and its answers say that it is, each line once."""

    def __init__(self, settings: Settings, hear: Hear, wake: Callable[[], None]) -> None:
        self._settings = settings
        self._hear = hear
        match = settings.journal_match
        self.journal = PlutoLog(settings.unit, self.hear_journal, wake, match=match)
        self.file = LogFile(self._hear_file, wake)
        self._two_logs = TwoLogs()

    @property
    def count(self) -> int:
        """Lines so far."""
        return self.journal.count + self.file.count

    def open_file(self) -> None:
        """Follow the file that is set, or the one that was followed before an error."""
        if self._settings.log_file:
            self.file.follow(Path(self._settings.log_file))
        else:
            self.file.open()

    def close(self) -> None:
        """Read no more."""
        self.journal.close()
        self.file.close()

    async def settle(self, since: float) -> None:
        """Read what pluto has logged until now; see LogWaker."""
        await self.journal.settle(since)
        await self.file.settle(since)

    def answered(self, answer: Answer) -> set[int]:
        """Learn whose log it is by who has answered; return its process ids, none: nobody knows."""
        pids: set[int] = set()
        if answer.via is Via.SOCKET:
            pids = pids_of(Path(self._settings.control_socket), answer.pid)
            self.journal.answered(pids)
        elif answer.command is Command.STATUS:  # there is no way to know; other questions don't ask
            self.journal.answered(())
        return pids

    async def follow(self, answer: Answer, named: str | None, at: float) -> None:
        """Follow the file that pluto logs to, if it is known, and is of our file system.

        ``named`` by its answer: "" is none, None isn't told. Of a file that wasn't followed before,
        what it has is read at once: the reason for what the answer shows may be there. ``at`` is
        when pluto answered (wall clock).
        """
        follows = self.file.follows
        if self._settings.log_file:
            self.file.follow(Path(self._settings.log_file))
        elif named == "" or not sees_our_files(Path(self._settings.control_socket), answer.pid):
            self.file.follow(None)
        elif named is not None:
            self.file.follow(Path(named))
        if self.file.follows and not follows:
            await self.file.settle(at)

    def hear_journal(self, line: LogLine) -> bool:
        """Pass a line of the journal on, unless the file had it."""
        if line.identifier in ("systemd", JOURNALD):
            return self._hear(line, from_file=False)
        return self._hear_once(line, from_file=False)

    def _hear_file(self, line: LogLine) -> bool:
        return self._hear_once(line, from_file=True)

    def _hear_once(self, line: LogLine, *, from_file: bool) -> bool:
        echo = self._two_logs.is_echo(line, from_file=from_file)
        return not echo and self._hear(line, from_file=from_file)
