# SPDX-License-Identifier: MIT
"""Which question to ask: the whole status, or a cheap one that shows whether anything moved.

Where the status is large, the budget allows it every half a minute or so. `showstates` costs pluto
a fraction of it and has every SA; it doesn't have the connections, nor what is wanted up. So it
tells that something moved, and the status what that means.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.poller import BUDGET
from ipsecwatch.pluto.query import Answer, AskError, Command, PlutoClient, Trouble

if TYPE_CHECKING:
    from ipsecwatch.report import Report

logger = logging.getLogger(__name__)

USELESS: Final = 2
"""Cheap questions after each other that all showed a move: where SAs move all the time, as they do
with thousands of them, they are a waste."""
REST: Final = 600.0
"""Seconds for which they are left out then."""

LONGEST: Final = 60.0
"""Seconds after which the whole status is asked for even if no SA has moved."""

Moves = frozenset[tuple[int, str, str, int | None, bool]]
"""What of the SAs is more than the ticking of timers and counters."""


def moves(report: Report) -> Moves:
    """Reduce a report's SAs to what tells that something moved."""
    return frozenset((s.serial, s.name, s.story, s.parent_serial, s.newest) for s in report.states)


class Probe:
    """Chooses each question. ``interval`` is the tick that the whole status would have to keep."""

    def __init__(self, pluto_client: PlutoClient, interval: float) -> None:
        self._pluto_client = pluto_client
        self.interval = interval
        self._version: str | None = None
        self._cost = 0.0
        self._whole_at = float("-inf")
        self._moves: Moves | None = None
        self._useless_until = float("-inf")
        self._wasted = 0

    async def ask(self, now: float) -> Answer:
        """Ask the question that is due. ``now`` is monotonic. Raises AskError."""
        if self._cheap_will_do(now):
            try:
                return await self._pluto_client.ask(Command.STATES, self._version)
            except AskError as e:
                # A whack that finds no pluto may look elsewhere than we do: the socket knows.
                if e.trouble not in (Trouble.UNAVAILABLE, Trouble.STOPPED):
                    raise
                logger.info("large status, and no cheap question: %s", e)
                self._useless_until = now + REST
        return await self._pluto_client.ask()

    def whole(self) -> None:
        """Have the whole status asked for next."""
        self._moves = None

    def learn(self, answer: Answer, report: Report, now: float) -> bool:
        """Take note of an answer; False: it was a cheap one, and shows that something moved."""
        if answer.command is Command.STATUS:
            self._cost = answer.took - answer.waited
            self._version = report.version
            self._whole_at = now
            self._moves = moves(report) if report.complete else None
            return True
        if report.complete and moves(report) == self._moves:
            self._wasted = 0
            return True
        self._moves = None
        self._wasted += 1
        if self._wasted >= USELESS:
            self._useless_until = now + REST
        return False

    def _cheap_will_do(self, now: float) -> bool:
        return (
            BUDGET * self._cost > self.interval
            and self._moves is not None
            and self._version is not None
            and now - self._whole_at < LONGEST
            and now >= self._useless_until
        )
