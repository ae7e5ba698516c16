# SPDX-License-Identifier: MIT
"""What polls say, worked out: a small answer on the spot, a large one in a thread.

Reading the status of thousands of tunnels and comparing it with the last one takes tenths of a
second. The loop has callers to answer meanwhile.
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
"""Characters of an answer from which on it is read in a thread."""
MANY: Final = 100
"""Tunnels from which on they are looked through in a thread."""
SWITCH: Final = 0.0005
"""Seconds that a thread may go on where another one waits. Python's own 5 ms are too many: the
loop would have to wait that long after each call of the kernel's."""

YOUNG: Final = 20_000
"""Objects more than before after which the collector looks through the new ones. What thousands of
tunnels are made of takes it long, holds up everybody, and has no cycles."""

T = TypeVar("T")


class Worker:
    """A tracker and its readers, for whom only one thing happens at a time."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._reader = Reader()
        self._states = Reader()
        self._turn = asyncio.Lock()
        self._unheard: list[LogLine] = []

    def hear(self, line: LogLine) -> None:
        """Take note of a line of the log, as soon as the tracker can listen."""
        if self._turn.locked():
            self._unheard.append(line)
        else:
            self._tracker.hear(line)

    async def read(self, answer: Answer) -> Report:
        """Read an answer."""
        reader = self._reader if answer.command is Command.STATUS else self._states
        large = len(answer.text) > LARGE
        return await _away(reader.read, answer.text, answer.command, threaded=large)

    async def observe(self, poll: Poll) -> list[Transition]:
        """Have the tracker take a poll; answers what has changed."""
        loaded = len(poll.report.connections) if poll.report is not None else 0
        return await self._alone(self._tracker.observe, poll, size=loaded)

    async def explain(self, changes: list[Transition]) -> list[Transition]:
        """Have it tell these again, with what the log has told since."""
        return await self._alone(self._tracker.explain, changes, size=len(changes))

    async def save(self) -> dict[str, Any]:
        """Give what is to be remembered while the service is away."""
        return await self._alone(self._tracker.save)

    async def _alone(self, work: Callable[..., T], *args: object, size: int = 0) -> T:
        async with self._turn:
            many = max(size, len(self._tracker.tunnels)) > MANY
            try:
                return await _away(work, *args, threaded=many)
            finally:
                for line in self._unheard:
                    self._tracker.hear(line)
                self._unheard.clear()


async def _away(work: Callable[..., T], *args: object, threaded: bool) -> T:
    return await asyncio.to_thread(work, *args) if threaded else work(*args)


def share_the_processor() -> None:
    """Have threads take turns at short notice, and spare the collector what stays for good.

    For a process that does nothing else.
    """
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
