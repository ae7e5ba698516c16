# SPDX-License-Identifier: MIT
"""Tunnels over time: polls in, transitions out. Pure: the clock is an argument.

The poll is the truth. A log line may give the reason, and may show that there was a loss between
two polls that look alike; it never makes a state by itself. What a poll can't tell is `unknown`,
never `down`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.report import PlutoState, Poll, Report
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking import records
from ipsecwatch.tracking.idle_ike import note_ikes
from ipsecwatch.tracking.late_reasons import LateReasons, UnexplainedLoss
from ipsecwatch.tracking.log_evidence import LogEvidence
from ipsecwatch.tracking.observation import Observation, observe_tunnels, refresh_fields, tries
from ipsecwatch.tracking.pluto_run import PlutoRun
from ipsecwatch.tracking.records import Records, TunnelRecord
from ipsecwatch.tracking.stage_reason import reason_by_stage
from ipsecwatch.tunnel import Reason, Transition, Tunnel, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import LogLine
    from ipsecwatch.tracking.grouping import Group
    from ipsecwatch.tracking.records import Why

LOG_SLACK: Final = 10.0
"""Seconds by which a log line may precede the poll that shows what it tells."""


class Tracker:
    """Follows all tunnels."""

    def __init__(self, stuck_after: float = 30.0, stopped_after: float = 15.0) -> None:
        self.stuck_after = stuck_after
        self.stopped_after = stopped_after
        self._records = Records()
        self._looked = False
        """Whether the tunnels are known: by a complete report, or from the tracker before us."""
        self._first = True
        """No poll has been observed yet."""
        self._saw_stopped = False
        """pluto was seen stopped before its first report: what comes then comes from down."""
        self._reborn = False
        self._stopped_since: float | None = None
        self._log = LogEvidence()
        self._heard: deque[tuple[float, int]] = deque([(float("-inf"), 0)])
        self._report: Report | None = None
        self._observations: dict[str, Observation] = {}
        """What the last poll with an answer showed, and what was seen in it."""
        self._late_reasons = LateReasons(self._log)
        self.pluto = PlutoState.STOPPED
        """How pluto is, by the last poll."""
        self.version: str | None = None
        """pluto's version, by the last report that told it."""

    @property
    def tunnels(self) -> dict[str, Tunnel]:
        """All tunnels that are listed, by key."""
        return {key: m.tunnel for key, m in self._records.tunnels.items()}

    @property
    def connecting(self) -> bool:
        """Whether anything is being negotiated, so that the next poll should come soon."""
        return any(m.trying_since is not None for m in self._records.tunnels.values())

    @property
    def gone(self) -> bool:
        """Whether pluto is away, for so long or so surely that its tunnels are down."""
        return self._records.run.gone

    @property
    def due(self) -> float | None:
        """When the passing of time alone will next change a state, on the monotonic clock.

        For somebody to look then: nothing changes but by a poll.
        """
        if self._stopped_since is not None:
            return None if self.gone else self._stopped_since + self.stopped_after
        trying = (m for m in self._records.tunnels.values() if not m.overdue)
        moments = [m.trying_since + self.stuck_after for m in trying if m.trying_since is not None]
        loaded = self._records.run.loaded_by
        if loaded is not None and len(self._observations) != len(self._records.tunnels):
            moments.append(loaded)  # those that are missing are no longer waited for
        return min(moments, default=None)

    def save(self) -> dict[str, Any]:
        """Give what is to be remembered while the service is away, as plain values."""
        return records.dump(self._records)

    def restore(self, saved: object) -> None:
        """Take up what another tracker saved: what has changed since is told, the rest isn't.

        Raises ValueError where it isn't such a thing.
        """
        self._records = records.load(saved)
        self._looked = True
        self._reborn = self.gone

    def hear(self, line: LogLine) -> None:
        """Take note of what pluto logged, or systemd about its unit."""
        self._log.hear(line)

    def observe(self, poll: Poll) -> list[Transition]:
        """Take one poll and say what has changed since the last one, in order."""
        self._late_reasons.apply(self._records.tunnels, poll.mono)
        self.pluto = poll.pluto
        if poll.pluto is not PlutoState.STOPPED:
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = poll.mono
        report = poll.report
        if report is None or not report.complete:
            changes = self._apply_no_report(poll)
        else:
            changes = self._apply_report(poll, report)
        self._first = False
        self._heard.append((poll.mono, self._log.order))
        while len(self._heard) > 1 and self._heard[1][0] <= poll.mono - LOG_SLACK:
            self._heard.popleft()
        return changes

    def explain(self, changes: Iterable[Transition]) -> list[Transition]:
        """Tell what observe() told again, with causes of losses that the log has told since."""
        return [self._late_reasons.with_reason(c) for c in changes]

    # --- without a trustworthy answer -----------------------------------------------------

    def _apply_no_report(self, poll: Poll) -> list[Transition]:
        reason = {
            PlutoState.STOPPED: Reason.PLUTO_STOPPED,
            PlutoState.STARTING: Reason.PLUTO_STARTING,
            PlutoState.UNREACHABLE: Reason.PLUTO_UNREACHABLE,
            PlutoState.RUNNING: Reason.BAD_OUTPUT,
        }[poll.pluto]
        self._report = None
        self._saw_stopped = self._saw_stopped or poll.pluto is PlutoState.STOPPED
        if self._stopped_since is not None:
            self._reborn = True  # whatever answers next is another pluto
            away = poll.mono - self._stopped_since
            # A unit that starts again takes nothing back before somebody has answered.
            run = self._records.run
            run.gone = run.gone or poll.unit_inactive or away >= self.stopped_after
        why = poll.why if poll.report is None else poll.report.why
        detail = clean(why) if why and reason is Reason.BAD_OUTPUT else None
        out: list[Transition] = []
        gone = self.gone and self._stopped_since is not None
        for record in self._records.tunnels.values():
            new = TunnelState.DOWN if gone else TunnelState.UNKNOWN
            if gone:
                self._forget(record)
            out += self._set_state(record, new, (reason, detail), poll)
        # What is restored and not known (yet) is shown so, and isn't news: nothing happened.
        return [replace(c, silent=True) for c in out] if self._first and not gone else out

    def _forget(self, record: TunnelRecord) -> None:
        """Drop what only held while pluto ran."""
        record.children = record.parents = frozenset()
        record.trying_since = None
        record.tunnel = replace(
            record.tunnel, children_up=0, instances=0, attempts=0, states=(), connections=()
        )

    # --- with one -----------------------------------------------------------------------

    def _apply_report(self, poll: Poll, report: Report) -> list[Transition]:
        if self._is_unchanged(poll, report):
            return self._pass_time(poll)
        self.version = report.version or self.version
        another = self._looked and (self._reborn or self._records.run.is_another(poll, report))
        if another:
            self._records.run = PlutoRun(started=poll.mono, grew=poll.mono, ikes={})
            self._late_reasons.clear()
            self._log.forget()
            for record in self._records.tunnels.values():
                record.orphan = True
        self._reborn = False
        run = self._records.run
        run.note_list(report, poll.mono)
        if not self._looked and not report.connections:
            run.started = run.grew = poll.mono  # perhaps: it costs nothing to wait
        note_ikes(run, self._log, report, self._records.tunnels.values())
        self._observations = observe_tunnels(report, run.idle, self._records.tunnels)
        out = self._update_all(poll, self._observations)
        run.note_states(poll, report)
        self._report = report
        if self._records.run.is_loading(poll.mono) and not report.connections:
            self.pluto = PlutoState.STARTING
        self._looked = True
        return out

    def _is_unchanged(self, poll: Poll, report: Report) -> bool:
        """Return whether it is the last report again, and nothing was heard since."""
        return (
            report is self._report
            and self._heard[-1][1] == self._log.order
            and not self._reborn
            and poll.pid in (None, self._records.run.pid)
            and not self._records.run.is_loading(poll.mono)
            and len(self._observations) == len(self._records.tunnels)  # nobody is missed any more
        )

    def _pass_time(self, poll: Poll) -> list[Transition]:
        """Have time go on, which changes those tunnels alone that are being tried."""
        tunnels = self._records.tunnels
        trying = [key for key, m in tunnels.items() if m.trying_since is not None]
        return [
            c for key in trying for c in self._update(tunnels[key], self._observations[key], poll)
        ]

    # --- changes ------------------------------------------------------------------------

    def _update_all(self, poll: Poll, now: dict[str, Observation]) -> list[Transition]:
        out: list[Transition] = []
        loading = self._records.run.is_loading(poll.mono)
        for key in [k for k in self._records.tunnels if k not in now]:
            record = self._records.tunnels[key]
            if not loading:
                out.append(self._remove(record, poll))
                del self._records.tunnels[key]
            elif record.tunnel.state is not TunnelState.DOWN:
                out += self._set_state(
                    record, TunnelState.UNKNOWN, (Reason.PLUTO_STARTING, None), poll
                )
        for key, observed in now.items():
            known = self._records.tunnels.get(key)
            if observed.state is TunnelState.UNKNOWN:
                if known is not None:
                    out += self._set_state(
                        known, TunnelState.UNKNOWN, (Reason.BAD_OUTPUT, None), poll
                    )
            elif known is None:
                out.append(self._add(key, observed, poll))
            else:
                out += self._update(known, observed, poll)
        return out

    def _add(self, key: str, observed: Observation, poll: Poll) -> Transition:
        """Take in a tunnel that wasn't listed before."""
        tunnel = Tunnel(
            key, clean(observed.group.name), TunnelState.DOWN, TunnelState.DOWN, poll.at, poll.mono
        )
        record = self._records.tunnels[key] = TunnelRecord(tunnel)
        state = self._update_attempt(record, observed, poll)
        record.tunnel = self._refresh_fields(record, observed)
        reason, detail = record.why = self._reason(record, state)
        record.tunnel = replace(
            record.tunnel, state=state, last_state=state, reason=reason, detail=detail
        )
        return Transition(
            record.tunnel, None, state, TunnelState.DOWN, reason, poll.at, poll.mono,
            silent=not (self._looked or self._saw_stopped), detail=detail,
        )  # fmt: skip

    def _remove(self, record: TunnelRecord, poll: Poll) -> Transition:
        """Let a tunnel go that is no longer listed."""
        old = record.tunnel
        reason, detail = Reason.UNLOADED, None
        if old.last_state.carries:
            if record.orphan:
                reason = Reason.PLUTO_STOPPED
            else:
                reason, detail = self._loss_reason(record, poll)
                reason = Reason.UNLOADED if reason is Reason.OTHER else reason
        gone = replace(
            old, state=TunnelState.DOWN, last_state=TunnelState.DOWN, reason=reason,
            detail=detail, since=poll.at, since_mono=poll.mono, children_up=0, instances=0,
        )  # fmt: skip
        return Transition(
            gone, old.state, None, old.last_state, reason, poll.at, poll.mono, detail=detail
        )

    def _update(self, record: TunnelRecord, observed: Observation, poll: Poll) -> list[Transition]:
        """Bring a tunnel up to date that was listed before."""
        if _same(record, observed):
            connections = tuple(observed.group.connections())
            record.tunnel = replace(record.tunnel, connections=connections, states=observed.states)
            return []
        if not record.tunnel.connections:  # remembered by the service before us
            record.tunnel = replace(record.tunnel, connections=tuple(observed.group.connections()))
        out: list[Transition] = []
        was = record.tunnel.last_state
        replaced = record.children and observed.children and not record.children & observed.children
        if record.orphan and was.carries:
            out += self._set_state(record, TunnelState.DOWN, (Reason.PLUTO_STOPPED, None), poll)
        elif was.carries and replaced and self._was_lost(record):
            out += self._set_state(record, TunnelState.DOWN, self._loss_reason(record, poll), poll)
        if record.orphan:
            record.trying_since = None
        lost = not record.orphan and was.carries and observed.up < record.tunnel.children_up
        record.orphan = False
        why = self._loss_reason(record, poll) if lost else None
        state = self._update_attempt(record, observed, poll)
        record.tunnel = self._refresh_fields(record, observed)
        out += self._set_state(record, state, why or self._reason(record, state), poll)
        if state is TunnelState.PARTIAL and record.overdue and not record.told_stuck:
            out.append(self._announce_stuck_child(record, poll))
        return out

    def _update_attempt(
        self, record: TunnelRecord, observed: Observation, poll: Poll
    ) -> TunnelState:
        """Count the time of trying, and answer the tunnel's state."""
        lost_last = record.tunnel.last_state.carries and not observed.up
        if not observed.trying or lost_last:
            record.trying_since, record.overdue, record.told_stuck = None, False, False
            record.tunnel = replace(record.tunnel, attempts=0)
        if observed.trying:
            if record.trying_since is None:
                record.trying_since = self._trying_since(record, observed, poll)
                record.trying_order = self._heard_before()
            record.overdue = poll.mono - record.trying_since >= self.stuck_after
            self._count_attempts(record, observed)
            if observed.state is TunnelState.CONNECTING and record.overdue:
                return TunnelState.STUCK
        return observed.state

    def _trying_since(self, record: TunnelRecord, observed: Observation, poll: Poll) -> float:
        """Say since when a tunnel is tried that wasn't in the last poll, on the monotonic clock.

        Where the log doesn't tell, since now; nor where it carried traffic, and may have rekeyed.
        """
        last, order = self._heard[-1]
        carried = record.tunnel.last_state.carries
        tried = None if carried else self._log.tried(_names(observed.group), order)
        if tried is None or last == float("-inf"):
            return poll.mono
        return min(max(last, poll.mono - (poll.at - tried)), poll.mono)

    def _count_attempts(self, record: TunnelRecord, observed: Observation) -> None:
        """Count attempts: new negotiations seen, or more of them in the log."""
        new = [
            s.serial
            for s in observed.states
            if tries(s, self._records.run.idle) and s.serial > record.last_try
        ]
        attempts = record.tunnel.attempts + (1 if new else 0)
        record.last_try = max(new, default=record.last_try)
        logged = self._log.attempts(_names(observed.group), record.trying_order)
        record.tunnel = replace(record.tunnel, attempts=max(attempts, logged))

    def _announce_stuck_child(self, record: TunnelRecord, poll: Poll) -> Transition:
        """Tell of a tunnel that is up in part, and the rest tried for too long."""
        record.told_stuck = True
        t = record.tunnel
        reason = t.reason if t.reason is not Reason.NONE else Reason.CHILD_MISSING
        record.tunnel = replace(t, reason=reason)
        return Transition(
            record.tunnel, t.state, t.state, t.last_state, reason, poll.at, poll.mono,
            detail=t.detail, sticks=True,
        )  # fmt: skip

    def _refresh_fields(self, record: TunnelRecord, observed: Observation) -> Tunnel:
        """Bring all but state and reason of a tunnel up to date."""
        record.children, record.parents = observed.children, observed.parents
        return refresh_fields(record.tunnel, observed)

    def _set_state(
        self, record: TunnelRecord, new: TunnelState, why: Why, poll: Poll
    ) -> list[Transition]:
        """Change a tunnel's state, and say so if it is another one."""
        old = record.tunnel
        if new is not TunnelState.UNKNOWN:
            record.why = why
        reason, detail = why
        if old.state is new:
            record.tunnel = replace(old, reason=reason, detail=detail)
            return []
        record.tunnel = replace(
            old,
            state=new,
            last_state=old.last_state if new is TunnelState.UNKNOWN else new,
            reason=reason, detail=detail, since=poll.at, since_mono=poll.mono,
        )  # fmt: skip
        return [
            Transition(
                record.tunnel, old.state, new, old.last_state, reason, poll.at, poll.mono,
                detail=detail,
            )
        ]  # fmt: skip

    # --- reasons ------------------------------------------------------------------------

    def _heard_before(self) -> int:
        """Answer what the log had heard some seconds before the poll at hand."""
        return self._heard[0][1]

    def _loss_reason(self, record: TunnelRecord, poll: Poll) -> Why:
        names, serials = frozenset(_own_names(record.tunnel)), record.children | record.parents
        why = self._log.loss(names, serials, self._heard_before())
        if why[0] is Reason.OTHER:
            loss = UnexplainedLoss(names, serials, self._heard_before(), poll.mono)
            self._late_reasons.add(record.tunnel.key, loss)
        return why

    def _was_lost(self, record: TunnelRecord) -> bool:
        return self._log.lost_between(
            _own_names(record.tunnel), record.children | record.parents,
            self._heard_before(), self._heard[-1][1],
        )  # fmt: skip

    def _reason(self, record: TunnelRecord, state: TunnelState) -> Why:
        """Say why a tunnel isn't up, as far as is known now."""
        t, old = record.tunnel, record.tunnel.last_state
        if state is TunnelState.UP:
            return Reason.NONE, None
        # What was the reason for being down is none for trying again.
        begins = old in (TunnelState.DOWN, TunnelState.WAITING, TunnelState.UP)
        before = record.why if state is old or not begins else (Reason.NONE, None)
        if state in (TunnelState.DOWN, TunnelState.WAITING):
            if old in (TunnelState.CONNECTING, TunnelState.STUCK):
                held = record.children | record.parents
                why = self._log.loss(_own_names(t), held, self._heard_before())
                return why if why[0] is Reason.OPERATOR else before
            return before
        if record.trying_since is None:  # partial, and nobody tries for more
            return before
        failure = self._log.failure(_own_names(t), record.trying_order)
        if failure[0] is not Reason.NONE:
            return failure
        if not record.overdue:
            return before  # an exchange that has only just begun is no reason
        wanted = any(c.wanted_up for c in t.connections)
        oriented = all(c.oriented is not False for c in t.connections)
        idle = self._records.run.idle
        asking = (s for s in t.states if s.serial not in idle)
        told = reason_by_stage(asking, wanted=wanted, oriented=oriented)
        if told in (Reason.NONE, Reason.OTHER) and before[0] is not Reason.NONE:
            return before
        return told, None


def _same(record: TunnelRecord, observed: Observation) -> bool:
    """Return whether nothing happened to a tunnel that nobody tries to bring up.

    The way that most tunnels take in most polls.
    """
    t = record.tunnel
    return (
        t.state is observed.state
        and not observed.trying
        and record.trying_since is None
        and not record.orphan
        and t.instances == observed.group.instances
        and (t.children == len(observed.group.children) or not t.children)
        and record.children == observed.children
        and record.parents == observed.parents
    )


def _names(group: Group) -> set[str]:
    return {c.full_name for c in group.connections()}


def _own_names(tunnel: Tunnel) -> set[str]:
    return {c.full_name for c in tunnel.connections}
