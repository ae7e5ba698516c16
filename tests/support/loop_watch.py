# SPDX-License-Identifier: MIT
"""Checks that code neither blocks the event loop nor leaves descriptors or processes behind."""

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
    """The longest time for which the event loop was blocked, not counting waits for a processor."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, queued = loop.time() + BEAT, _queued()
            await asyncio.sleep(BEAT)
            late = loop.time() - due - (_queued() - queued)
            self.worst = max(self.worst, late)


def _queued() -> float:
    """Return for how many seconds this thread has waited for a processor; 0.0: not known."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def descriptors() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    return {fd: what for fd, what in found.items() if not what.startswith("/proc/")}


def children() -> set[str]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


@contextlib.asynccontextmanager
async def no_harm(limit: float = 0.05) -> AsyncGenerator[Lag]:
    """Assert that in this context the loop isn't blocked for ``limit`` seconds at once.

    Assert also that no descriptor and no child process is left at its end. Yield the measured Lag.
    """
    gc.collect()
    before, born, lag = descriptors(), children(), Lag()
    meter = asyncio.create_task(lag.measure())
    await asyncio.sleep(2 * BEAT)
    try:
        yield lag
    finally:
        await asyncio.sleep(2 * BEAT)  # or the last hold-up would go unseen
        meter.cancel()
    gc.collect()
    assert descriptors() == before
    assert children() <= born
    assert lag.worst < limit
