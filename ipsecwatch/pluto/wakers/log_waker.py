# SPDX-License-Identifier: MIT
"""What the journal and a log file have in common: lines that are read in turns, and may wake."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.wakers.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.report import LogLine

TURN: Final = 0.01
"""Seconds of reading before others get their turn."""

PEACE: Final = 3.0
"""While there is more to read, we rest this many times as long as we have read: a quarter of a
processor is what the log of a pluto that debugs may cost."""

PATIENCE: Final = 0.5
"""Seconds that settle() reads at most, while pluto may log faster than we read."""

DEBUGGING: Final = b"| "
"""How a line begins that pluto logs for its developers: thousands a second, and evidence of
nothing."""


class LogWaker(Waker):
    """Reads a log as it grows.

    ``hear`` is called with each line that isn't for developers, and says whether it is worth a look
    at pluto; then ``wake`` is called once for all such that came together.
    """

    def __init__(self, hear: Callable[[LogLine], bool], wake: Callable[[], None]) -> None:
        super().__init__()
        self._hear = hear
        self._wake = wake
        self._more: asyncio.TimerHandle | None = None
        self._rest_until = float("-inf")
        """Until then (monotonic) others have the processor, who may have more to do."""
        self._worth = 0.0
        """When the last line was logged that is worth a look."""
        self._news = False
        """There was one since the last call of ``wake``."""
        self._last = 0.0
        self.count = 0
        """Lines so far. None at all: pluto may log elsewhere."""

    @property
    def last(self) -> float | None:
        """When the last line was logged that was read, on the wall clock; None: there was none."""
        return self._last or None

    @abstractmethod
    def _read_until(self, end: float) -> bool:
        """Read lines until there are no more, or until ``end`` (monotonic); say if there may be."""

    def _read(self) -> bool:
        """Read lines for one turn; says whether there may be more."""
        return self._read_until(time.monotonic() + TURN)

    def _notice(self) -> None:
        """Learn what has changed, where nobody tells of it while settle() reads."""

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
        self._notice()
        begin = time.monotonic()
        # Where there is no end to it, a question a second must not make it all that we do.
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

    def _again(self) -> None:
        self._more = None
        begin = time.monotonic()
        if self._read():
            self._come_back(time.monotonic() - begin)
        if self._news:
            self._news = False
            self._wake()

    def _come_back(self, spent: float = 0.0) -> None:
        """Read on after a rest that fits the time that has been spent."""
        self._rest_until = max(self._rest_until, time.monotonic() + PEACE * spent)
        if self._more is None:
            rest = max(0.0, self._rest_until - time.monotonic())
            self._more = asyncio.get_running_loop().call_later(rest, self.guard, self._again)

    def _read_no_more(self) -> None:
        if self._more is not None:
            self._more.cancel()
            self._more = None

    def _take(self, line: LogLine) -> None:
        """Pass a line on, and keep in mind whether it is worth a look."""
        if self._note(line):
            self._news, self._worth = True, line.at

    def _note(self, line: LogLine) -> bool:
        self.count, self._last = self.count + 1, max(self._last, line.at)
        return self._hear(line)
