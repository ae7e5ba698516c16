# SPDX-License-Identifier: MIT
"""When to ask pluto: often enough to see all, seldom enough not to be felt.

A tick, a faster one while something is being negotiated, and wakers that bring the next question
forward. Above them stands the budget: pluto spends at most a fiftieth of its time on us.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.query import Answer, AskError, Command, Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

BUDGET: Final = 49.0
"""After an answer, pluto has this many times the peace that it cost: our share is 2 %."""
MAX_PEACE: Final = 300.0
"""But no longer than this: who gives no sign of life for five minutes watches nothing."""
MAX_BACKOFF: Final = 60.0
"""Between two questions to a pluto that is ill."""
EXTRA_EVERY: Final = 0.25
EXTRA_AT_ONCE: Final = 2
"""Wakers get two polls at once and four a second: five at most in any second."""
MOST_WAIT: Final = 0.25
"""Seconds of waiting for an answer that are charged while only a few have been seen."""
SAMPLES: Final = 5
"""Answers that are remembered to tell what one costs."""
MOMENT: Final = 0.001
"""Seconds that nobody waits for; differences of large numbers are no more exact."""
GRACE: Final = 10.0
"""Seconds by which the loop may be late before it counts as stuck."""

_ILL: Final = (Trouble.UNREACHABLE, Trouble.CUT, Trouble.TOO_LONG)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides when to ask next. Times are seconds."""

    interval: float
    fast_interval: float
    soon: bool = False
    """Something is being negotiated."""
    trouble: Trouble | None = None
    """What became of the last question, if not an answer."""
    failures: int = 0
    """In how many polls running pluto was ill."""
    cost: float = 0.0
    """What the last answer took of pluto's time."""
    since_begin: float = 0.0
    """Since the last question."""
    since_end: float = 0.0
    """Since the end of the last answer."""
    woken: bool = False
    extra_in: float = 0.0
    """When another poll is allowed that is none of the clock's."""


def next_delay(s: Situation) -> float:
    """Say how long to wait from now on; 0: ask."""
    tick = min(s.interval, s.fast_interval) if s.soon else s.interval
    peace = min(BUDGET * s.cost, MAX_PEACE) - s.since_end
    if s.failures:
        # A broken answer often means that pluto is being restarted: look again soon at first.
        first = s.fast_interval if s.trouble is Trouble.CUT else s.interval
        tick = min(first * 2.0 ** min(s.failures - 1, 10), max(MAX_BACKOFF, s.interval))
        peace = max(peace, s.fast_interval - s.since_end)
    wait = s.extra_in if s.woken else tick - s.since_begin
    return max(0.0, peace, min(wait, tick - s.since_begin))


class _Costs:
    """What an answer to one question takes of pluto's time.

    How long an answer takes to come says more than that: pluto may have been busy, or we. So the
    best rate of the last few answers counts, not one that had to wait.
    """

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=SAMPLES)
        self._waits: deque[float] = deque(maxlen=SAMPLES)

    def of(self, answer: Answer) -> float:
        size = max(1, len(answer.text))
        self._rates.append((answer.took - answer.waited) / size)
        self._waits.append(answer.waited)
        wait = min(self._waits)
        if len(self._waits) < SAMPLES:
            # A few prove nothing: pluto starts, or waits for updown scripts, for seconds, and isn't
            # busy with us. They must not blind us for a minute.
            wait = min(wait, MOST_WAIT) if len(self._waits) > 1 else 0.0
        return min(self._rates) * size + wait


class _Extras:
    """Lets through so many polls at once, and then one each so many seconds."""

    def __init__(self) -> None:
        self._full_at = float("-inf")

    def ready_in(self, now: float) -> float:
        return max(0.0, self._full_at - (EXTRA_AT_ONCE - 1) * EXTRA_EVERY - now)

    def use(self, now: float) -> None:
        self._full_at = max(now, self._full_at) + EXTRA_EVERY


class PollerEndedError(Exception):
    """There will be no further poll."""


