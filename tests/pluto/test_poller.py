# SPDX-License-Identifier: MIT
"""Tests of when pluto is polled, on a clock that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import wraps
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.pluto.poller import SAMPLES, Poller, PollerEndedError, Situation, next_delay
from ipsecwatch.pluto.query import Answer, AskError, Command, Trouble, Via
from tests.support import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


def on_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Decorator: run a coroutine test on a clock that jumps to the next timer."""

    @wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        virtual_clock.run(test(*args, **kwargs))

    return run


# --- The decision ----------------------------------------------------------------------------


def situation(**more: Any) -> Situation:  # noqa: ANN401
    defaults: dict[str, Any] = {"interval": 5.0, "fast_interval": 1.0}
    return Situation(**{**defaults, **more})


@pytest.mark.parametrize(
    ("given", "delay"),
    [
        # the first question
        ({"since_begin": float("inf"), "since_end": float("inf")}, 0.0),
        # the interval between two polls, from begin to begin
        ({}, 5.0),
        ({"since_begin": 2.0, "since_end": 1.9}, 3.0),
        ({"since_begin": 7.0, "since_end": 6.0}, 0.0),
        ({"soon": True, "since_begin": 0.4}, 0.6),
        ({"soon": True, "interval": 1.0, "fast_interval": 3.0}, 1.0),
        # wakers
        ({"woken": True, "since_begin": 0.1}, 0.0),
        ({"woken": True, "since_begin": 0.1, "extra_in": 0.2}, 0.2),
        ({"woken": True, "since_begin": 4.9, "extra_in": 0.2}, 0.1),
        # the budget (2 % of pluto's time), with answers that take 4 ms, 70 ms and half a second
        ({"woken": True, "cost": 0.004, "since_end": 0.0}, 0.196),
        ({"soon": True, "cost": 0.070, "since_begin": 0.5, "since_end": 0.43}, 3.0),
        ({"cost": 0.5, "since_begin": 5.0, "since_end": 4.5}, 20.0),
        ({"cost": 0.5, "since_begin": 25.5, "since_end": 25.0, "woken": True}, 0.0),
        ({"cost": 1000.0}, 300.0),
        # polling a stopped pluto costs nothing: the interval stays
        ({"trouble": Trouble.STOPPED}, 5.0),
        ({"trouble": Trouble.STOPPED, "woken": True}, 0.0),
        # a pluto that can't be asked is polled more and more rarely
        ({"trouble": Trouble.UNREACHABLE, "failures": 1}, 5.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 2}, 10.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 4}, 40.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 5}, 60.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 5000}, 60.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 3, "soon": True}, 20.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 3, "interval": 600.0}, 600.0),
        ({"trouble": Trouble.TOO_LONG, "failures": 1, "cost": 1.0}, 49.0),
        # a pluto whose answer is cut off is probably restarting
        ({"trouble": Trouble.CUT, "failures": 1}, 1.0),
        ({"trouble": Trouble.CUT, "failures": 2}, 2.0),
        ({"trouble": Trouble.CUT, "failures": 9}, 60.0),
        # wakers make the next poll earlier, but not without a pause
        ({"trouble": Trouble.UNREACHABLE, "failures": 5, "woken": True}, 1.0),
        ({"trouble": Trouble.UNREACHABLE, "failures": 5, "woken": True, "since_end": 3.0}, 0.0),
    ],
)
def test_the_next_question_comes_in(given: dict[str, Any], delay: float) -> None:
    assert next_delay(situation(**given)) == pytest.approx(delay)


# --- The loop --------------------------------------------------------------------------------


def answer(took: float = 0.0, waited: float = 0.0, size: int = 1000) -> Answer:
    return Answer(Command.STATUS, "x" * size, took, waited, Via.SOCKET, 1)


