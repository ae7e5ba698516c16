# SPDX-License-Identifier: MIT
"""Runs the service's bus side in a process of its own, so that it can be measured and attacked.

There is no pluto and no tracker: a test says which tunnels are published. The process reports its
memory, and how long the steps of its event loop took.
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
    """What the process measured: its memory now, and times since the request before this one."""

    memory: int
    """The resident memory in bytes."""
    blocked: float
    """How long the longest step of the event loop took, in seconds of real time."""
    busy: float
    """How long the longest step of the event loop took, in seconds of processor time."""
    took: float
    """How many seconds it took to carry out this request."""
    serial: int
    """The serial number of the last transition that was published; 0 if there was none."""
    backlog: int
    """How many bytes wait to be sent to the bus."""
    blamed: tuple[int | None, ...] = ()
    """The user ids that the service has blamed since its start, each time because the bus had
    stopped reading from it. None stands for an unknown user."""


class BusProcess(ForkedProcess):
    """A process with the service's bus side, which runs while the context lasts.

    It uses the system bus of the test's process.
    """

    async def look(self, count: int) -> Figures:
        """Publish ``count`` tunnels that are up, as after the service's first poll.

        There are no transitions. Return the figures.
        """
        return await self._ask("look", count)

    async def become(self, state: TunnelState, count: int | None = None) -> Figures:
        """Publish that the first ``count`` tunnels, or all, are in this state now.

        A transition is published for each whose state changes. Return the figures.
        """
        return await self._ask("become", state, count)

    async def figures(self) -> Figures:
        """Publish nothing, and return the figures."""
        return await self._ask("rest")

    async def _ask(self, *what: object) -> Figures:
        figures: Figures = await self.ask(*what)
        return figures

    def live(self, requests: Requests) -> None:
        asyncio.run(_serve(requests))


async def _serve(requests: Requests) -> None:
    """Run the service's bus side, carry out each request, and answer it with the figures."""
    gc.freeze()  # objects that were forked from the test's process aren't the service's
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
    # Memory that is free but still kept by the allocator isn't counted as growth.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
