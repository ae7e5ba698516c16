# SPDX-License-Identifier: MIT
"""pluto's lines in a log file (logfile=): waker and witness, as those in the journal are.

The file may be rotated, truncated and deleted. pluto writes on into the one it has open until it
is told otherwise, so the last two files of the name are followed.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.wakers.file_tail import FileTail, UntrustedError
from ipsecwatch.pluto.wakers.inotify import CREATED, MODIFIED, MOVED, Inotify
from ipsecwatch.pluto.wakers.waker import Waker
from ipsecwatch.report import LogLine
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TURN: Final = 0.01
"""Seconds of reading before others get their turn."""
PEACE: Final = 3.0
"""While there is more to read, we rest this many times as long as we have read."""
PATIENCE: Final = 0.5
"""Seconds that settle() reads at most."""

_HIDDEN: Final = ("tmp", "var/tmp", "home", "root", "run/user")
"""Folders that the service's sandbox hides (PrivateTmp=, ProtectHome=)."""

_STAMP: Final = re.compile(rb"[A-Z][a-z]{2} [ \d]\d \d\d:(\d\d):(\d\d(?:\.\d{1,6})?): ", re.ASCII)
"""pluto's time stamp: no year, and no time zone."""
_QUARTER: Final = 900.0
"""Seconds. Time zones, and years, differ by whole quarters of an hour."""
MAX_AGE: Final = 60.0
"""Seconds that a line may be old when it is read, for its stamp to be believed."""


class LogFile(Waker):
    """Follows the file that it is told of, from its end on; a new one of that name from its begin.

    ``hear`` is called with each line that isn't for developers, and says whether it is worth a
    look at pluto; then ``wake`` is called once for all such that came together.
    """

    def __init__(
        self,
        hear: Callable[[LogLine], bool],
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._hear = hear
        self._wake = wake
        self._clock = clock
        self._path: Path | None = None
        self._inotify: Inotify | None = None
        self._folder = -1
        self._tails: list[FileTail] = []
        self._watches: dict[tuple[int, int], int] = {}
        self._more: asyncio.TimerHandle | None = None
        self._rest_until = float("-inf")
        self._worth = 0.0
        self._news = False
        self._was_there = True
        """What can't be read is older than we are: only what comes later is news."""
        self.trouble = ""
        """Why the file isn't read, in one line; "" where it is, or where there is none to read."""
        self.count = 0
        """Lines so far."""

    @property
    def path(self) -> Path | None:
        """The file that is to be followed."""
        return self._path

    @property
    def follows(self) -> bool:
        """Whether a file is being read."""
        return bool(self._tails)

    def open(self) -> bool:
        """Follow the file again after an error; False where there is none."""
        self.follow(self._path, anew=True)
        return self.follows

    def follow(self, path: Path | None, *, anew: bool = False) -> None:
        """Follow this file, and no other; None: none. Say in ``trouble`` why that can't be."""
        if path == self._path and not anew and (path is None or self._inotify is not None):
            if path is not None and not self._tails:
                self._take_up(from_end=self._was_there)
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
        self._take_up(from_end=True)

    def close(self) -> None:
        """Follow no file any more."""
        if self._more is not None:
            self._more.cancel()
            self._more = None
        while self._tails:
            self._drop(self._tails[0])
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    async def settle(self, since: float) -> None:
        """Read what is there now, so that a reason is known before its loss is told.

        Wakes where something was logged after ``since`` (wall clock): no answer tells of that yet.
        """
        try:
            await self._settle(since)
        except Exception as e:
            self.close()
            self.on_error(e)

    async def _settle(self, since: float) -> None:
        begin = time.monotonic()
        end = begin + (PATIENCE if begin >= self._rest_until else TURN)
        while more := self._read():
            if time.monotonic() >= end:
                break
            await asyncio.sleep(0)
        news, self._news = self._news, False
        if news and self._worth > since:
            self._wake()
        if more:
            self._come_back(time.monotonic() - begin)

    def _ready(self) -> None:
        if self._inotify is None or self._path is None:
            return
        new = False
        for number, _, name in self._inotify.events():
            new = new or (number == self._folder and name == self._path.name)
        if new:
            self._take_up(from_end=False)
        if time.monotonic() >= self._rest_until:
            self._again()

    def _take_up(self, *, from_end: bool) -> None:
        """Open the file that has the name now, unless it is the one that had it before."""
        if self._inotify is None or self._path is None:
            return
        try:
            tail = FileTail(self._path, from_end=from_end)
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
        path = clean(str(self._path))
        self._was_there = not isinstance(why, FileNotFoundError)
        if isinstance(why, FileNotFoundError) and _is_hidden(self._path):
            self.trouble = f"{path} can't be seen from here: the service's sandbox hides its folder"
        elif isinstance(why, OSError):
            self.trouble = f"{path} can't be read: {why.strerror}"
        else:
            self.trouble = clean(str(why))

    def _again(self) -> None:
        self._more = None
        begin = time.monotonic()
        if self._read():
            self._come_back(time.monotonic() - begin)
        if self._news:
            self._news = False
            self._wake()

    def _come_back(self, spent: float) -> None:
        self._rest_until = max(self._rest_until, time.monotonic() + PEACE * spent)
        if self._more is None:
            rest = self._rest_until - time.monotonic()
            self._more = asyncio.get_running_loop().call_later(rest, self.guard, self._again)

    def _read(self) -> bool:
        """Read lines for one turn; says whether there may be more."""
        end = time.monotonic() + TURN
        for tail in tuple(self._tails):
            more = True
            while more:
                lines, more = tail.read()
                for line in lines:
                    self._take(line)
                if more and time.monotonic() >= end:
                    return True
        return False

    def _take(self, raw: bytes) -> None:
        stamp = _STAMP.match(raw)
        text = raw[stamp.end() :] if stamp is not None else raw
        if not text or text.startswith(b"| "):
            return
        now = self._clock()
        at = now if stamp is None else _moment(stamp, now)
        line = LogLine(at, text.decode("utf-8", "surrogateescape").partition("\0")[0])
        self.count += 1
        if self._hear(line):
            self._news, self._worth = True, at


def _moment(stamp: re.Match[bytes], now: float) -> float:
    """Return when a line was logged, by its stamp if that is of just now in any time zone."""
    within = int(stamp[1]) % 15 * 60 + float(stamp[2])
    age = (now - within) % _QUARTER
    return now - age if age <= MAX_AGE else now


def _is_hidden(path: Path | None) -> bool:
    """Return whether a file may be there, and only be hidden from a service of systemd's."""
    inside = "INVOCATION_ID" in os.environ
    return inside and any(str(path).startswith(f"/{folder}/") for folder in _HIDDEN)
