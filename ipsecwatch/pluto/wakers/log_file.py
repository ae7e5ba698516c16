# SPDX-License-Identifier: MIT
"""A waker that reads pluto's lines in a log file (logfile=), as journal.py does in the journal.

The file may be rotated, truncated and deleted. After a rotation, pluto writes to the old file until
it is told to open the new one. So the last two files that had the path are followed.
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
"""If lines were logged while nobody read the file, only those of so many last seconds are read. It
is less than a quarter of an hour, because older stamps are ambiguous (log_stamp.py)."""


class LogFile(LogWaker):
    """Reads the new lines of the file whose path follow() gets.

    Any new file with that path is read from its first line.
    """

    def __init__(
        self,
        on_line: Callable[[LogLine], bool],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(on_line, wake)
        self._clock = clock
        self._path: Path | None = None
        self._inotify: Inotify | None = None
        self._folder = -1
        self._tails: list[FileTail] = []
        self._watches: dict[tuple[int, int], int] = {}
        self._was_there = True
        """Whether there was a file with this path at the last attempt to open it. If not, all lines
        of a file that is there later are new."""
        self.since = clock()
        """Lines that were logged at this time (wall clock) or later haven't all been read."""
        self.trouble = ""
        """Why the file that has the path now can't be read, in one line. "": it is read, or there
        is no path. Older files that had the path, and are still open, may be read all the same."""

    @property
    def path(self) -> Path | None:
        """The path of the file to follow, as given to follow(); None: there is none."""
        return self._path

    @property
    def follows(self) -> bool:
        """Whether a file is open and its new lines are read."""
        return bool(self._tails)

    def open(self) -> bool:
        """Follow the file of the same path again after an error. Return whether a file is open."""
        self.follow(self._path, reopen=True)
        return self.follows

    def follow(self, path: Path | None, *, reopen: bool = False) -> None:
        """Follow the file with this path, and no other; None: none. Set ``trouble`` if that fails.

        If ``path`` is the same as before, a file that is open stays open; if none is open, opening
        is tried again. With ``reopen``, or if inotify couldn't be used before, all is set up again.
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
        """Stop following any file; ``path`` stays."""
        self._read_no_more()
        while self._tails:
            self._drop(self._tails[0])
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _ready(self) -> None:
        """Handle inotify's events: open a new file that has the path, and read new lines."""
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
        """Open the file that has the path now, unless it is open. Set ``trouble`` if that fails.

        At most two files stay open: the oldest of three is closed. ``from_end``: read only lines
        that were logged at ``since`` or later, and in the last MAX_AWAY seconds. If false, read all
        lines.
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
        """Set ``trouble`` to why the file can't be opened or watched, or isn't trusted.

        Lines that an untrusted file has now aren't read either if it is trusted later.
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
        """Read lines of all open files until there are no more, or until ``end`` (monotonic).

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
        """Pass on a line of the file, without its stamp, with the time of that stamp.

        If it has no stamp, or one that seems too old, it gets the present time. An empty line, and
        one for pluto's developers, is skipped.
        """
        stamp = log_stamp.STAMP.match(raw)
        text = raw[stamp.end() :] if stamp is not None else raw
        if not text or text.startswith(DEBUGGING):
            return
        now = self._clock()
        oldest = min(MAX_AWAY, max(log_stamp.MAX_AGE, now - self.since))
        at = now if stamp is None else log_stamp.moment(stamp, now, oldest)
        self._pass_on(LogLine(at, text.decode("utf-8", "surrogateescape").partition("\0")[0]))
