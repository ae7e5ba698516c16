# SPDX-License-Identifier: MIT
"""Which question to ask pluto: the whole status, or the cheaper list of SAs.

Where the status is large, the budget allows it only every half a minute or so. `showstates` costs
pluto a fraction of that and lists every SA, but not the connections, nor which of them shall be up.
So it shows whether any SA has changed; what that means is read from the status, asked for next.
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
"""Cheap questions in a row that all showed a change. Where SAs change all the time, as they do with
thousands of them, cheap questions are wasted."""
REST: Final = 600.0
"""Seconds for which no cheap question is asked then, or after one that couldn't be asked."""

LONGEST: Final = 60.0
"""Seconds after a whole status in which it is asked for again even if no SA has changed."""

Moves = frozenset[tuple[int, str, str, int | None, bool]]
"""The SAs of a report without their timers and counters, which change all the time."""


def moves(report: Report) -> Moves:
    """Return a report's SAs without timers and counters: equal for two reports if none changed."""
    return frozenset((s.serial, s.name, s.story, s.parent_serial, s.newest) for s in report.states)


class Probe:
    """Chooses and asks each question: the whole status, or the list of SAs.

    It is the list where the budget doesn't allow the whole status in each ``interval``.
    """

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
        """Ask for the list of SAs if that is enough, else for the whole status. Return the answer.

        Ask for the whole status as well if whack, which asks for the list, finds no pluto or can't
        be used. ``now`` is monotonic. Raise AskError.
        """
        if self._cheap_will_do(now):
            try:
                return await self._pluto_client.ask(Command.STATES, self._version)
            except AskError as e:
                # A whack that finds no pluto may have used another socket than ours: ask ours.
                if e.trouble not in (Trouble.UNAVAILABLE, Trouble.STOPPED):
                    raise
                logger.info("large status, and no cheap question: %s", e)
                self._useless_until = now + REST
        return await self._pluto_client.ask()

    def whole(self) -> None:
        """Make the next call of ask() ask for the whole status."""
        self._moves = None

    def learn(self, answer: Answer, report: Report, now: float) -> bool:
        """Record an answer. Return False if it makes a poll of the whole status necessary.

        That is a list of SAs that is incomplete, or has other SAs than the last whole status. The
        next ask() then asks for the whole status. ``now`` is monotonic.
        """
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
        """Return whether the list of SAs is enough, and can be asked for, at ``now`` (monotonic).

        The last status has to be complete, too costly for each ``interval``, and less than LONGEST
        seconds old; and there is no REST after lists that were useless.
        """
        return (
            BUDGET * self._cost > self.interval
            and self._moves is not None
            and self._version is not None
            and now - self._whole_at < LONGEST
            and now >= self._useless_until
        )
