# SPDX-License-Identifier: MIT
"""Follow for how long and how often tunnels have been tried, to see which are stuck."""

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
"""Seconds by which a log line may precede the poll that shows the same."""


class Attempts:
    """Follows the attempts to bring tunnels up, and keeps the results in the tunnels' records."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self._polls: deque[tuple[float, int]] = deque([(float("-inf"), 0)])
        """The times of the polls in the last LOG_SLACK seconds, and of the one before them, on the
        monotonic clock, each with the number of the last line that had been read by then."""

    @property
    def last_poll(self) -> float:
        """The time of the last poll, on the monotonic clock; -inf: there was none."""
        return self._polls[-1][0]

    @property
    def heard(self) -> int:
        """The number of the last log line that had been read at the last poll."""
        return self._polls[-1][1]

    def note_poll(self, mono: float) -> None:
        """Record the time of a poll (monotonic), and how many log lines had been read."""
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
        """Update how long and how often a tunnel has been tried. Return its state.

        That is STUCK if it is observed as CONNECTING and was tried for ``stuck_after`` seconds
        or more. Else it is the observed one.
        """
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
        """Return since when a tunnel is tried that wasn't tried at the last poll (monotonic).

        That is the time of the first attempt that was logged since the last poll, else that of this
        poll. The log isn't used for a tunnel that was UP or PARTIAL: the attempt may be a rekey.
        """
        last, order = self._polls[-1]
        carried = record.tunnel.last_state.carries
        tried = None if carried else self._log.attempts.tried(_names(observed.group), order)
        if tried is None or last == float("-inf"):
            return poll.mono
        return min(max(last, poll.mono - (poll.at - tried)), poll.mono)

    def _count(self, record: TunnelRecord, observed: Observation, run: PlutoRun) -> None:
        """Update the number of attempts: by polls, or by the log if that has more.

        A poll that shows new negotiations counts as one attempt.
        """
        new = [
            s.serial for s in observed.states if tries(s, run.idle) and s.serial > record.last_try
        ]
        attempts = record.tunnel.attempts + (1 if new else 0)
        record.last_try = max(new, default=record.last_try)
        logged = self._log.attempts.count(_names(observed.group), record.trying_order)
        record.tunnel = replace(record.tunnel, attempts=max(attempts, logged))


def _names(group: Group) -> set[str]:
    return {c.full_name for c in group.connections()}
