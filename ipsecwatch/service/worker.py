# SPDX-License-Identifier: MIT
"""Parse pluto's answers and run the tracker, in a thread if that takes long.

Parsing the status of thousands of tunnels and comparing it with the last one takes tenths of a
second, in which the event loop must go on answering callers.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ipsecwatch.libreswan.status import Reader
from ipsecwatch.pluto.query import Command

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.pluto.query import Answer
    from ipsecwatch.report import LogLine, Poll, Report
    from ipsecwatch.tracking.tracker import Tracker
    from ipsecwatch.tunnel import Transition

LARGE: Final = 256 << 10
"""Characters. A longer answer of pluto is parsed in a thread."""
MANY: Final = 100
"""Number of tunnels, or of connections in a report. If there are more, the tracker runs in a
thread."""
SWITCH: Final = 0.0005
"""Seconds for which a thread may keep the interpreter lock while another thread waits for it. With
Python's default of 5 ms the event loop would wait that long after each system call."""

YOUNG: Final = 20_000
"""Number of new objects after which the garbage collector runs. The objects of thousands of tunnels
have no cycles, and looking through them stops all threads for long."""

T = TypeVar("T")


class Worker:
    """Parses pluto's answers and runs the tracker, each in a thread if there is much to do.

    Only one call of the tracker's methods runs at a time; the others wait.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._reader = Reader()
        self._states = Reader()
        self._turn = asyncio.Lock()
        self._held_lines: list[LogLine] = []

    def add_log_line(self, line: LogLine) -> None:
        """Pass a log line to the tracker. If the tracker is busy, do so when it is done."""
        if self._turn.locked():
            self._held_lines.append(line)
        else:
            self._tracker.add_log_line(line)

    async def read(self, answer: Answer) -> Report:
        """Parse an answer of pluto, in a thread if it is longer than LARGE. Return the report."""
        reader = self._reader if answer.command is Command.STATUS else self._states
        large = len(answer.text) > LARGE
        return await _call(reader.read, answer.text, answer.command, threaded=large)

    async def observe(self, poll: Poll) -> list[Transition]:
        """Pass a poll to the tracker. Return all transitions that it brings.

        Those about which subscribers get no signal are included.
        """
        loaded = len(poll.report.connections) if poll.report is not None else 0
        return await self._alone(self._tracker.observe, poll, size=loaded)

    async def explain(self, changes: list[Transition]) -> list[Transition]:
        """Return transitions of observe() again, with reasons that the log has shown since then.

        Only losses whose reason wasn't known can get one. All others are returned as they were.
        """
        return await self._alone(self._tracker.explain, changes, size=len(changes))

    async def save(self) -> dict[str, Any]:
        """Return the state of all tunnels as plain values, for the state file (Tracker.save())."""
        return await self._alone(self._tracker.save)

    async def _alone(self, work: Callable[..., T], *args: object, size: int = 0) -> T:
        """Call ``work``, a method of the tracker, when no other one runs. Return its result.

        ``work`` runs in a thread if ``size``, or the number of tunnels, is more than MANY. Log
        lines that came meanwhile (add_log_line()) are passed to the tracker afterwards.
        """
        async with self._turn:
            many = max(size, len(self._tracker.tunnels)) > MANY
            try:
                return await _call(work, *args, threaded=many)
            finally:
                for line in self._held_lines:
                    self._tracker.add_log_line(line)
                self._held_lines.clear()


async def _call(work: Callable[..., T], *args: object, threaded: bool) -> T:
    """Call a function and return its result.

    ``threaded``: call it in a thread, and let the event loop run other tasks meanwhile.
    """
    return await asyncio.to_thread(work, *args) if threaded else work(*args)


def share_the_processor() -> None:
    """Make this process's threads switch more often (SWITCH), and its garbage collector run rarely.

    The garbage collector never looks at objects that exist at the time of this call. Call it only
    in the service's own process.
    """
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
