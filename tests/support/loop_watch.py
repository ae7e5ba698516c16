# SPDX-License-Identifier: MIT
"""Watching that something neither holds up the loop nor leaves anything behind."""

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
    """How long the loop was held up, at worst; waiting for a processor doesn't count."""

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
    """Seconds that this thread has been ready and had no processor (0.0 where it isn't told)."""
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
    """Hold that the loop isn't held up for longer, and no descriptor and no process stays."""
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