class Poller:
    """Asks pluto again and again, one question at a time, until it is cancelled.

    ``ask`` asks once. ``on_poll`` gets what came of it and when (wall clock, monotonic), and says
    whether to look again soon; the next question waits for it, and what it raises ends run().
    ``timeout`` is ask's own limit.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Answer]],
        on_poll: Callable[[Answer | AskError, float, float], Awaitable[bool]],
        *,
        interval: float = 5.0,
        fast_interval: float = 1.0,
        timeout: float = 10.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ask = ask
        self._on_poll = on_poll
        self.interval = interval
        self.fast_interval = fast_interval
        self._timeout = timeout
        self._wall = wall
        self._costs = {command: _Costs() for command in Command}
        self._extras = _Extras()
        self._signal = asyncio.Event()
        self._woken = False
        self._waiters: list[asyncio.Future[None]] = []
        self._soon = False
        self._trouble: Trouble | None = None
        self._failures = 0
        self._cost = 0.0
        self._begun = self._ended = float("-inf")
        self._moves_by: float | None = None
        self._over = False
        self.polls = 0
        """How many there have been."""

    def wake(self) -> None:
        """Bring the next poll forward, as far as limits allow: something has happened.

        A poll that is under way doesn't count: it may have been answered before it happened.
        """
        self._woken = True
        self._signal.set()

    async def refresh(self) -> None:
        """Return after a poll that began after this call. All who wait share one.

        Raises PollerEndedError when run() ends, or has ended.
        """
        if self._over:
            raise PollerEndedError
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.wake()
        await waiter

    @property
    def moving(self) -> bool:
        """Whether run() is alive and not later than it meant to be. For a watchdog to ask."""
        now = asyncio.get_running_loop().time()
        return self._moves_by is not None and now < self._moves_by + GRACE

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                await self._until_due()
                await self._poll()
        finally:
            self._moves_by = None
            self._over = True
            _release(self._waiters, PollerEndedError())

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while (delay := next_delay(self._situation(loop.time()))) > MOMENT:
            self._moves_by = loop.time() + delay
            if self._woken:
                # Nothing can bring it forward any more; a storm of wakers costs nothing here.
                await asyncio.sleep(delay)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._signal.wait()

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if next_delay(replace(self._situation(now), woken=False)) > MOMENT:
            self._extras.use(now)
        self._woken = False
        self._signal.clear()
        waiters, self._waiters = self._waiters, []
        self._begun = now
        try:
            outcome = await self._question()
            self._ended = loop.time()
            self.polls += 1
            self._soon = await self._on_poll(outcome, self._wall(), self._ended)
            _release(waiters)
        finally:
            _release(waiters, PollerEndedError())

    async def _question(self) -> Answer | AskError:
        outcome = await self._attempt()
        self._cost = self._cost_of(outcome)
        if isinstance(outcome, AskError) and outcome.trouble is Trouble.CUT:
            # A pluto that stops or starts breaks off; what it is by now, it tells at once.
            outcome = await self._attempt()
            self._cost += self._cost_of(outcome)
        logger.debug("pluto was asked: %s, %.3f s of its time", _in_brief(outcome), self._cost)
        self._trouble = outcome.trouble if isinstance(outcome, AskError) else None
        self._failures = self._failures + 1 if self._trouble in _ILL else 0
        return outcome

    async def _attempt(self) -> Answer | AskError:
        # Somebody else's question may have to end first.
        self._moves_by = asyncio.get_running_loop().time() + 2 * self._timeout
        try:
            return await self._ask()
        except AskError as e:
            return e

    def _cost_of(self, outcome: Answer | AskError) -> float:
        if isinstance(outcome, AskError):
            return outcome.busy
        return self._costs[outcome.command].of(outcome)

    def _situation(self, now: float) -> Situation:
        return Situation(
            interval=self.interval,
            fast_interval=self.fast_interval,
            soon=self._soon,
            trouble=self._trouble,
            failures=self._failures,
            cost=self._cost,
            since_begin=now - self._begun,
            since_end=now - self._ended,
            woken=self._woken,
            extra_in=self._extras.ready_in(now),
        )


def _in_brief(outcome: Answer | AskError) -> str:
    """Return what came of a question, for the debug log."""
    if isinstance(outcome, AskError):
        return f"{outcome.trouble.value}, {outcome}"
    return f"{outcome.command.value}, {len(outcome.text)} characters over {outcome.via.value}"


def _release(waiters: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(None)
