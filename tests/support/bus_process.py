# SPDX-License-Identifier: MIT
"""The service's face on the bus in a process of its own, so that it can be measured and attacked.

A test says what happens; the process tells its memory and for how long its loop was blocked.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import multiprocessing
import os
import time
from asyncio.events import Handle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import Service, serving
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True, slots=True)
class Figures:
    """How the service is, and how it was since the last time it was asked."""

    memory: int
    """Bytes of it that are in memory."""
    blocked: float
    """The longest time that one step of the loop took, in seconds."""
    busy: float
    """The same in seconds of processor time: other programs don't count."""
    took: float
    """Seconds that what was asked for took."""
    serial: int
    backlog: int


class Resident:
    """Runs while its context lasts, on the bus that this process takes for the system bus."""

    def __init__(self) -> None:
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        self._process = fork.Process(target=_live, args=(self._pipe, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()
        self._process.close()

    async def look(self, count: int) -> Figures:
        """Have the first look show so many tunnels, all up."""
        return await self._ask("look", count)

    async def become(self, state: TunnelState, count: int | None = None) -> Figures:
        """Have so many of them, or all, become so."""
        return await self._ask("become", state, count)

    async def figures(self) -> Figures:
        return await self._ask("rest")

    async def _ask(self, *what: object) -> Figures:
        self._pipe.send(what)
        figures: Figures = await asyncio.to_thread(self._pipe.recv)
        return figures


class Gauge:
    """Measures each step of a loop."""

    def __init__(self) -> None:
        self.blocked = self.busy = 0.0
        self._run = Handle._run

        def measured(handle: Handle) -> None:
            wall, processor = time.perf_counter(), time.thread_time()
            self._run(handle)
            self.blocked = max(self.blocked, time.perf_counter() - wall)
            self.busy = max(self.busy, time.thread_time() - processor)

        Handle._run = measured  # type: ignore[assignment,method-assign]

    def remove(self) -> None:
        """Measure no more."""
        Handle._run = self._run  # type: ignore[method-assign]


def _live(parents_end: Connection, pipe: Connection) -> None:
    parents_end.close()
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    gc.freeze()  # what the test's process has is not the service's
    gauge = Gauge()
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[Any] = asyncio.Queue()

    def read() -> None:
        try:
            asked.put_nowait(pipe.recv())
        except EOFError:
            loop.remove_reader(pipe.fileno())
            asked.put_nowait(None)

    async with serving() as service:
        loop.add_reader(pipe.fileno(), read)
        pipe.send(None)
        while (what := await asked.get()) is not None:
            began = time.perf_counter()
            await _do(service, *what)
            took = time.perf_counter() - began
            connection = service.bus._connection
            backlog = connection.backlog if connection else 0
            pipe.send(Figures(_memory(), gauge.blocked, gauge.busy, took, service.serial, backlog))
            gauge.blocked = gauge.busy = 0.0


async def _do(service: Service, what: str, *how: Any) -> None:  # noqa: ANN401
    if what == "look":
        await service.look(*(tunnel(f"tunnel-{n}", TunnelState.UP) for n in range(how[0])))
    elif what == "become":
        names = list(service.tunnels)[: how[1]]
        await service.become(*(tunnel(n, how[0]) for n in names), reason=Reason.PEER_DEAD)


def _memory() -> int:
    # What is free already but still kept by the allocator is no growth.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