@dataclass
class Pluto:
    """A fake pluto.

    It gives the answers of a list, the last one for ever, and records when it was asked.
    """

    answers: list[Answer | AskError]
    asked: list[float] = field(default_factory=list)
    told: list[tuple[Answer | AskError, float, float]] = field(default_factory=list)
    soon: bool = False
    under_way: int = 0

    async def ask(self) -> Answer:
        loop = asyncio.get_running_loop()
        assert not self.under_way, "two questions at once"
        self.under_way += 1
        self.asked.append(loop.time())
        said = self.answers[min(len(self.asked), len(self.answers)) - 1]
        try:
            await asyncio.sleep(said.took if isinstance(said, Answer) else 0.0)
        finally:
            self.under_way -= 1
        if isinstance(said, AskError):
            raise said
        return said

    async def on_poll(self, outcome: Answer | AskError, at: float, mono: float) -> bool:
        self.told.append((outcome, at, mono))
        return self.soon

    def poller(self, **more: Any) -> Poller:  # noqa: ANN401
        return Poller(self.ask, self.on_poll, **more)


async def during(poller: Poller, work: Awaitable[None]) -> None:
    """Run the poller until ``work`` is done."""
    task = asyncio.create_task(poller.run())
    try:
        await work
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


STOPPED = AskError(Trouble.STOPPED, "pluto is not running")
HANGS = AskError(Trouble.UNREACHABLE, "pluto has not answered")
BROKEN = AskError(Trouble.CUT, "pluto broke off its answer", busy=0.001)


@on_virtual_time
async def test_pluto_is_asked_at_once_and_then_every_tick() -> None:
    pluto = Pluto([answer(took=0.01)])
    await during(pluto.poller(wall=lambda: 1e9), asyncio.sleep(21))
    assert pluto.asked == pytest.approx([0, 5, 10, 15, 20])
    assert [(at, mono) for _, at, mono in pluto.told[:2]] == [(1e9, 0.01), (1e9, 5.01)]


@on_virtual_time
async def test_pluto_is_asked_faster_while_something_is_negotiated() -> None:
    pluto = Pluto([answer()], soon=True)
    poller = pluto.poller()

    async def scene() -> None:
        await asyncio.sleep(3.5)
        pluto.soon = False
        await asyncio.sleep(10)

    await during(poller, scene())
    assert pluto.asked == pytest.approx([0, 1, 2, 3, 4, 9])
    assert poller.polls == 6


@on_virtual_time
async def test_settings_can_change_while_it_runs() -> None:
    pluto = Pluto([answer()])
    poller = pluto.poller(interval=3600.0)

    async def scene() -> None:
        await asyncio.sleep(10)
        poller.interval = 2.0
        poller.wake()
        await asyncio.sleep(5)

    await during(poller, scene())
    assert pluto.asked == pytest.approx([0, 10, 12, 14])


@on_virtual_time
async def test_a_waker_brings_the_next_question_forward() -> None:
    pluto = Pluto([answer()])
    poller = pluto.poller()

    async def scene() -> None:
        await asyncio.sleep(1.7)
        poller.wake()
        await asyncio.sleep(10)

    await during(poller, scene())
    assert pluto.asked == pytest.approx([0, 1.7, 6.7])


@on_virtual_time
async def test_what_happens_while_pluto_answers_is_asked_for_again() -> None:
    pluto = Pluto([answer(took=0.02, waited=0.02)])
    poller = pluto.poller()

    async def scene() -> None:
        await asyncio.sleep(0.01)
        poller.wake()
        await asyncio.sleep(2)

    await during(poller, scene())
    assert pluto.asked == pytest.approx([0, 0.02])


@on_virtual_time
async def test_a_storm_of_wakers_makes_five_extra_polls_a_second_at_most() -> None:
    pluto = Pluto([answer()])
    poller = pluto.poller()

    async def scene() -> None:
        await asyncio.sleep(1)
        for _ in range(10_000):
            poller.wake()
            await asyncio.sleep(0.001)

    await during(poller, scene())
    in_storm = [t for t in pluto.asked if t >= 1]
    assert in_storm[1] - in_storm[0] < 0.01  # two at once
    for begin in in_storm:
        assert sum(begin <= t < begin + 0.999 for t in in_storm) <= 5
    assert 40 <= len(in_storm) <= 43
    # No change waits longer than this for a poll.
    assert max(b - a for a, b in pairwise(in_storm)) < 0.26


