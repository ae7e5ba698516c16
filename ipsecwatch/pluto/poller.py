# SPDX-License-Identifier: MIT
"""The loop that polls pluto: when to ask, and the limit on the time that polls cost pluto.

A poll comes every ``interval``, every ``fast_interval`` while something is being negotiated, and
earlier if a waker asks for it. The budget limits all of them: pluto spends at most a fiftieth of
its time on our questions, if a poll costs it no more than six seconds (MAX_PEACE).
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
"""After an answer, pluto isn't asked for this many times the seconds that the answer cost it. So
our share of its time is 2 % at most."""
MAX_PEACE: Final = 300.0
"""How many seconds that pause takes at most: a report that is older than five minutes is of little
use."""
MAX_BACKOFF: Final = 60.0
"""How many seconds the pauses between polls may grow to while pluto gives no proper answer. They
are longer if ``interval`` is, or if the budget demands it."""
EXTRA_EVERY: Final = 0.25
EXTRA_AT_ONCE: Final = 2
"""How many polls wakers may trigger at once. Then they may trigger one every EXTRA_EVERY seconds:
five at most in any second."""
MOST_WAIT: Final = 0.25
"""How many seconds of waiting for an answer count as its cost at most, until there are SAMPLES
answers."""
SAMPLES: Final = 5
"""From how many answers the cost of the next one is estimated."""
MOMENT: Final = 0.001
"""Seconds below which a delay counts as none, since differences of clock readings aren't more
exact."""
GRACE: Final = 10.0
"""Seconds by which Poller.run() may be late before Poller.moving is False."""

_ILL: Final = (Trouble.UNREACHABLE, Trouble.CUT, Trouble.TOO_LONG)


@dataclass(frozen=True, slots=True)
class Situation:
    """All on which the time of the next poll depends. Times are in seconds."""

    interval: float
    fast_interval: float
    soon: bool = False
    """Whether something is being negotiated."""
    trouble: Trouble | None = None
    """Why the last poll got no answer; None: it got one."""
    failures: int = 0
    """How many polls in a row, up to the last one, got no proper answer (UNREACHABLE, CUT,
    TOO_LONG). 0 if the last one got an answer or failed for another reason."""
    cost: float = 0.0
    """How much of pluto's time the last poll took."""
    since_begin: float = 0.0
    """How long ago the last poll began."""
    since_end: float = 0.0
    """How long ago the last poll got its answer or its error."""
    woken: bool = False
    """Whether a waker has asked for a poll since the last one began."""
    extra_in: float = 0.0
    """How long it takes until a waker may trigger a poll again."""


def next_delay(s: Situation) -> float:
    """Return how many seconds to wait before the next poll; 0: ask now.

    The wait ends when the next regular poll is due, or earlier if a waker has asked for a poll and
    may trigger one (``extra_in``). Regular polls are further apart while pluto gives no proper
    answers (``failures``). The pause that the budget demands is kept in any case.
    """
    tick = min(s.interval, s.fast_interval) if s.soon else s.interval
    peace = min(BUDGET * s.cost, MAX_PEACE) - s.since_end
    if s.failures:
        # A broken answer often means that pluto is being restarted: ask again soon at first.
        first = s.fast_interval if s.trouble is Trouble.CUT else s.interval
        tick = min(first * 2.0 ** min(s.failures - 1, 10), max(MAX_BACKOFF, s.interval))
        peace = max(peace, s.fast_interval - s.since_end)
    wait = s.extra_in if s.woken else tick - s.since_begin
    return max(0.0, peace, min(wait, tick - s.since_begin))


class Costs:
    """Estimates how much of pluto's time the answers to one command take.

    The time until an answer has come is longer than that if pluto, or this process, was busy with
    something else meanwhile. So of the last SAMPLES answers, the one that took the shortest time
    per character is the measure.
    """

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=SAMPLES)
        self._waits: deque[float] = deque(maxlen=SAMPLES)

    def of(self, answer: Answer) -> float:
        """Record an answer. Return an estimate of the seconds that it cost pluto.

        Until there are SAMPLES answers, the time before the first byte counts as MOST_WAIT seconds
        at most; for the very first answer it doesn't count.
        """
        size = max(1, len(answer.text))
        self._rates.append((answer.took - answer.waited) / size)
        self._waits.append(answer.waited)
        wait = min(self._waits)
        if len(self._waits) < SAMPLES:
            # With few samples the wait may be another's: pluto may be starting, or waiting for
            # updown scripts, for seconds. Counted in full, that would stop the polls for minutes.
            wait = min(wait, MOST_WAIT) if len(self._waits) > 1 else 0.0
        return min(self._rates) * size + wait


