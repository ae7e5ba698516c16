# SPDX-License-Identifier: MIT
"""Follow how long and how often each tunnel has been tried, and decide which are STUCK."""

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
"""Seconds by which a log line may come before the poll that shows the same event."""


class Attempts:
    """Follows how long and how often tunnels are tried, and writes that into their records."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self._polls: deque[tuple[float, int]] = deque([(float("-inf"), 0)])
        """The polls of the last LOG_SLACK seconds, and the one before these: the time of each, on
        the monotonic clock, and how many log lines had been read by then."""

    @property
    def last_poll(self) -> float:
        """When note_poll() was last called, by the monotonic clock that it got; -inf: never."""
        return self._polls[-1][0]

    @property
    def lines_read(self) -> int:
        """How many log lines had been read when note_poll() was last called."""
        return self._polls[-1][1]

    def note_poll(self, mono: float) -> None:
        """Record that a poll was compared: when (monotonic), and how many log lines were read."""
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
        """Update since when and how often a tunnel has been tried. Return its state.

        The state is STUCK if the report shows CONNECTING and the tunnel has been tried for
        ``stuck_after`` seconds or more; else it is the state that the report shows. If the tunnel
        is no longer tried, its time and number of attempts are reset. If it has just lost its last
        Child SA, and is tried, both start anew.
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
        """Return when the present attempts to bring a tunnel up began, on the monotonic clock.

        Called at the first poll that shows them. It is the time of the first attempt that was
        logged since the last poll, and after the last loss. If none was logged, it is the time of
        this poll. It is that, too, for the first poll of all, and for a tunnel that was UP or
        PARTIAL, where the logged attempt may be a rekey.
        """
        last, order = self._polls[-1]
        carried = record.tunnel.last_state.carries
        tried = None if carried else self._log.attempts.tried(_names(observed.group), order)
        if tried is None or last == float("-inf"):
            return poll.mono
        return min(max(last, poll.mono - (poll.at - tried)), poll.mono)

    def _count(self, record: TunnelRecord, observed: Observation, run: PlutoRun) -> None:
        """Update a tunnel's number of attempts.

        Add 1 if this poll shows a newer negotiation than all counted so far. If more attempts than
        that were logged since the tunnel has been tried, take the logged number.
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
