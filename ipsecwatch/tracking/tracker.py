# SPDX-License-Identifier: MIT
"""Track tunnels over time: polls go in, transitions come out. Pure: the clock is an argument.

Only a poll decides a state. A log line may give the reason, and may show that a tunnel was lost
between two polls that look alike; it never decides a state. A state that a poll doesn't show is
`unknown`, never `down`.
"""

from __future__ import annotations

from dataclasses import replace
from operator import is_
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.report import PlutoState, Poll, Report, instance_name
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking import records
from ipsecwatch.tracking.attempt_reasons import AttemptReasons
from ipsecwatch.tracking.attempts import Attempts
from ipsecwatch.tracking.awaited_ikes import awaited_ikes
from ipsecwatch.tracking.by_hand import note_taken_down
from ipsecwatch.tracking.idle_ike import note_ikes
from ipsecwatch.tracking.log_evidence import LogEvidence
from ipsecwatch.tracking.loss_reasons import LossReasons, after_restart
from ipsecwatch.tracking.observation import Observation, observe_tunnels, refresh_fields
from ipsecwatch.tracking.pluto_run import PlutoRun
from ipsecwatch.tracking.records import Records, TunnelRecord
from ipsecwatch.tracking.sa_times import SaTimes, SaWatch
from ipsecwatch.tunnel import Reason, Transition, Tunnel, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import LogLine
    from ipsecwatch.tracking.records import Why
    from ipsecwatch.tracking.shared_identity import SharedIdentity

HOLD: Final = 2.75
"""Seconds for which a tunnel that is neither UP nor PARTIAL may be missing in the reports before it
is removed, since managers delete a connection and add it again. A little less than three: with a
poll each second, the fourth removes it."""


