# SPDX-License-Identifier: MIT
"""Why tunnels lost their Child SAs: from the log, from policies, or because they are unlisted."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.tracking.clients import Clients
from ipsecwatch.tracking.held_sas import held_sas
from ipsecwatch.tracking.late_reasons import LateReasons, UnexplainedLoss
from ipsecwatch.tracking.newcomers import MAX_KEPT, Replacement
from ipsecwatch.tracking.shared_identity import SharedIdentities
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ipsecwatch.report import Poll
    from ipsecwatch.tracking.held_sas import HeldSas
    from ipsecwatch.tracking.log_evidence import LogEvidence
    from ipsecwatch.tracking.observation import Observation
    from ipsecwatch.tracking.records import TunnelRecord, Why
    from ipsecwatch.tracking.shared_identity import SharedIdentity
    from ipsecwatch.tunnel import Tunnel

_NO_HAND: Final = frozenset(
    {Reason.OPERATOR, Reason.PLUTO_STOPPED, Reason.PLUTO_RESTARTED, Reason.UNREACHABLE}
)
"""Reasons from the log that a policy without UP doesn't override: what they mean may remove UP."""


class LossReasons:
    """Returns the reasons why SAs ended, as of the last report that it was shown."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self.late: Final = LateReasons(log)
        self._identities = SharedIdentities()
        self._replaced: deque[Replacement] = deque(maxlen=MAX_KEPT)
        self._observations: Mapping[str, Observation] = {}
        self._clients: Clients | None = None
        self._version = ""

    def note_report(self, observations: Mapping[str, Observation], version: str | None) -> None:
        """Remember what a report showed: all calls up to the next report are about it.

        ``version`` is pluto's.
        """
        self._observations, self._clients = observations, None
        self._version = (version or "").lstrip("v")

    def is_of(self, *releases: str) -> bool:
        """Return whether pluto's version begins with one of these, such as ``3.``."""
        return self._version.startswith(releases)

    def of_loss(self, record: TunnelRecord, poll: Poll, observed: Observation | None = None) -> Why:
        """Return why a tunnel lost Child SAs; ``observed`` shows those that it still has.

        The log's reason counts, but after a connection was taken down by hand only those in
        _NO_HAND: else it is OPERATOR. Without a reason in the log, a lost local address gives
        UNREACHABLE. A loss without any reason is kept for a log line that comes late.
        """
        held = self._held(record, observed.children if observed is not None else ())
        why = self._log.loss(held)
        if why[0] is Reason.REPLACED:
            self._note_replaced(record, poll)
        if held.names & record.by_hand and why[0] not in _NO_HAND:
            return Reason.OPERATOR, None
        if why[0] is Reason.OTHER:
            if observed is not None and _lost_address(record.tunnel, observed):
                return Reason.UNREACHABLE, None
            self.late.add(record.tunnel.key, UnexplainedLoss(held, poll.mono))
        return why

    def of_going(self, record: TunnelRecord, poll: Poll) -> Why:
        """Return why a tunnel is no longer listed.

        The reason for the loss of its Child SAs counts, or a client's last failure. If that isn't
        known, the reason is UNLOADED, but OTHER for a client: it was not unloaded.
        """
        why: Why = (Reason.OTHER, None)
        client = self._known_clients().is_one(record)
        if record.tunnel.last_state.carries:
            if record.orphan:
                return Reason.PLUTO_RESTARTED, None
            why = self.of_loss(record, poll)
        elif client:
            names = {c.full_name for c in record.tunnel.connections}
            failure = self._log.attempts.failure(names, record.trying_order)
            why = record.why if failure[0] is Reason.NONE else failure
        if why[0] in (Reason.OTHER, Reason.NONE):
            return (Reason.OTHER if client else Reason.UNLOADED), None
        return why

    def of_giving_up(self, record: TunnelRecord) -> Why | None:
        """Return why a tunnel is no longer tried: OPERATOR, PLUTO_RESTARTED, or None (neither)."""
        why = self._log.loss(replace(self._held(record), born=record.trying_order, at_once=True))
        if why[0] in (Reason.OPERATOR, Reason.PLUTO_RESTARTED):
            return why
        return (Reason.OPERATOR, None) if record.by_hand else None

    def was_lost(self, record: TunnelRecord, observed: Observation) -> bool:
        """Return whether the log shows that the Child SAs had ended before the present ones came.

        Without that, ``observed`` may only show those that a rekey put in their place.
        """
        return self._log.lost_between(self._held(record), observed.children)

    def _held(self, record: TunnelRecord, still: Collection[int] = ()) -> HeldSas:
        held = held_sas(record, record.seen, still)
        if not self.is_of("3."):
            return held
        return replace(held, successor=self._known_clients().successor(record) is not None)

    def _known_clients(self) -> Clients:
        """Return the clients of the last report, which are looked up at the first call for it."""
        if self._clients is None:
            self._clients = Clients(self._observations)
        return self._clients

    # --- devices that share an identity ---------------------------------------------------

    def _note_replaced(self, record: TunnelRecord, poll: Poll) -> None:
        """Record that a client was replaced, for take_shared_identities().

        Do nothing if no successor is listed: its address isn't known.
        """
        address = self._known_clients().successor(record)
        for c in record.tunnel.connections:
            if address is not None:
                old = record.tunnel.peer or ""
                self._replaced.append(Replacement(poll.at, c.full_name, c.name, old, address))

    def take_shared_identities(self) -> list[SharedIdentity]:
        """Return the identities that several devices seem to share, found since the last call.

        The replacements that reports or the log showed since then are counted for that.
        """
        told = self._log.newcomers.replacements
        found = [self._identities.note(r) for r in (*told, *self._replaced)]
        told.clear()
        self._replaced.clear()
        return [s for s in found if s is not None]


def after_restart(record: TunnelRecord) -> Why:
    """Return why a tunnel isn't up that had no Child SA before pluto was restarted.

    PLUTO_RESTARTED if it was being tried or was down because pluto stopped, else its reason so far.
    """
    ended = record.trying_since is not None or record.why[0] is Reason.PLUTO_STOPPED
    return (Reason.PLUTO_RESTARTED, None) if ended else record.why


def _lost_address(tunnel: Tunnel, observed: Observation) -> bool:
    """Return whether a tunnel lost its address on this machine since the last report.

    Only a connection that is still wanted up counts. False where the address had gone before.
    """
    had = all(c.oriented is not False for c in tunnel.connections)
    now = tuple(observed.group.connections())
    return had and any(c.oriented is False and c.wanted_up for c in now)