class _Extras:
    """Limits the polls that wakers trigger: EXTRA_AT_ONCE, then one every EXTRA_EVERY seconds."""

    def __init__(self) -> None:
        self._full_at = float("-inf")

    def ready_in(self, now: float) -> float:
        """Return in how many seconds a waker may trigger a poll; 0: now. ``now`` is monotonic."""
        return max(0.0, self._full_at - (EXTRA_AT_ONCE - 1) * EXTRA_EVERY - now)

    def use(self, now: float) -> None:
        """Count a poll that a waker triggered before the regular one was due."""
        self._full_at = max(now, self._full_at) + EXTRA_EVERY


class PollerEndedError(Exception):
    """The poller has ended, or is ending: there will be no further poll."""


class Poller:
    """Polls pluto again and again, one poll at a time, until it is cancelled.

    ``ask`` asks pluto once, within ``timeout`` seconds. ``on_poll`` is called with the outcome, and
    with the time at which that came (wall clock, monotonic). If it returns True, the next regular
    poll comes after ``fast_interval``, else after ``interval``. No other poll begins before it
    returns. If it raises, run() ends with that exception.
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
        self._costs = {command: Costs() for command in Command}
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
        """How many polls there have been since the start, with or without an answer."""

    def wake(self) -> None:
        """Start a poll as soon as the limits allow.

        If one is under way, another one follows, because pluto may have made its answer already.
        """
        self._woken = True
        self._signal.set()

    async def refresh(self) -> None:
        """Wait until the next poll that begins after this call has ended.

        ``on_poll`` has returned by then. All callers that wait share this poll. Raise
        PollerEndedError if run() has ended, or ends.
        """
        if self._over:
            raise PollerEndedError
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.wake()
        await waiter

    @property
    def moving(self) -> bool:
        """Whether run() works, and is less than GRACE seconds late; for systemd's watchdog."""
        now = asyncio.get_running_loop().time()
        return self._moves_by is not None and now < self._moves_by + GRACE

    async def run(self) -> None:
        """Poll pluto until this is cancelled or ``on_poll`` raises."""
        try:
            while True:
                await self._until_due()
                await self._poll()
        finally:
            self._moves_by = None
            self._over = True
            _release(self._waiters, PollerEndedError())

    async def _until_due(self) -> None:
        """Wait until the next poll is due, which a call of wake() may make earlier."""
        loop = asyncio.get_running_loop()
        while (delay := next_delay(self._situation(loop.time()))) > MOMENT:
            self._moves_by = loop.time() + delay
            if self._woken:
                # Further calls of wake() change nothing, so none of them interrupts this sleep.
                await asyncio.sleep(delay)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._signal.wait()

    async def _poll(self) -> None:
        """Poll pluto once, call ``on_poll`` with the outcome, then let refresh() return.

        Its callers get PollerEndedError if this is cancelled or ``on_poll`` raises.
        """
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
        """Ask pluto, and once more if it breaks off its answer. Return the last answer or error.

        Record whether that is an error, and how many seconds both questions cost pluto.
        """
        outcome = await self._attempt()
        self._cost = self._cost_of(outcome)
        if isinstance(outcome, AskError) and outcome.trouble is Trouble.CUT:
            # pluto breaks off when it stops or starts: a second question shows which.
            outcome = await self._attempt()
            self._cost += self._cost_of(outcome)
        logger.debug("pluto was asked: %s, %.3f s of its time", _in_brief(outcome), self._cost)
        self._trouble = outcome.trouble if isinstance(outcome, AskError) else None
        self._failures = self._failures + 1 if self._trouble in _ILL else 0
        return outcome

    async def _attempt(self) -> Answer | AskError:
        """Ask pluto once. Return its answer, or the error."""
        # Twice: a question of another caller of the same client may have to end first.
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
        """Return all on which the time of the next poll depends; ``now`` is monotonic."""
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
    """Return the answer or error in one line, for the debug log."""
    if isinstance(outcome, AskError):
        return f"{outcome.trouble.value}, {outcome}"
    return f"{outcome.command.value}, {len(outcome.text)} characters over {outcome.via.value}"


def _release(waiters: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    """Finish all futures that aren't done: with the result None, or with ``error`` if given."""
    for waiter in waiters:
        if waiter.done():
            continue
        if error is not None:
            waiter.set_exception(error)
        else:
            waiter.set_result(None)
