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
"""Seconds for which is read before the event loop gets its turn."""

PEACE: Final = 3.0
"""While there is more to read, reading pauses after each turn for this many times the turn's
length. So the log of a pluto that debugs costs at most a quarter of a processor."""

PATIENCE: Final = 0.5
"""Seconds for which catch_up() reads at most, since pluto may log faster than we can read."""

DEBUGGING: Final = b"| "
"""How lines begin that pluto logs for its developers (plutodebug=). There may be thousands a
second. They are skipped."""


class LogWaker(Waker):
    """Reads a log as it grows.

    ``on_line`` is called with each line that is believed to be pluto's, or systemd's about its
    unit; lines for pluto's developers are left out. It returns True if pluto should
    be polled because of the line. If so, ``wake`` is called, once for all such lines of a turn.
    """

    def __init__(self, on_line: Callable[[LogLine], bool], wake: Callable[[], None]) -> None:
        super().__init__()
        self._on_line = on_line
        self._wake = wake
        self._more: asyncio.TimerHandle | None = None
        self._rest_until = float("-inf")
        """Nothing is read before this time (monotonic), so that other processes get the
        processor."""
        self._worth = 0.0
        """When the last line was logged because of which pluto should be polled (wall clock)."""
        self._news = False
        """Whether there was such a line since ``wake`` was last considered."""
        self._last = 0.0
        self.count = 0
        """How many lines were passed to ``on_line`` since the start. 0: pluto may log to another
        place."""

    @property
    def last(self) -> float | None:
        """When the newest line that was read was logged (wall clock); None: none was read."""
        return self._last or None

    @abstractmethod
    def _read_until(self, end: float) -> bool:
        """Read lines until there are no more, or until ``end`` (monotonic). Pass them on.

        Return whether there may be more.
        """

    def _read(self) -> bool:
        """Read lines for one turn. Return whether there may be more."""
        return self._read_until(time.monotonic() + TURN)

    def _notice(self) -> None:
        """Make the reader notice new lines before the event loop does, for catch_up().

        Here, do nothing: that is enough where _read_until() finds new lines by itself.
        """

    async def catch_up(self, since: float) -> None:
        """Read what was logged until now, so that a loss is announced with its reason.

        Stop after PATIENCE seconds; while reading has to pause (PEACE), stop after one turn. Call
        ``wake`` if pluto should be polled because of a line that was logged after ``since`` (wall
        clock), when pluto was asked: its answer may not show that change yet. If reading fails,
        close the log and call ``on_error``.
        """
        try:
            await self._catch_up(since)
        except Exception as e:
            self.close()
            self.on_error(e)

    async def _catch_up(self, since: float) -> None:
        """Read what was logged until now, as catch_up() does. Raise what reading raises."""
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
        """Read for one turn, and schedule the next one if there may be more.

        Call ``wake`` if pluto should be polled because of a line.
        """
        self._more = None
        begin = time.monotonic()
        if self._read():
            self._come_back(time.monotonic() - begin)
        if self._news:
            self._news = False
            self._wake()

    def _come_back(self, spent: float = 0.0) -> None:
        """Schedule the next turn, after a pause of PEACE times the seconds ``spent`` on reading."""
        self._rest_until = max(self._rest_until, time.monotonic() + PEACE * spent)
        if self._more is None:
            rest = max(0.0, self._rest_until - time.monotonic())
            self._more = asyncio.get_running_loop().call_later(rest, self.guard, self._again)

    def _read_no_more(self) -> None:
        if self._more is not None:
            self._more.cancel()
            self._more = None

    def _pass_on(self, line: LogLine) -> None:
        """Pass a line to ``on_line``. If that returns True, record that ``wake`` must be called."""
        if self._note(line):
            self._news, self._worth = True, line.at

    def _note(self, line: LogLine) -> bool:
        """Count a line and pass it to ``on_line``. Return whether pluto should be polled then."""
        self.count, self._last = self.count + 1, max(self._last, line.at)
        return self._on_line(line)