class Tracker:
    """Compares each poll with the one before, and returns the transitions of all tunnels.

    ``stuck_after``: seconds of CONNECTING after which a tunnel is STUCK. ``stopped_after``: seconds
    without pluto after which all tunnels are DOWN.
    """

    def __init__(self, stuck_after: float = 30.0, stopped_after: float = 15.0) -> None:
        self.stuck_after = stuck_after
        self.stopped_after = stopped_after
        self._records = Records()
        self._looked = False
        """Whether the tunnels are known: from a complete report, or restored from an earlier run of
        the service."""
        self._first = True
        """Whether no poll has been observed yet."""
        self._saw_stopped = False
        """Whether a poll has shown pluto stopped. If that was before the first report, the tunnels
        in that report were DOWN until then."""
        self._reborn = False
        """Whether the next report must be that of another pluto than the last one."""
        self._stopped_since: float | None = None
        self._log = LogEvidence()
        self._attempts = Attempts(self._log)
        self._report: Report | None = None
        self._observations: dict[str, Observation] = {}
        """By key: what the last complete report showed of each tunnel."""
        self._losses = LossReasons(self._log)
        self._attempt_reasons = AttemptReasons(self._log, self._losses)
        self._same_pluto = False
        """Whether a restart of pluto between the last two reports would be known: this run of the
        service reads pluto's log, or both reports have the same process id or an SA in common."""
        self._seen = float("-inf")
        """When the last complete report was read, on the wall clock; -inf: none was."""
        self.missed = 0
        """How many SAs came and went between two reports without being in any, since this tracker
        was made."""
        self._sa_watch = SaWatch()
        self.pluto = PlutoState.STOPPED
        """The state of pluto by the last poll; STOPPED before the first one."""
        self.version: str | None = None
        """pluto's version by the last report that had it; None: none had it."""

    @property
    def tunnels(self) -> dict[str, Tunnel]:
        """All tunnels and templates that were listed and haven't been removed since, by key."""
        return {key: m.tunnel for key, m in self._records.tunnels.items()}

    @property
    def sa_times(self) -> SaTimes:
        """Since when each SA exists, and since when its connection's counters haven't changed."""
        return self._sa_watch.times

    @property
    def connecting(self) -> bool:
        """Whether any tunnel is being tried, so that the next poll should come soon."""
        return any(m.trying_since is not None for m in self._records.tunnels.values())

    @property
    def gone(self) -> bool:
        """Whether pluto was away for ``stopped_after`` seconds, or its unit ended.

        If so, all tunnels are DOWN, until pluto answers again.
        """
        return self._records.run.gone

    @property
    def due(self) -> float | None:
        """When a state will change if nothing new happens, on the monotonic clock.

        At that time a tunnel has been tried for ``stuck_after`` seconds (STUCK), a missing tunnel
        is removed, or all tunnels of a stopped pluto are DOWN. Only a poll makes the change, so
        poll then. None: time alone changes nothing.
        """
        if self._stopped_since is not None:
            return None if self.gone else self._stopped_since + self.stopped_after
        known = self._records.tunnels.values()
        trying = (m for m in known if m.held_since is None and not m.overdue)
        moments = [m.trying_since + self.stuck_after for m in trying if m.trying_since is not None]
        loaded = self._records.run.loaded_by or 0.0
        # Those that are missing are no longer waited for.
        moments += [max(m.held_since + HOLD, loaded) for m in known if m.held_since is not None]
        if self._attempts.last_poll < loaded and len(self._observations) != len(known):
            moments.append(loaded)
        return min(moments, default=None)

    def save(self) -> dict[str, Any]:
        """Return as plain values all that a restarted service needs of the tracker."""
        return records.dump(self._records) | {"log": self._log.dump()}

    def restore(self, saved: object) -> None:
        """Restore what another tracker's save() returned. Call this before the first poll.

        That poll then has transitions only for what has changed since. Raise ValueError if save()
        can't have made it.
        """
        kept = records.load(saved)
        if isinstance(saved, dict) and "log" in saved:
            self._log.load(saved["log"])
        self._records = kept
        self._looked = True
        self._reborn = self.gone

    def add_log_line(self, line: LogLine) -> None:
        """Record a log line: of pluto, of systemd about pluto's unit, of journald about pluto."""
        self._log.add_log_line(line)

    def observe(self, poll: Poll) -> list[Transition]:
        """Compare a poll with the one before. Return the transitions, each tunnel's in order."""
        self._losses.late.apply(self._records.tunnels, poll.mono)
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
            self._seen = poll.at
        self._first = False
        self._attempts.note_poll(poll.mono)
        return changes

    def explain(self, changes: Iterable[Transition]) -> list[Transition]:
        """Return the transitions of the last observe() with the reasons that were logged since.

        Only a loss that had no reason gets one. Other transitions are returned as they are.
        """
        return [self._losses.late.with_reason(c) for c in changes]

    def take_shared_identities(self) -> list[SharedIdentity]:
        """Return the identities that several devices seem to share, found since the last call."""
        return self._losses.take_shared_identities()

    # --- without a trustworthy answer -----------------------------------------------------

    def _apply_no_report(self, poll: Poll) -> list[Transition]:
        """Apply a poll without a complete report, and return the transitions.

        All tunnels become DOWN if pluto is stopped, and has been for ``stopped_after`` seconds or
        its unit has ended. Else they become UNKNOWN. At the first poll, a change to UNKNOWN is
        silent.
        """
        reason = {
            PlutoState.STOPPED: Reason.PLUTO_STOPPED,
            PlutoState.STARTING: Reason.PLUTO_STARTING,
            PlutoState.UNREACHABLE: Reason.PLUTO_UNREACHABLE,
            PlutoState.RUNNING: Reason.BAD_OUTPUT,
        }[poll.pluto]
        self._report = None
        self._sa_watch.interrupt()
        self._saw_stopped = self._saw_stopped or poll.pluto is PlutoState.STOPPED
        if self._stopped_since is not None:
            self._reborn = True  # the next answer is another pluto's
            away = poll.mono - self._stopped_since
            # Once gone, it stays so until pluto answers, even if its unit starts again.
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
        # A restored tunnel that becomes UNKNOWN at the first poll isn't announced.
        return [replace(c, silent=True) for c in out] if self._first and not gone else out

    def _forget(self, record: TunnelRecord) -> None:
        """Drop from a record what holds only while pluto runs: SAs, attempts and connections."""
        record.children = record.parents = frozenset()
        record.trying_since = None
        record.tunnel = replace(
            record.tunnel, children_up=0, instances=0, attempts=0, states=(), connections=()
        )

    # --- with one -----------------------------------------------------------------------

    def _apply_report(self, poll: Poll, report: Report) -> list[Transition]:
        """Apply a complete report, and return the transitions.

        The report is complete in the sense of Report.complete. It updates all tunnels, the run of
        pluto, and what is kept of the log; if nothing but the time has changed, only the tunnels
        that are being tried. If the report is that of another pluto than the last one, first forget
        what was true only of the old pluto.
        """
        if self._is_unchanged(poll, report):
            return self._pass_time(poll)
        self.version = report.version or self.version
        another = self._looked and (self._reborn or self._records.run.is_another(poll, report))
        if another:
            self._records.run = PlutoRun(started=poll.mono, grew=poll.mono, ikes={}, counted=0)
            self._losses.late.clear()
            self._log.forget(poll.at)
            self._sa_watch.interrupt(another_pluto=True)
            for record in self._records.tunnels.values():
                record.orphan, record.by_hand, record.wanted = True, frozenset(), frozenset()
        self._reborn = False
        self._same_pluto = self._log.reads or self._records.run.is_same(poll, report)
        run = self._records.run
        run.note_list(report, poll.mono)
        if not self._looked and not report.connections:
            run.started = run.grew = poll.mono  # it may have started just now: waiting is safe
        note_ikes(run, self._log, report)
        self._observations = observe_tunnels(report, run.idle, self._records.tunnels)
        self._losses.note_report(self._observations, self.version)
        self._attempt_reasons.note_report(awaited_ikes(report), run.idle)
        news = self._log.incoming.take()
        self._attempt_reasons.note_incoming(self._records.tunnels.values(), news)
        out = self._update_all(poll, self._observations)
        self._attempt_reasons.note_incoming(self._records.tunnels.values(), news)
        failed = self._log.attempts.take_failed()
        self._attempt_reasons.note_failed(self._records.tunnels.values(), failed, poll.mono)
        self._log.compare(report, poll.at)
        self.missed += run.count_missed(report)
        run.note_states(poll, report)
        if report is not self._report:  # else its timers and counters are as old as before
            self._sa_watch.note(report, poll)
        self._report = report
        if self._records.run.is_loading(poll.mono) and not report.connections:
            self.pluto = PlutoState.STARTING
        self._looked = True
        return out

    def _is_unchanged(self, poll: Poll, report: Report) -> bool:
        """Return whether only time can change anything: the same report again, and nothing logged.

        False as well while pluto may still load connections or a tunnel is missing, and after a
        restart of pluto.
        """
        return (
            report is self._report
            and self._attempts.lines_read == self._log.order
            and not self._reborn
            and poll.pid in (None, self._records.run.pid)
            and not self._records.run.is_loading(poll.mono)
            and len(self._observations) == len(self._records.tunnels)  # no tunnel is missing
        )

    def _pass_time(self, poll: Poll) -> list[Transition]:
        """Update only the tunnels that are being tried, and return their transitions.

        For a poll with the same report as the last one.
        """
        tunnels = self._records.tunnels
        trying = [key for key, m in tunnels.items() if m.trying_since is not None]
        return [
            c for key in trying for c in self._update(tunnels[key], self._observations[key], poll)
        ]

    # --- changes ------------------------------------------------------------------------

    def _update_all(self, poll: Poll, now: dict[str, Observation]) -> list[Transition]:
        """Remove, add and update tunnels by what a report shows (``now``). Return the transitions.

        A tunnel that the report doesn't list isn't removed while pluto may still load it, or while
        it may be added again.
        """
        out: list[Transition] = []
        loading = self._records.run.is_loading(poll.mono)
        for key in [k for k in self._records.tunnels if k not in now]:
            record = self._records.tunnels[key]
            if record.held_since is None:
                record.held_since, record.seen = poll.mono, self._seen
            if loading:
                if record.tunnel.state is not TunnelState.DOWN:
                    out += self._set_state(
                        record, TunnelState.UNKNOWN, (Reason.PLUTO_STARTING, None), poll
                    )
            elif self._may_come_back(record, poll):
                out += self._set_state(record, record.tunnel.last_state, record.why, poll)
            else:
                out.append(self._remove(record, poll))
                del self._records.tunnels[key]
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
        """Add a tunnel that wasn't listed before. Return its transition, without an ``old`` state.

        The transition is silent in the first complete report, unless tunnels are known from an
        earlier run, or pluto was seen stopped before.
        """
        tunnel = Tunnel(
            key, clean(observed.group.name), TunnelState.DOWN, TunnelState.DOWN, poll.at, poll.mono,
            since_boot=poll.boot, since_known=self._looked or self._saw_stopped,
        )  # fmt: skip
        record = self._records.tunnels[key] = TunnelRecord(tunnel)
        self._note_taken_down(record, observed)
        state = self._update_attempt(record, observed, poll)
        record.tunnel = self._refresh_fields(record, observed)
        reason, detail = record.why = self._attempt_reasons.of(record, state, poll.at)
        record.tunnel = replace(
            record.tunnel, state=state, last_state=state, reason=reason, detail=detail
        )
        return Transition(
            record.tunnel, None, state, TunnelState.DOWN, reason, poll.at, poll.mono,
            silent=not (self._looked or self._saw_stopped), detail=detail,
        )  # fmt: skip

    def _may_come_back(self, record: TunnelRecord, poll: Poll) -> bool:
        """Return whether a tunnel that isn't listed may be added again, so that it isn't removed.

        It may for HOLD seconds, if it was neither UP nor PARTIAL and pluto wasn't restarted.
        """
        if record.orphan or record.tunnel.last_state.carries:
            return False
        return record.held_since is not None and poll.mono - record.held_since < HOLD

    def _is_tried_again_soon(self, record: TunnelRecord, observed: Observation, poll: Poll) -> bool:
        """Return whether a tunnel that was tried was added again, and may soon be tried again.

        Its state stays as it was, then. This is so for HOLD seconds at most.
        """
        if record.trying_since is None or observed.trying or observed.up:
            return False
        if record.held_since is None and _is_added_again(record.tunnel, observed):
            record.held_since = poll.mono
        return self._may_come_back(record, poll)

    def _remove(self, record: TunnelRecord, poll: Poll) -> Transition:
        """Return the transition of a tunnel that is no longer listed. The caller removes it."""
        old = record.tunnel
        reason, detail = self._losses.of_going(record, poll)
        gone = replace(
            old, state=TunnelState.DOWN, last_state=TunnelState.DOWN, reason=reason,
            detail=detail, since=poll.at, since_mono=poll.mono, since_boot=poll.boot,
            since_known=old.state is not TunnelState.UNKNOWN and not self._first,
            children_up=0, instances=0,
        )  # fmt: skip
        return Transition(
            gone, old.state, None, old.last_state, reason, poll.at, poll.mono, detail=detail
        )

    def _update(self, record: TunnelRecord, observed: Observation, poll: Poll) -> list[Transition]:
        """Update a tunnel that was listed before. Return its transitions.

        There may be several. The first is to DOWN if the tunnel was UP or PARTIAL, and lost all
        Child SAs before it got the present ones: pluto was restarted, or the log shows it. The last
        may tell that a PARTIAL tunnel ``sticks``: its other children have been tried for
        ``stuck_after`` seconds.
        """
        self._note_taken_down(record, observed)
        if record.held_since is None:
            record.seen = self._seen
        if self._is_tried_again_soon(record, observed, poll):
            record.tunnel = self._refresh_fields(record, observed)
            return self._set_state(record, record.tunnel.last_state, record.why, poll)
        record.held_since = None
        if _same(record, observed):
            connections = tuple(observed.group.connections())
            record.tunnel = record.tunnel.seen_again(connections, observed.states)
            return []
        if not record.tunnel.connections:  # restored from the previous run
            record.tunnel = replace(record.tunnel, connections=tuple(observed.group.connections()))
        out: list[Transition] = []
        was = record.tunnel.last_state
        replaced = record.children and observed.children and not record.children & observed.children
        if record.orphan and was.carries:
            why: Why = (Reason.PLUTO_RESTARTED, None)
            out += self._set_state(record, TunnelState.DOWN, why, poll)
        elif was.carries and replaced and self._losses.was_lost(record, observed):
            why = self._losses.of_loss(record, poll)
            out += self._set_state(record, TunnelState.DOWN, why, poll)
        restarted = after_restart(record) if record.orphan else None
        if record.orphan:
            record.trying_since = None
        lost = not record.orphan and was.carries and observed.up < record.tunnel.children_up
        record.orphan = False
        lost_by = self._losses.of_loss(record, poll, observed) if lost else None
        state = self._update_attempt(record, observed, poll)
        if record.tunnel.unresolved is not None and observed.group.unresolved is None:
            record.why = (Reason.NONE, None)  # its peer's name resolves by now
        record.tunnel = self._refresh_fields(record, observed)
        if restarted is not None and state in (TunnelState.DOWN, TunnelState.WAITING):
            record.why = restarted
        why = lost_by or self._attempt_reasons.of(record, state, poll.at)
        out += self._set_state(record, state, why, poll)
        if state is TunnelState.PARTIAL and record.overdue and not record.told_stuck:
            out.append(self._announce_stuck_child(record, poll))
        return out

    def _update_attempt(
        self, record: TunnelRecord, observed: Observation, poll: Poll
    ) -> TunnelState:
        """Update how long and how often a tunnel has been tried. Return its state, maybe STUCK."""
        return self._attempts.update(record, observed, poll, self.stuck_after, self._records.run)

    def _announce_stuck_child(self, record: TunnelRecord, poll: Poll) -> Transition:
        """Return the transition that tells that a PARTIAL tunnel ``sticks``, and set its reason.

        Its missing children have been tried for ``stuck_after`` seconds.
        """
        record.told_stuck = True
        t = record.tunnel
        logged = self._attempt_reasons.is_logged(record, poll.at)
        missing = Reason.CHILD_MISSING if logged else Reason.OTHER
        reason = t.reason if t.reason is not Reason.NONE else missing
        record.tunnel = replace(t, reason=reason)
        return Transition(
            record.tunnel, t.state, t.state, t.last_state, reason, poll.at, poll.mono,
            detail=t.detail, sticks=True,
        )  # fmt: skip

    def _refresh_fields(self, record: TunnelRecord, observed: Observation) -> Tunnel:
        """Return the tunnel with what a report shows of it, except its state.

        Also record the SAs in ``record``. If there is a new Child SA, record which log lines came
        before it, and that its connection is no longer taken down by hand.
        """
        if new := observed.children - record.children:
            record.born = self._attempts.lines_read
            came = {instance_name(*s.key) for s in observed.states if s.serial in new}
            record.by_hand -= came
        record.children, record.parents = observed.children, observed.parents
        return refresh_fields(record.tunnel, observed)

    def _set_state(
        self, record: TunnelRecord, new: TunnelState, why: Why, poll: Poll
    ) -> list[Transition]:
        """Set a tunnel's state and reason. Return the transition; empty: the state is the same."""
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
            since_boot=poll.boot,
            # After UNKNOWN the state may have begun earlier, while pluto couldn't be asked.
            since_known=old.state is not TunnelState.UNKNOWN and not self._first,
        )  # fmt: skip
        return [
            Transition(
                record.tunnel, old.state, new, old.last_state, reason, poll.at, poll.mono,
                detail=detail,
            )
        ]  # fmt: skip

    def _note_taken_down(self, record: TunnelRecord, observed: Observation) -> None:
        """Record which connections of a tunnel were taken down by hand, if its lines changed."""
        connections = tuple(observed.group.connections())
        before = record.tunnel.connections
        if len(connections) == len(before) and all(map(is_, connections, before)):
            return  # the same lines, so the same policies
        old = self._losses.is_of("3.", "4.")
        note_taken_down(record, connections, before_5=old, same_pluto=self._same_pluto)


def _same(record: TunnelRecord, observed: Observation) -> bool:
    """Return whether a tunnel is as it was in the last report, and isn't being tried.

    If so, the rest of the update is left out. That is so for most tunnels in most polls.
    """
    t = record.tunnel
    return (
        t.state is observed.state
        and not observed.trying
        and record.trying_since is None
        and not record.orphan
        and t.instances == observed.group.instances
        and observed.group.unresolved is t.unresolved is None
        and (t.children == len(observed.group.children) or not t.children)
        and record.children == observed.children
        and record.parents == observed.parents
    )


def _is_added_again(tunnel: Tunnel, observed: Observation) -> bool:
    """Return whether all connections of a tunnel were deleted and added since the last report.

    Their connection serials are all new then. False up to 3.32, where pluto doesn't print these.
    """
    before = {c.conn_serial for c in tunnel.connections} - {None}
    now = {c.conn_serial for c in observed.group.connections()} - {None}
    return bool(before and now) and before.isdisjoint(now)
