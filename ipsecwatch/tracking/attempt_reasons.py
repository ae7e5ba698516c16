# SPDX-License-Identifier: MIT
"""Why tunnels that are tried don't come up, by our failed attempts or by the peer's.

Why tunnels were lost that had come up: loss_reasons.py.
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
    """Returns the reasons why tunnels aren't up, as of the last report that it was shown."""

    def __init__(self, log: LogEvidence, losses: LossReasons) -> None:
        self._log = log
        self._losses = losses
        self._awaited: Mapping[ConnectionKey, Collection[SaState]] = {}
        """For each connection, the IKE SAs, perhaps another's, that its Child SAs wait for."""
        self._idle: Collection[int] = ()
        """Serials of the IKE SAs that are no sign of trying, as idle_ike.py decides."""

    def note_report(
        self, awaited: Mapping[ConnectionKey, Collection[SaState]], idle: Collection[int]
    ) -> None:
        """Remember what a report showed: all calls up to the next report are about it."""
        self._awaited, self._idle = awaited, idle

    def of(self, record: TunnelRecord, state: TunnelState, now: float) -> Why:
        """Return why a tunnel has the new ``state``, as far as is known ``now`` (wall clock).

        NONE for UP. Where nothing new is known, the reason so far is returned again, but NONE if
        the last known state was DOWN, WAITING or UP and isn't ``state``.
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
        """Return why a tunnel is no longer tried: who ended that, else the last failure.

        None if neither is known, or if pluto's end is the reason already.
        """
        why = self._losses.of_giving_up(record)
        if why is None and record.why[0] not in _ENDED_WITH_PLUTO:
            failure = self._log.attempts.failure(_names(record.tunnel), record.trying_order)
            why = failure if failure[0] is not Reason.NONE else None
        return why

    def _of_trying(self, record: TunnelRecord, before: Why, now: float) -> Why:
        """Return why a tunnel that we or the peer are trying to bring up isn't up yet.

        The last logged failure counts, then (if this machine doesn't try) the failure of the peer's
        own attempt, then (once the tunnel is overdue) the stage of its SAs. Return ``before`` where
        none of them tells more.
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

    def is_heard(self, record: TunnelRecord, now: float) -> bool:
        """Return whether the log has said anything about a tunnel since it has been tried.

        Lines about the IKE SAs that it waits for count, too. Only then does the absence of a logged
        failure mean anything.
        """
        connections = record.tunnel.connections
        awaited = (s for c in connections for s in self._awaited.get(c.key, ()))
        names = _names(record.tunnel) | {instance_name(*s.key) for s in awaited}
        return self._log.has_heard(names, record.trying_order, now)

    def _by_stage(self, record: TunnelRecord, now: float) -> Reason:
        """Return the reason by the stage of a tunnel's SAs and of the IKE SAs that it waits for."""
        t = record.tunnel
        wanted = any(c.wanted_up for c in t.connections)
        oriented = all(c.oriented is not False for c in t.connections)
        awaited = [s for c in t.connections for s in self._awaited.get(c.key, ())]
        asking = (s for s in (*t.states, *awaited) if s.serial not in self._idle)
        return reason_by_stage(
            asking, wanted=wanted, oriented=oriented, heard=self.is_heard(record, now)
        )

    def _of_unresolved(self, record: TunnelRecord, name: str) -> Why | None:
        """Return UNREACHABLE for a peer's name that doesn't resolve, with a line that names it.

        None if the tunnel isn't tried, and pluto logged neither that nor a failure to reach the
        peer. The line is pluto's where that contains the name, else a sentence of ours.
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

    # --- attempts from outside ------------------------------------------------------------

    def note_incoming(
        self, records: Iterable[TunnelRecord], news: Mapping[str, Mapping[Whose, Evidence]]
    ) -> None:
        """Record the failed attempts from outside that were logged since the last report.

        ``news`` has them by the connection's name. One of an authenticated peer becomes the reason
        of a tunnel that has no Child SA and isn't tried from here. One of an unauthenticated sender
        never does: it is only shown as ``incoming``. Call this before a report is compared, for the
        transitions that it shows, and again after it, for the tunnels that it shows first.
        """
        if not news:
            return
        for record in records:
            names = _names(record.tunnel) & news.keys()
            for whose, e in (item for name in names for item in news[name].items()):
                if whose is Whose.ANYBODYS:
                    record.tunnel = replace(record.tunnel, incoming=(e.at, e.line))
                elif record.tunnel.children and not self._is_tried_here(record.tunnel):
                    record.refused = e.order, (e.reason, e.line)
                    _show_refusal(record, (e.reason, e.line))

    def _is_tried_here(self, t: Tunnel) -> bool:
        """Return whether this machine is trying to bring a tunnel up, or wants it up.

        A tunnel with a connection that waits for an IKE SA counts as tried.
        """
        if any(c.wanted_up or c.key in self._awaited for c in t.connections):
            return True
        ours = self._log.incoming.is_ours
        begun = (s for s in t.states if tries(s, self._idle))
        return any(s.role is Role.INITIATOR or ours(s.serial) for s in begun)


def _show_refusal(record: TunnelRecord, why: Why) -> None:
    """Set a tunnel's reason to that of the peer's failed attempt, unless it has a Child SA.

    While its state is UNKNOWN, only the record gets it, for the time after that.
    """
    if not record.tunnel.last_state.carries:
        record.why = reason, detail = why
        if record.tunnel.state is not TunnelState.UNKNOWN:
            record.tunnel = replace(record.tunnel, reason=reason, detail=detail)


def _names(tunnel: Tunnel) -> set[str]:
    return {c.full_name for c in tunnel.connections}