@pytest.mark.parametrize("took", [0.004, 0.07, 0.5])
@pytest.mark.parametrize("wait", [0.0, 1.0], ids=["writes", "waits"])
@on_virtual_time
async def test_pluto_spends_a_fiftieth_of_its_time_on_us_in_a_storm_too(
    took: float, wait: float
) -> None:
    pluto = Pluto([answer(took=took, waited=took * wait)], soon=True)
    poller = pluto.poller()

    async def scene() -> None:
        for _ in range(30_000):
            poller.wake()
            await asyncio.sleep(0.01)

    await during(poller, scene())
    # The first answers aren't counted: the cost isn't known yet.
    known = pluto.asked[SAMPLES:]
    assert len(known) > 5
    assert took * (len(known) - 1) / (known[-1] - known[0]) <= 0.0201


@on_virtual_time
async def test_one_answer_that_came_late_does_not_blind_us() -> None:
    # pluto was stopped for two seconds, or resolved a name: this isn't the cost of an answer.
    usual, late = answer(took=0.004, waited=0.001), answer(took=2.0, waited=1.9)
    pluto = Pluto([usual, usual, late, usual])
    await during(pluto.poller(), asyncio.sleep(18))
    assert pluto.asked == pytest.approx([0, 5, 10, 15])


@on_virtual_time
async def test_two_answers_that_came_late_do_not_blind_us_either() -> None:
    # pluto waited for its updown scripts in its first two answers.
    late = answer(took=1.88, waited=1.87)
    pluto = Pluto([late, late, answer(took=0.01)])
    await during(pluto.poller(), asyncio.sleep(24))
    assert pluto.asked[:3] == pytest.approx([0, 5, 19.6], abs=0.5)


@on_virtual_time
async def test_the_first_answer_of_a_pluto_that_starts_may_come_late() -> None:
    pluto = Pluto([answer(took=4.0, waited=3.99), answer(took=0.01)])
    await during(pluto.poller(), asyncio.sleep(9))
    assert pluto.asked == pytest.approx([0, 5])


@on_virtual_time
async def test_an_answer_that_grows_costs_more() -> None:
    small, large = answer(took=0.01, size=1000), answer(took=1.0, size=100_000)
    pluto = Pluto([small, large])
    await during(pluto.poller(), asyncio.sleep(60))
    assert pluto.asked == pytest.approx([0, 5, 55])


@on_virtual_time
async def test_a_stopped_pluto_is_looked_for_every_tick() -> None:
    pluto = Pluto([STOPPED])
    await during(pluto.poller(), asyncio.sleep(21))
    assert pluto.asked == pytest.approx([0, 5, 10, 15, 20])
    assert all(outcome is STOPPED for outcome, _, _ in pluto.told)


@on_virtual_time
async def test_a_pluto_that_hangs_is_asked_less_and_less() -> None:
    pluto = Pluto([HANGS])
    await during(pluto.poller(), asyncio.sleep(260))
    assert pluto.asked == pytest.approx([0, 5, 15, 35, 75, 135, 195, 255])


@on_virtual_time
async def test_a_pluto_that_answers_again_is_asked_at_the_usual_tick() -> None:
    pluto = Pluto([HANGS, HANGS, HANGS, answer()])
    await during(pluto.poller(), asyncio.sleep(48))
    assert pluto.asked == pytest.approx([0, 5, 15, 35, 40, 45])


@on_virtual_time
async def test_news_that_pluto_is_well_again_ends_the_waiting() -> None:
    pluto = Pluto([HANGS, HANGS, HANGS, HANGS, HANGS, answer()])
    poller = pluto.poller()

    async def scene() -> None:
        await asyncio.sleep(80)
        poller.wake()
        await asyncio.sleep(6)

    await during(poller, scene())
    assert pluto.asked == pytest.approx([0, 5, 15, 35, 75, 80, 85])


