# SPDX-License-Identifier: MIT
"""The base class of the wakers for the journal and for a log file, which read in short turns."""

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
"""Seconds of reading, after which the event loop gets its turn."""

PEACE: Final = 3.0
"""While there is more to read, reading pauses for this many times as long as it took: the log of a
pluto that debugs costs at most a quarter of a processor."""

PATIENCE: Final = 0.5
"""Seconds that catch_up() reads at most, since pluto may log faster than we read."""

DEBUGGING: Final = b"| "
"""The beginning of lines that pluto logs for its developers (plutodebug=). There may be thousands a
second, and they are skipped."""


class LogWaker(Waker):
    """Reads a log as it grows.

    ``hear`` is called with each line that is believed to be pluto's (or systemd's about its unit)
    and isn't for developers. It returns whether pluto should be polled because of the line. Then
    ``wake`` is called, once for all such lines of one turn.
    """

    def __init__(self, hear: Callable[[LogLine], bool], wake: Callable[[], None]) -> None:
        super().__init__()
        self._hear = hear
        self._wake = wake
        self._more: asyncio.TimerHandle | None = None
        self._rest_until = float("-inf")
        """Until then (monotonic) nothing is read, so that others have the processor."""
        self._worth = 0.0
        """When the last line was logged that calls for a poll (wall clock)."""
        self._news = False
        """There was such a line, for which it isn't decided yet whether ``wake`` is called."""
        self._last = 0.0
        self.count = 0
        """Lines passed to ``hear`` since the start. 0: pluto may log elsewhere."""

    @property
    def last(self) -> float | None:
        """When the newest line was logged that was read (wall clock); None: none was read."""
        return self._last or None

    @abstractmethod
    def _read_until(self, end: float) -> bool:
        """Read lines until there are no more, or until ``end`` (monotonic).

        Return whether there may be more.
        """

    def _read(self) -> bool:
        """Read lines for one turn. Return whether there may be more."""
        return self._read_until(time.monotonic() + TURN)

    def _notice(self) -> None:
        """Check for new lines. Called by catch_up(), before the event loop may have done so."""

    async def catch_up(self, since: float) -> None:
        """Read what was logged until now, so that a reason is known before the loss is announced.

        Stop after PATIENCE, or during a rest (PEACE) after one turn. Call ``wake`` if a line that
        calls for a poll was logged after ``since`` (wall clock), when pluto was asked: its answer
        may not show that yet. After an error, close the log and call
        ``on_error``.
        """
        try:
            await self._catch_up(since)
        except Exception as e:
            self.close()
            self.on_error(e)

    async def _catch_up(self, since: float) -> None:
        """Read what was logged until now, as catch_up() does, but don't catch errors."""
        self._notice()
        begin = time.monotonic()
        # During a rest only one turn is read, so that a poll each second causes no constant work.
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
        """Read for one turn, and schedule the next. Call ``wake`` if a line calls for a poll."""
        self._more = None
        begin = time.monotonic()
        if self._read():
            self._come_back(time.monotonic() - begin)
        if self._news:
            self._news = False
            self._wake()

    def _come_back(self, spent: float = 0.0) -> None:
        """Schedule the next turn after a rest of PEACE times the seconds that reading took."""
        self._rest_until = max(self._rest_until, time.monotonic() + PEACE * spent)
        if self._more is None:
            rest = max(0.0, self._rest_until - time.monotonic())
            self._more = asyncio.get_running_loop().call_later(rest, self.guard, self._again)

    def _read_no_more(self) -> None:
        if self._more is not None:
            self._more.cancel()
            self._more = None

    def _pass_on(self, line: LogLine) -> None:
        """Pass a line to ``hear``, and note whether pluto should be polled because of it."""
        if self._note(line):
            self._news, self._worth = True, line.at

    def _note(self, line: LogLine) -> bool:
        """Count a line and pass it to ``hear``. Return whether pluto should be polled for it."""
        self.count, self._last = self.count + 1, max(self._last, line.at)
        return self._hear(line)
