# SPDX-License-Identifier: MIT
"""Runs the service's bus side in a process of its own, so that it can be measured and attacked.

A test asks for changes of tunnels; the process reports its memory, and for how long its event loop
was blocked.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import Service, serving
from tests.support.forked import ForkedProcess
from tests.support.loop_gauge import Gauge
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from tests.support.forked import Requests


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of the process: its memory now, and times since the last request."""

    memory: int
    """The resident memory in bytes."""
    blocked: float
    """The longest time that one step of the loop took, in seconds."""
    busy: float
    """The longest time that one step of the loop took, in seconds of processor time."""
    took: float
    """Seconds that the request took."""
    serial: int
    backlog: int
    """Bytes that the bus hasn't read yet."""
    blamed: tuple[int | None, ...] = ()
    """The users because of whom the bus stopped reading from the service, since the start."""


class BusProcess(ForkedProcess):
    """The process, while its context lasts; its system bus is the one of the test's process."""

    async def look(self, count: int) -> Figures:
        """Publish ``count`` tunnels, all up, as the first poll's; return the figures."""
        return await self._ask("look", count)

    async def become(self, state: TunnelState, count: int | None = None) -> Figures:
        """Publish that ``count`` of the tunnels, or all, are in this state; return the figures."""
        return await self._ask("become", state, count)

    async def figures(self) -> Figures:
        return await self._ask("rest")

    async def _ask(self, *what: object) -> Figures:
        figures: Figures = await self.ask(*what)
        return figures

    def live(self, requests: Requests) -> None:
        asyncio.run(_serve(requests))


async def _serve(requests: Requests) -> None:
    """Run the service's bus side, and answer each request with the figures."""
    gc.freeze()  # what the test's process has is not the service's
    gauge = Gauge()
    blamed: list[int | None] = []
    async with serving() as service:
        service.bus.on_blocked = blamed.append
        async for what, *how in requests:
            began = time.perf_counter()
            await _do(service, what, *how)
            took = time.perf_counter() - began
            connection = service.bus._connection
            backlog = connection.backlog if connection else 0
            requests.answer(
                Figures(
                    _memory(), gauge.blocked, gauge.busy, took, service.serial, backlog,
                    tuple(blamed),
                )
            )  # fmt: skip
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
