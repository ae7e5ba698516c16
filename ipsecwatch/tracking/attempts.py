# SPDX-License-Identifier: MIT
"""For how long, and how often, tunnels are tried: when a connecting tunnel is stuck."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.tracking.observation import tries
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    from ipsecwatch.report import Poll
    from ipsecwatch.tracking.grouping import Group
    from ipsecwatch.tracking.log_evidence import LogEvidence
    from ipsecwatch.tracking.observation import Observation
    from ipsecwatch.tracking.pluto_run import PlutoRun
    from ipsecwatch.tracking.records import TunnelRecord

LOG_SLACK: Final = 10.0
"""Seconds by which a log line may precede the poll that shows what it tells."""


class Attempts:
    """Follows the attempts to bring tunnels up. What it learns is kept in their records."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self._polls: deque[tuple[float, int]] = deque([(float("-inf"), 0)])
        """When the polls of the last LOG_SLACK seconds were, on the monotonic clock, and the number
        of the last line that was heard by then."""

    @property
    def last_poll(self) -> float:
        """When the last poll was, on the monotonic clock."""
        return self._polls[-1][0]

    @property
    def heard(self) -> int:
        """The number of the last line that was heard by the last poll."""
        return self._polls[-1][1]

    def note_poll(self, mono: float) -> None:
        """Record that a poll has been observed."""
        self._polls.append((mono, self._log.order))
        while len(self._polls) > 1 and self._polls[1][0] <= mono - LOG_SLACK:
            self._polls.popleft()

    def update(
        self,
        record: TunnelRecord,
        observed: Observation,
        poll: Poll,
        stuck_after: float,
        run: PlutoRun,
    ) -> TunnelState:
        """Update how long and how often a tunnel was tried. Return its state, STUCK included."""
        lost_last = record.tunnel.last_state.carries and not observed.up
        if not observed.trying or lost_last:
            record.trying_since, record.overdue, record.told_stuck = None, False, False
            record.tunnel = replace(record.tunnel, attempts=0)
        if observed.trying:
            if record.trying_since is None:
                record.trying_since = self._trying_since(record, observed, poll)
                record.trying_order = self._polls[0][1]
            record.overdue = poll.mono - record.trying_since >= stuck_after
            self._count(record, observed, run)
            if observed.state is TunnelState.CONNECTING and record.overdue:
                return TunnelState.STUCK
        return observed.state

    def _trying_since(self, record: TunnelRecord, observed: Observation, poll: Poll) -> float:
        """Return since when a tunnel is tried that wasn't in the last poll, on the monotonic clock.

        Where the log doesn't tell, since now; nor where it carried traffic, and may have rekeyed.
        """
        last, order = self._polls[-1]
        carried = record.tunnel.last_state.carries
        tried = None if carried else self._log.attempts.tried(_names(observed.group), order)
        if tried is None or last == float("-inf"):
            return poll.mono
        return min(max(last, poll.mono - (poll.at - tried)), poll.mono)

    def _count(self, record: TunnelRecord, observed: Observation, run: PlutoRun) -> None:
        """Count attempts: new negotiations seen, or more of them in the log."""
        new = [
            s.serial for s in observed.states if tries(s, run.idle) and s.serial > record.last_try
        ]
        attempts = record.tunnel.attempts + (1 if new else 0)
        record.last_try = max(new, default=record.last_try)
        logged = self._log.attempts.count(_names(observed.group), record.trying_order)
        record.tunnel = replace(record.tunnel, attempts=max(attempts, logged))


def _names(group: Group) -> set[str]:
    return {c.full_name for c in group.connections()}
