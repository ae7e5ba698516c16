# SPDX-License-Identifier: MIT
"""Tests of how much of pluto's time the polls take, on a clock that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto.poller import Poller
from ipsecwatch.pluto.probe import LONGEST, Probe
from ipsecwatch.pluto.query import Answer, AskError, Command, Trouble, Via
from ipsecwatch.report import Report, Totals
from tests.support import virtual_clock
from tests.support.reports import child

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

SPAN = 1800.0
SHARE = 0.02

# By the number of connections: seconds that a status takes, and `showstates` of as many tunnels
# that are up (measured; the second one with 400).
COSTS = {1: (0.001, 0.002), 50: (0.004, 0.003), 1000: (0.07, 0.04), 2000: (0.15, 0.08)}
COSTS |= {5000: (0.5, 0.19)}

BYTES = {Command.STATUS: 2100, Command.STATES: 300}
"""How many bytes an answer has for each connection, by command."""


@dataclass
class Pluto:
    """A fake pluto. It takes its time for each answer, and records when it was asked."""

    size: int
    """How many connections it has."""
    cheap: bool
    """Whether it can also be asked through whack, for the cheap command."""
    moving: float = 0.0
    """How many seconds pass from one change of an SA to the next; with 0.0 nothing changes."""
    waits: float = 0.0
    """Which part of the time for an answer passes before its first byte."""
    spent: dict[Command, list[tuple[float, float]]] = field(
        default_factory=lambda: {Command.STATUS: [], Command.STATES: []}
    )
    """By command: when it was asked, and how many seconds the answer took."""

    async def ask(self, command: Command = Command.STATUS, _version: str | None = None) -> Answer:
        loop = asyncio.get_running_loop()
        if command is not Command.STATUS and not self.cheap:
            raise AskError(Trouble.UNAVAILABLE, "there is no whack")
        cost = COSTS[self.size][command is not Command.STATUS]
        self.spent[command].append((loop.time(), cost))
        await asyncio.sleep(cost)
        text = "x" * self.size * BYTES[command]
        return Answer(command, text, cost, cost * self.waits, Via.SOCKET, 1)

    def report(self, now: float) -> Report:
        serial = int(now / self.moving) if self.moving else 7
        state = child(serial, "site", 1)
        return Report("status", "4.10", complete=True, states=(state,), totals=Totals())

    @property
    def total(self) -> float:
        return sum(cost for asked in self.spent.values() for _, cost in asked)


class Watch:
    """The real poller and the real Probe, put together as in the service."""

    def __init__(self, pluto: Pluto) -> None:
        self._pluto = pluto
        self.tiers = Probe(pluto, 5.0)  # type: ignore[arg-type]
        self.poller = Poller(self._ask, self._polled)

    async def _ask(self) -> Answer:
        return await self.tiers.ask(asyncio.get_running_loop().time())

    async def _polled(self, answer: Answer | AskError, _at: float, mono: float) -> bool:
        assert isinstance(answer, Answer)
        if not self.tiers.learn(answer, self._pluto.report(mono), mono):
            self.poller.wake()
        return True  # something is being negotiated all the time


async def quiet(_watch: Watch) -> None:
    """Wait for SPAN seconds."""
    await asyncio.sleep(SPAN)


async def storm(watch: Watch) -> None:
    """Wake the poller ten times a second for SPAN seconds."""
    for _ in range(int(SPAN * 10)):
        watch.poller.wake()
        await asyncio.sleep(0.1)


async def refresh(watch: Watch) -> None:
    """Refresh the whole status again and again for SPAN seconds."""
    loop = asyncio.get_running_loop()
    while loop.time() < SPAN:
        watch.tiers.whole()
        await watch.poller.refresh()


def live_on(pluto: Pluto, scene: Callable[[Watch], Coroutine[None, None, None]]) -> Pluto:
    """Poll a pluto during a scene, and return it."""

    async def live() -> None:
        watch = Watch(pluto)
        polling = asyncio.create_task(watch.poller.run())
        await scene(watch)
        polling.cancel()
        await asyncio.wait([polling])

    virtual_clock.run(live())
    return pluto


@pytest.mark.parametrize("size", COSTS)
@pytest.mark.parametrize("cheap", [True, False], ids=["whack", "socket"])
@pytest.mark.parametrize("moving", [0.0, 1.0], ids=["still", "moving"])
@pytest.mark.parametrize("scene", [quiet, storm, refresh], ids=lambda s: s.__name__)
def test_pluto_spends_less_than_a_fiftieth_of_its_time_on_us(
    size: int, cheap: bool, moving: float, scene: Callable[[Watch], Coroutine[None, None, None]]
) -> None:
    pluto = live_on(Pluto(size, cheap=cheap, moving=moving), scene)
    assert pluto.total / SPAN < SHARE + 0.0005  # the first question comes before any rest
    assert pluto.total > 0


@pytest.mark.parametrize("size", [50, 5000])
def test_that_an_answer_has_to_be_waited_for_changes_nothing(size: int) -> None:
    pluto = live_on(Pluto(size, cheap=True, moving=1.0, waits=0.5), storm)
    assert pluto.total / SPAN < SHARE + 0.0005


def test_a_large_status_that_does_not_move_is_asked_for_once_a_minute() -> None:
    pluto = live_on(Pluto(5000, cheap=True), quiet)
    whole, cheap = (len(pluto.spent[c]) for c in (Command.STATUS, Command.STATES))
    assert SPAN / (LONGEST + 30) < whole <= SPAN / LONGEST + 1
    assert cheap > 2 * whole, "nobody looked in between"


def test_a_large_status_that_moves_is_asked_for_as_often_as_may_be() -> None:
    pluto = live_on(Pluto(5000, cheap=True, moving=1.0), quiet)
    status, _ = COSTS[5000]
    assert len(pluto.spent[Command.STATUS]) > 0.9 * SPAN * SHARE / status
    assert 0 < len(pluto.spent[Command.STATES]) <= 6, "a cheap question is asked in vain"


@pytest.mark.parametrize("size", [1, 50])
def test_a_small_status_is_all_that_is_asked_for(size: int) -> None:
    pluto = live_on(Pluto(size, cheap=True, moving=1.0), quiet)
    assert not pluto.spent[Command.STATES]
    assert len(pluto.spent[Command.STATUS]) > SPAN * 0.9