@on_virtual_time
async def test_a_storm_of_wakers_does_not_chase_a_pluto_that_is_ill() -> None:
    pluto = Pluto([HANGS])
    poller = pluto.poller()

    async def scene() -> None:
        for _ in range(1000):
            poller.wake()
            await asyncio.sleep(0.01)

    await during(poller, scene())
    assert pluto.asked == pytest.approx(range(10), abs=0.05)


@on_virtual_time
async def test_a_broken_answer_is_asked_for_once_more_before_it_is_told() -> None:
    pluto = Pluto([BROKEN, STOPPED, BROKEN, answer(), BROKEN, BROKEN, answer()])
    await during(pluto.poller(), asyncio.sleep(12))
    outcomes = [outcome for outcome, _, _ in pluto.told]
    assert outcomes[:3] == [STOPPED, answer(), BROKEN]
    assert pluto.asked[:7] == pytest.approx([0, 0, 5, 5, 10, 10, 11])


@on_virtual_time
async def test_refresh_returns_after_a_poll_that_began_after_it() -> None:
    pluto = Pluto([answer(took=0.5, waited=0.5)])
    poller = pluto.poller()
    done: list[float] = []

    async def one() -> None:
        await poller.refresh()
        done.append(asyncio.get_running_loop().time())

    async def scene() -> None:
        await asyncio.sleep(0.2)  # while the first one is under way
        await asyncio.gather(*(one() for _ in range(100)))

    await during(poller, scene())
    assert pluto.asked == pytest.approx([0, 0.5])
    assert done == pytest.approx([1.0] * 100)


@on_virtual_time
async def test_refresh_keeps_to_the_budget() -> None:
    pluto = Pluto([answer(took=0.5)])
    poller = pluto.poller()

    async def scene() -> None:
        await asyncio.sleep(2)
        await poller.refresh()
        assert asyncio.get_running_loop().time() == pytest.approx(0.5 + 49 * 0.5 + 0.5)

    await during(poller, scene())


@on_virtual_time
async def test_who_gave_up_waiting_disturbs_nobody() -> None:
    pluto = Pluto([answer(took=0.5)])
    poller = pluto.poller()

    async def scene() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(poller.refresh(), 0.1)
        await poller.refresh()

    await during(poller, scene())


@on_virtual_time
async def test_the_end_of_the_poller_is_told_to_those_who_wait() -> None:
    pluto = Pluto([answer(took=0.5)])
    poller = pluto.poller()
    task = asyncio.create_task(poller.run())
    waiting = [asyncio.create_task(poller.refresh())]
    await asyncio.sleep(0.1)
    waiting.append(asyncio.create_task(poller.refresh()))
    await asyncio.sleep(0.1)
    task.cancel()
    for waiter in waiting:
        with pytest.raises(PollerEndedError):
            await waiter
    with pytest.raises(PollerEndedError):
        await poller.refresh()
    assert task.cancelled() or task.cancelling()


@on_virtual_time
async def test_what_the_listener_raises_ends_the_poller() -> None:
    async def on_poll(_: Answer | AskError, _at: float, _mono: float) -> bool:
        raise ZeroDivisionError

    poller = Poller(Pluto([answer()]).ask, on_poll)
    refresh = asyncio.create_task(poller.refresh())
    with pytest.raises(ZeroDivisionError):
        await poller.run()
    with pytest.raises(PollerEndedError):
        await refresh


@on_virtual_time
async def test_a_watchdog_can_see_whether_the_loop_moves() -> None:
    stuck = asyncio.Event()

    async def ask() -> Answer:
        if stuck.is_set():
            await asyncio.sleep(10_000)
        return answer()

    async def on_poll(*_: object) -> bool:
        return False

    poller = Poller(ask, on_poll, interval=600.0, timeout=10.0)
    assert not poller.moving

    async def scene() -> None:
        await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(100)
            assert poller.moving
        stuck.set()
        await asyncio.sleep(400 + 20)  # the poll after 2400 s hangs
        assert poller.moving
        await asyncio.sleep(20)
        assert not poller.moving

    await during(poller, scene())
    assert not poller.moving
