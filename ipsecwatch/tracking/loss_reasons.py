# SPDX-License-Identifier: MIT
"""Why tunnels lost their Child SAs: by the log, by policies, or because they are unlisted now."""

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
"""Reasons in the log that stay, although `UP` was removed from the connection's policy: these
events may remove it, too."""


class LossReasons:
    """Finds the reasons why SAs ended, by the log and the report of note_report()."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self.late: Final = LateReasons(log)
        self._identities = SharedIdentities()
        self._replaced: deque[Replacement] = deque(maxlen=MAX_KEPT)
        self._observations: Mapping[str, Observation] = {}
        self._clients: Clients | None = None
        self._version = ""

    def note_report(self, observations: Mapping[str, Observation], version: str | None) -> None:
        """Keep what a report shows of each tunnel; all other methods use it until the next one.

        ``version`` is pluto's; None: not known.
        """
        self._observations, self._clients = observations, None
        self._version = (version or "").lstrip("v")

    def is_of(self, *releases: str) -> bool:
        """Return whether pluto's version begins with one of ``releases`` (``3.``).

        False if the version isn't known.
        """
        return self._version.startswith(releases)

    def of_loss(self, record: TunnelRecord, poll: Poll, observed: Observation | None = None) -> Why:
        """Return why a tunnel lost Child SAs, with the log line that says so.

        ``observed`` shows those that it still has; None: none. If a connection was taken down by
        hand, the reason is OPERATOR, unless the log has one of _NO_HAND. Else it is the log's. If
        the log has none, it is UNREACHABLE for a tunnel that lost its local address, else OTHER. A
        loss with OTHER is kept, since its log line may come late. A replaced client is recorded for
        take_shared_identities().
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

        If it was UP or PARTIAL, it is the reason for the loss of its Child SAs; PLUTO_RESTARTED if
        the pluto that runs now has never listed it. If it was a client that wasn't up, it is that
        of its last logged failure, else its reason so far. If these give no reason, it is OTHER for
        a client, since a client isn't unloaded, and UNLOADED for any other tunnel.
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
        """Return why a tunnel is no longer tried: OPERATOR or PLUTO_RESTARTED.

        None if there is no sign of either.
        """
        why = self._log.loss(replace(self._held(record), born=record.trying_order, at_once=True))
        if why[0] in (Reason.OPERATOR, Reason.PLUTO_RESTARTED):
            return why
        return (Reason.OPERATOR, None) if record.by_hand else None

    def was_lost(self, record: TunnelRecord, observed: Observation) -> bool:
        """Return whether by the log all former Child SAs had ended before the present ones came.

        If not, the present ones, which ``observed`` has, may have replaced them in a rekey.
        """
        return self._log.lost_between(self._held(record), observed.children)

    def _held(self, record: TunnelRecord, still: Collection[int] = ()) -> HeldSas:
        held = held_sas(record, record.seen, still)
        if not self.is_of("3."):
            return held
        return replace(held, successor=self._known_clients().successor(record) is not None)

    def _known_clients(self) -> Clients:
        """Return the clients of the last report. They are looked up at the first call after it."""
        if self._clients is None:
            self._clients = Clients(self._observations)
        return self._clients

    # --- devices that share an identity ---------------------------------------------------

    def _note_replaced(self, record: TunnelRecord, poll: Poll) -> None:
        """Record that another client with the same identity replaced a client.

        Do nothing if the report doesn't list that other one: its address isn't known.
        """
        address = self._known_clients().successor(record)
        for c in record.tunnel.connections:
            if address is not None:
                old = record.tunnel.peer or ""
                self._replaced.append(Replacement(poll.at, c.full_name, c.name, old, address))

    def take_shared_identities(self) -> list[SharedIdentity]:
        """Return the identities that several devices seem to share, found since the last call.

        They are found from the replacements of clients that reports or the log showed since then.
        """
        told = self._log.newcomers.replacements
        found = [self._identities.note(r) for r in (*told, *self._replaced)]
        told.clear()
        self._replaced.clear()
        return [s for s in found if s is not None]


def after_restart(record: TunnelRecord) -> Why:
    """Return why a tunnel isn't up that had no Child SA when pluto was restarted.

    It is PLUTO_RESTARTED if the tunnel was being tried, or was down because pluto had stopped; else
    its reason so far.
    """
    ended = record.trying_since is not None or record.why[0] is Reason.PLUTO_STOPPED
    return (Reason.PLUTO_RESTARTED, None) if ended else record.why


def _lost_address(tunnel: Tunnel, observed: Observation) -> bool:
    """Return whether a tunnel's local address has gone from this machine since the last report.

    At least one of its connections is now unoriented and still to be kept up by pluto, and in the
    last report none was unoriented.
    """
    had = all(c.oriented is not False for c in tunnel.connections)
    now = tuple(observed.group.connections())
    return had and any(c.oriented is False and c.wanted_up for c in now)
