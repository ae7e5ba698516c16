# SPDX-License-Identifier: MIT
"""A waker that reads pluto's lines in a log file (logfile=), as journal.py does in the journal.

The file may be rotated, truncated and deleted. pluto keeps writing to the file that it has open
until it is told to open the new one, so the last two files of that name are followed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.sandbox import hidden_folder
from ipsecwatch.pluto.wakers import log_stamp
from ipsecwatch.pluto.wakers.file_tail import FileTail, UntrustedError
from ipsecwatch.pluto.wakers.inotify import CREATED, MODIFIED, MOVED, Inotify
from ipsecwatch.pluto.wakers.log_waker import DEBUGGING, LogWaker
from ipsecwatch.report import LogLine
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_AWAY: Final = 840.0
"""Seconds: lines that were logged longer ago than this while nobody read the file aren't read. It
is less than a quarter of an hour, after which stamps are ambiguous (log_stamp.py)."""


class LogFile(LogWaker):
    """Follows the file that follow() names, and any new file of that name from its first line."""

    def __init__(
        self,
        hear: Callable[[LogLine], bool],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(hear, wake)
        self._clock = clock
        self._path: Path | None = None
        self._inotify: Inotify | None = None
        self._folder = -1
        self._tails: list[FileTail] = []
        self._watches: dict[tuple[int, int], int] = {}
        self._was_there = True
        """False: there was no such file at the last try, so that all lines of one are new."""
        self.since = clock()
        """Lines that were logged from then on (wall clock) are still to be read."""
        self.trouble = ""
        """Why the file that has the path now can't be read, in one line; "": it is read, or none is
        to be read. Older files of that name, which are open, may still be read."""

    @property
    def path(self) -> Path | None:
        """The path that follow() named; None: none."""
        return self._path

    @property
    def follows(self) -> bool:
        """Whether a file is being read."""
        return bool(self._tails)

    def open(self) -> bool:
        """Follow the file again after an error. Return whether a file is being read."""
        self.follow(self._path, reopen=True)
        return self.follows

    def follow(self, path: Path | None, *, reopen: bool = False) -> None:
        """Follow the file of this path and no other; None: no file. Set ``trouble`` if that fails.

        If the path is the same as before, a file that is open stays open, and one that isn't is
        tried again. But all is set up again if ``reopen``, or if inotify couldn't be used before.
        """
        if path == self._path and not reopen and (path is None or self._inotify is not None):
            if path is not None and not self._tails:
                self._open_tail(from_end=self._was_there)
            return
        self.close()
        self._path, self.trouble = path, ""
        if path is None:
            return
        try:
            self._inotify = Inotify()
            self._folder = self._inotify.add(path.parent, CREATED | MOVED)
        except (OSError, AttributeError) as e:
            self._refuse(e)
            self.close()
            return
        asyncio.get_running_loop().add_reader(self._inotify.fd, self.guard, self._ready)
        self._open_tail(from_end=True)
        if self._tails:
            self._come_back()

    def close(self) -> None:
        """Stop following."""
        self._read_no_more()
        while self._tails:
            self._drop(self._tails[0])
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _ready(self) -> None:
        """Handle inotify's events: open a new file of that name, and read the added lines."""
        if self._inotify is None or self._path is None:
            return
        new = False
        for number, _, name in self._inotify.events():
            new = new or (number == self._folder and name == self._path.name)
        if new:
            self._open_tail(from_end=False)
        if time.monotonic() >= self._rest_until:
            self._again()

    def _open_tail(self, *, from_end: bool) -> None:
        """Open the file that has the path now, unless it is open already.

        Of two that were open before, the older one is closed. ``from_end``: read only the lines
        from ``since`` on, at most MAX_AWAY seconds back; else read all. Set ``trouble`` if that
        fails.
        """
        if self._inotify is None or self._path is None:
            return
        now = self._clock()
        since = min(now, max(self.since, now - MAX_AWAY))
        try:
            tail = FileTail(self._path, since=since if from_end else None)
        except (OSError, UntrustedError) as e:
            self._refuse(e)
            return
        if any(t.id == tail.id for t in self._tails):
            tail.close()
            return
        try:
            self._watches[tail.id] = self._inotify.add(tail.watched, MODIFIED)
        except OSError as e:
            tail.close()
            self._refuse(e)
            return
        self.trouble = ""
        self._tails.append(tail)
        if len(self._tails) > 2:
            self._drop(self._tails[0])

    def _drop(self, tail: FileTail) -> None:
        self._tails.remove(tail)
        number = self._watches.pop(tail.id, None)
        if self._inotify is not None and number is not None:
            self._inotify.remove(number)
        tail.close()

    def _refuse(self, why: Exception) -> None:
        """Set ``trouble``, because the file can't be opened or watched, or isn't trusted.

        What an untrusted file has now isn't read later, either.
        """
        if isinstance(why, UntrustedError):
            self.since = self._clock()  # its lines so far are never believed
        path = clean(str(self._path))
        self._was_there = not isinstance(why, FileNotFoundError)
        if isinstance(why, FileNotFoundError) and (folder := hidden_folder(str(self._path))):
            self.trouble = f"{path} can't be seen from here: the service's sandbox hides {folder}"
        elif isinstance(why, OSError):
            self.trouble = f"{path} can't be read: {why.strerror}"
        else:
            self.trouble = clean(str(why))

    def _read_until(self, end: float) -> bool:
        """Read lines of all followed files until there are no more, or until ``end``.

        Return whether there may be more.
        """
        now = self._clock()
        for tail in tuple(self._tails):
            more = True
            while more:
                lines, more = tail.read()
                for line in lines:
                    self._pass_on_raw(line)
                if more and time.monotonic() >= end:
                    return True
        if self._tails:
            self.since = now
        return False

    def _pass_on_raw(self, raw: bytes) -> None:
        """Pass on a line with the time of its stamp.

        That is the present time where it has no stamp, or one that is too old to be believed. Empty
        lines, and those for developers, are skipped.
        """
        stamp = log_stamp.STAMP.match(raw)
        text = raw[stamp.end() :] if stamp is not None else raw
        if not text or text.startswith(DEBUGGING):
            return
        now = self._clock()
        oldest = min(MAX_AWAY, max(log_stamp.MAX_AGE, now - self.since))
        at = now if stamp is None else log_stamp.moment(stamp, now, oldest)
        self._pass_on(LogLine(at, text.decode("utf-8", "surrogateescape").partition("\0")[0]))
