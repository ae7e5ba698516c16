# SPDX-License-Identifier: MIT
"""Why tunnels that are tried don't come up: because our attempts fail, or the peer's do.

loss_reasons.py decides why tunnels that were up were lost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.report import Role, instance_name
from ipsecwatch.tracking.incoming import Whose
from ipsecwatch.tracking.observation import tries
from ipsecwatch.tracking.stage_reason import reason_by_stage
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ipsecwatch.report import ConnectionKey, SaState
    from ipsecwatch.tracking.evidence import Evidence
    from ipsecwatch.tracking.log_evidence import LogEvidence
    from ipsecwatch.tracking.loss_reasons import LossReasons
    from ipsecwatch.tracking.records import TunnelRecord, Why
    from ipsecwatch.tunnel import Tunnel


_ENDED_WITH_PLUTO: Final = frozenset({Reason.PLUTO_STOPPED, Reason.PLUTO_RESTARTED})


class AttemptReasons:
    """Finds the reasons why tunnels aren't up, by the log and the report of note_report()."""

    def __init__(self, log: LogEvidence, losses: LossReasons) -> None:
        self._log = log
        self._losses = losses
        self._awaited: Mapping[ConnectionKey, Collection[SaState]] = {}
        """By connection: the IKE SAs that have to be established before its Child SA can be
        negotiated. They may be IKE SAs of another connection."""
        self._idle: Collection[int] = ()
        """Serials of the established IKE SAs that are no sign that a tunnel is tried, as
        idle_ike.py decides."""

    def note_report(
        self, awaited: Mapping[ConnectionKey, Collection[SaState]], idle: Collection[int]
    ) -> None:
        """Keep what a report shows, for all calls of other methods until the next report.

        ``awaited``: by connection, the IKE SAs that it waits for. ``idle``: serials of IKE SAs that
        are no sign that a tunnel is tried.
        """
        self._awaited, self._idle = awaited, idle

    def of(self, record: TunnelRecord, state: TunnelState, now: float) -> Why:
        """Return why a tunnel has ``state`` by the present report; ``record`` has its last state.

        The reason is NONE for UP. If neither log nor report gives a new reason, it is the reason of
        the last known state. But that one isn't kept (the result is NONE) where the tunnel leaves
        DOWN, WAITING or UP for another state. ``now`` is on the wall clock.
        """
        t, old = record.tunnel, record.tunnel.last_state
        if state is TunnelState.UP:
            return Reason.NONE, None
        # The reason for having been down doesn't explain why the new attempt isn't up yet.
        begins = old in (TunnelState.DOWN, TunnelState.WAITING, TunnelState.UP)
        before = record.why if state is old or not begins else (Reason.NONE, None)
        ends = state in (TunnelState.DOWN, TunnelState.WAITING)
        if ends and old in (TunnelState.CONNECTING, TunnelState.STUCK):
            why = self._of_giving_up(record)
            if why is not None:
                return why
        if t.unresolved is not None:
            return self._of_unresolved(record, t.unresolved) or before
        if ends or record.trying_since is None:  # partial, and nobody tries for more
            return before
        return self._of_trying(record, before, now)

    def _of_giving_up(self, record: TunnelRecord) -> Why | None:
        """Return why a tunnel is no longer tried.

        It is OPERATOR if it was taken down by hand, PLUTO_RESTARTED if pluto was restarted, else
        the last failure that was logged since it was tried. None if none of these is known. The
        failure isn't used where the reason so far is PLUTO_STOPPED or PLUTO_RESTARTED.
        """
        why = self._losses.of_giving_up(record)
        if why is None and record.why[0] not in _ENDED_WITH_PLUTO:
            failure = self._log.attempts.failure(_names(record.tunnel), record.trying_order)
            why = failure if failure[0] is not Reason.NONE else None
        return why

    def _of_trying(self, record: TunnelRecord, before: Why, now: float) -> Why:
        """Return why a tunnel that is tried, by this machine or by the peer, isn't up yet.

        The first of these that is known counts: the last failure of our attempts; the failure of
        the peer's own attempt, unless this machine is trying; what the tunnel's SAs wait for, once
        it has been tried for ``stuck_after`` seconds. If none is known, return ``before``, the
        reason so far.
        """
        t = record.tunnel
        failure = self._log.attempts.failure(_names(t), record.trying_order)
        if failure[0] is not Reason.NONE:
            return failure
        refused = record.refused
        if refused is not None and refused[0] > record.trying_order and not self._is_tried_here(t):
            return refused[1]
        if not record.overdue:
            return before  # an exchange that has only just begun is no reason
        told = self._by_stage(record, now)
        if told in (Reason.NONE, Reason.OTHER) and before[0] is not Reason.NONE:
            return before
        return told, None

    def is_logged(self, record: TunnelRecord, now: float) -> bool:
        """Return whether the log has a line about a tunnel from the time since it has been tried.

        A line about the connection of an IKE SA that it waits for is enough. False also while the
        log may lack lines because journald dropped some (``now``: wall clock). If the result is
        False, nothing follows from the fact that no failure was logged.
        """
        connections = record.tunnel.connections
        awaited = (s for c in connections for s in self._awaited.get(c.key, ()))
        names = _names(record.tunnel) | {instance_name(*s.key) for s in awaited}
        return self._log.has_line(names, record.trying_order, now)

    def _by_stage(self, record: TunnelRecord, now: float) -> Reason:
        """Return what a tunnel waits for, by the stage of its SAs; see reason_by_stage().

        The IKE SAs that it waits for are taken into account, idle IKE SAs are not.
        """
        t = record.tunnel
        wanted = any(c.wanted_up for c in t.connections)
        oriented = all(c.oriented is not False for c in t.connections)
        awaited = [s for c in t.connections for s in self._awaited.get(c.key, ())]
        asking = (s for s in (*t.states, *awaited) if s.serial not in self._idle)
        return reason_by_stage(
            asking, wanted=wanted, oriented=oriented, logged=self.is_logged(record, now)
        )

    def _of_unresolved(self, record: TunnelRecord, name: str) -> Why | None:
        """Return UNREACHABLE, with a line that the peer's DNS name ``name`` doesn't resolve.

        The line is from pluto's log if one with this name was logged, else it is a sentence of
        ours. Return None if there is no such log line, and the tunnel isn't being tried, and its
        last logged failure has another reason than UNREACHABLE.
        """
        reason, line = self._log.attempts.failure(_names(record.tunnel), 0)
        if reason is Reason.UNREACHABLE and line is not None and name in line:
            return reason, line
        line = self._log.unresolved(name)
        if line is not None:
            return Reason.UNREACHABLE, line
        if reason is Reason.UNREACHABLE or record.trying_since is not None:
            return Reason.UNREACHABLE, f"The name {name} does not resolve."
        return None

    # --- attempts between two polls ---------------------------------------------------------

    def note_failed(
        self, records: Iterable[TunnelRecord], failed: Mapping[str, int], mono: float
    ) -> None:
        """Set the reason of tunnels whose attempts began and failed since the last report.

        Such an attempt takes milliseconds where the peer refuses it. A tunnel on demand is WAITING
        before and after it, so that no state shows it. Left out are tunnels that are still being
        tried, and those that the report (of the time ``mono``) lists first or in another state; and
        those that are DOWN because they were taken down: 5.2 tries once more after that.
        ``failed`` has the order of the first such attempt by the connection's name.
        """
        if not failed:
            return
        for record in records:
            names, t = _names(record.tunnel) & failed.keys(), record.tunnel
            by_hand = t.last_state is TunnelState.DOWN and record.why[0] is Reason.OPERATOR
            told = t.unresolved or t.since_mono == mono or by_hand
            if names and t.children and record.trying_since is None and not told:
                first = min(failed[name] for name in names)
                failure = self._log.attempts.failure(names, first)
                if failure[0] is not Reason.NONE:
                    _show_refusal(record, failure)

    # --- attempts from outside ------------------------------------------------------------

    def note_incoming(
        self, records: Iterable[TunnelRecord], news: Mapping[str, Mapping[Whose, Evidence]]
    ) -> None:
        """Record the failed attempts to connect to us that were logged since the last report.

        ``news`` has them by the connection's name. The attempt of an authenticated peer becomes the
        reason of a tunnel that is neither UP nor PARTIAL, and that this machine isn't trying. The
        attempt of an unauthenticated sender is never a reason: it is only kept in
        ``Tunnel.incoming``. So is any attempt of a template's client, since a template waits for
        others all the same. Call this before a report is compared, so that transitions have these
        reasons. Call it again afterwards, for the tunnels that this report lists for the first
        time.
        """
        if not news:
            return
        for record in records:
            names = _names(record.tunnel) & news.keys()
            kept = [item for name in names for item in news[name].items()]
            for whose, e in sorted(kept, key=lambda item: _says(item[1])):
                # A client that leaves deletes its IKEv1 phase 1: that is no attempt
                leaves = e.reason is Reason.PEER_DELETED and not record.tunnel.children
                if whose is Whose.ANYBODYS or (not record.tunnel.children and not leaves):
                    record.tunnel = replace(record.tunnel, incoming=(e.at, e.line))
                elif record.tunnel.children and not self._is_tried_here(record.tunnel):
                    record.refused = e.order, (e.reason, e.line)
                    _show_refusal(record, (e.reason, e.line))

    def _is_tried_here(self, t: Tunnel) -> bool:
        """Return whether this machine is trying to bring a tunnel up, or pluto is to keep it up.

        It is so as well if a connection of the tunnel waits for an IKE SA.
        """
        if any(c.wanted_up or c.key in self._awaited for c in t.connections):
            return True
        ours = self._log.incoming.is_ours
        begun = (s for s in t.states if tries(s, self._idle))
        return any(s.role is Role.INITIATOR or ours(s.serial) for s in begun)


def _says(e: Evidence) -> tuple[int, int, int]:
    """Return a key by which failures are sorted: by SA, and for each by how much they explain."""
    return e.serial or 0, e.weight, e.order


def _show_refusal(record: TunnelRecord, why: Why) -> None:
    """Set a tunnel's reason to that of an attempt that failed.

    Do nothing if its last known state is UP or PARTIAL. If its state is UNKNOWN, set only the
    record's reason, which is shown once the state is known again.
    """
    if not record.tunnel.last_state.carries:
        record.why = reason, detail = why
        if record.tunnel.state is not TunnelState.UNKNOWN:
            record.tunnel = replace(record.tunnel, reason=reason, detail=detail)


def _names(tunnel: Tunnel) -> set[str]:
    return {c.full_name for c in tunnel.connections}
