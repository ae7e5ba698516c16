# SPDX-License-Identifier: MIT
"""Which question to ask pluto: for the whole status, or for the list of SAs, which is cheaper.

If the status is large, the budget allows it only every half a minute or so. `showstates` costs
pluto a fraction of that. It lists every SA, but neither the connections nor which of them pluto is
to keep up. So it shows only whether any SA has changed. What the change means is read from the
status, which is asked for next.
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
"""After so many lists of SAs in a row that showed a change, none is asked for during REST. They are
useless where SAs change all the time, as they do with thousands of them."""
REST: Final = 600.0
"""Seconds for which no list of SAs is asked for, after USELESS ones or after one that couldn't be
asked for."""

LONGEST: Final = 60.0
"""Seconds after a whole status after which it is asked for again, even if no SA has changed."""

Moves = frozenset[tuple[int, str, str, int | None, bool]]
"""The SAs of a report, each as serial, connection, story, IKE SA, and whether it is the newest.
Timers and counters, which change all the time, are left out."""


def moves(report: Report) -> Moves:
    """Return a report's SAs without timers and counters.

    If no SA has changed between two reports, the results are equal.
    """
    return frozenset((s.serial, s.name, s.story, s.parent_serial, s.newest) for s in report.states)


class Probe:
    """Chooses what to ask pluto for at each poll, the whole status or the list of SAs, and asks.

    It asks for the list if the budget doesn't allow the whole status at each ``interval``.
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
        """Ask pluto for the list of SAs if that is enough, else for the whole status.

        Return the answer, or raise AskError. whack asks for the list: if it can't be used, or finds
        no pluto, ask for the whole status after all. ``now`` is monotonic.
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
        """Make the next call of ask() ask for the whole status, and not for the list of SAs."""
        self._moves = None

    def learn(self, answer: Answer, report: Report, now: float) -> bool:
        """Record an answer. Return False if pluto must now be asked for its whole status.

        That is so if the answer is a list of SAs that is incomplete, or that differs from the last
        whole status. The next ask() then asks for the whole status. ``report`` is the parsed
        answer, ``now`` is monotonic.
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
        """Return whether to ask for the list of SAs instead of the whole status at ``now``.

        The last whole status has to be complete, too costly for each ``interval``, and less than
        LONGEST seconds old; pluto's version has to be known; and no REST may be under way. ``now``
        is monotonic.
        """
        return (
            BUDGET * self._cost > self.interval
            and self._moves is not None
            and self._version is not None
            and now - self._whole_at < LONGEST
            and now >= self._useless_until
        )
