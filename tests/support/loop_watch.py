# SPDX-License-Identifier: MIT
"""Checks that code doesn't block the event loop, and leaves no descriptors or processes behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

BEAT = 0.005


class Lag:
    """The longest time in seconds for which the event loop was blocked.

    The time in which this thread waited for a processor isn't counted.
    """

    def __init__(self) -> None:
        self.worst = 0.0

    async def measure(self) -> None:
        """Measure until cancelled, with a timer of BEAT seconds."""
        loop = asyncio.get_running_loop()
        while True:
            due, queued = loop.time() + BEAT, _queued()
            await asyncio.sleep(BEAT)
            late = loop.time() - due - (_queued() - queued)
            self.worst = max(self.worst, late)


def _queued() -> float:
    """Return for how many seconds this thread has waited for a processor so far; 0.0 if unknown."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def descriptors() -> dict[str, str]:
    """Return the open descriptors of this process and what they are, except files below /proc."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return {fd: what for fd, what in found.items() if not what.startswith("/proc/")}


def children() -> set[str]:
    """Return the process ids of this process's children."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


@contextlib.asynccontextmanager
async def no_harm(limit: float = 0.05) -> AsyncGenerator[Lag]:
    """Assert that nothing blocks the event loop for ``limit`` seconds while the context lasts.

    Assert also that at its end the same descriptors are open as before, and that there is no new
    child process. Yield the Lag, which is still being measured.
    """
    gc.collect()
    before, born, lag = descriptors(), children(), Lag()
    meter = asyncio.create_task(lag.measure())
    await asyncio.sleep(2 * BEAT)
    try:
        yield lag
    finally:
        await asyncio.sleep(2 * BEAT)  # so that a block at the very end is measured, too
        meter.cancel()
    gc.collect()
    assert descriptors() == before
    assert children() <= born
    assert lag.worst < limit
