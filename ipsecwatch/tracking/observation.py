# SPDX-License-Identifier: MIT
"""How each tunnel is by one report alone: the first state that fits, in the order of TunnelState.

The one place where a report becomes states, for the service and for a pasted text alike. Where the
part of the answer that would decide it isn't there, the state is UNKNOWN, with what is missing. All
that needs the past (how long it has been trying, whether it was lost) is left to the tracker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import ON_DEMAND, brief_connections
from ipsecwatch.report import Connection, Extent, Part, Report, Role, SaKind, SaState, Stage
from ipsecwatch.tracking.grouping import SUBNET_PAIR, Group, GroupKind, group_connections
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ipsecwatch.report import ConnectionKey
    from ipsecwatch.tunnel import Tunnel

__all__ = [
    "Observation", "is_child", "is_ike", "left_over", "observe_tunnels", "refresh_fields", "tries",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Observation:
    """What one report says of one tunnel."""

    group: Group
    state: TunnelState
    trying: bool
    """A child that isn't up is being negotiated or is wanted up. Never true for a template."""
    up: int
    """Children that are up."""
    states: tuple[SaState, ...]
    children: frozenset[int]
    """Serials of the established Child SAs."""
    parents: frozenset[int]
    """Serials of the IKE SAs above them."""
    missing: tuple[Part, ...] = ()
    """Parts that the answer lacks, and without which the state isn't known, or only partly."""

    @property
    def counts(self) -> bool:
        """Whether an instance counts as a tunnel: a child is up, we began an SA, or want it up."""
        return (
            bool(self.up)
            or any(s.role is Role.INITIATOR for s in self.states)
            or any(c.wanted_up for c in self.group.connections())
        )


def observe_tunnels(
    report: Report, idle: Collection[int], known: Collection[str]
) -> dict[str, Observation]:
    """Return what a report says of each tunnel, template and opportunistic group, by key.

    ``idle`` are the IKE SAs that are no sign of trying. An instance is included if its key is
    among the ``known`` ones or Observation.counts is true.
    """
    evidence = _Evidence.of(report, idle)
    connections: Sequence[Connection] = report.connections
    if not report.complete:
        connections = _with_aliases(connections)
    if report.knowledge.connections is not Extent.WHOLE:
        connections = [*connections, *_unlisted(report)]
    seen = {}
    for key, group in group_connections(connections).items():
        observed = _observe(group, evidence)
        if group.sort is not GroupKind.INSTANCE or key in known or observed.counts:
            seen[key] = observed
    return seen


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What a report contains besides its connection list, by connection."""

    states: dict[ConnectionKey, list[SaState]]
    wishes: frozenset[ConnectionKey]
    """Those that a ``pending`` line shows to wait for an IKE SA."""
    carrying: frozenset[ConnectionKey]
    """Those of which a line of another command than ``status`` shows a Child SA. Empty where all
    SAs are listed."""
    idle: Collection[int]
    """IKE SAs that are no sign of trying."""
    instantiated: frozenset[str]
    """Names of connections that have instances in the list."""
    serials: frozenset[int]
    """Those of all SAs that are listed."""
    all_states: bool
    """All SAs are listed: a child without a listed one is not up."""

    @classmethod
    def of(cls, report: Report, idle: Collection[int]) -> _Evidence:
        """Return what a report contains besides its connection list."""
        states: dict[ConnectionKey, list[SaState]] = {}
        for s in report.states:
            states.setdefault(s.key, []).append(s)
        wishes = frozenset([(p.name, p.instance) for p in report.pending])
        whole = report.knowledge.states is Extent.WHOLE
        carrying = frozenset() if whole else _carrying(report)
        serials = frozenset([s.serial for s in report.states])
        instantiated = frozenset([c.name for c in report.connections if c.instance])
        return cls(states, wishes, carrying, idle, instantiated, serials, whole)

    def children(self, members: Sequence[Connection]) -> list[int]:
        """Return the serials of these connections' established Child SAs.

        Those that the connections don't use (left_over()) are left out.
        """
        return [
            s.serial
            for c in members
            for s in self.states.get(c.key, ())
            if is_child(s) and not left_over(s, c, self.serials)
        ]


def _carrying(report: Report) -> frozenset[ConnectionKey]:
    """Return the connections that ``trafficstatus`` or ``briefconnectionstatus`` shows to be up."""
    # A state line that says otherwise decides: the kernel counts for half of a Child, too.
    larval = {s.serial for s in report.states if not s.established}
    counted = [(t.name, t.instance) for t in report.traffic if t.serial not in larval]
    briefs = [(b.name, b.instance) for b in brief_connections.briefs(report.other)]
    return frozenset([*counted, *briefs])


def _with_aliases(connections: Sequence[Connection]) -> list[Connection]:
    """Return connections; one whose ``aliases`` line was lost gets the alias that its name shows.

    That is, if another connection has the same alias.
    """
    known = {alias for c in connections for alias in c.aliases}
    return [_with_alias(c, known) for c in connections]


def _with_alias(c: Connection, known: Collection[str]) -> Connection:
    m = None if c.aliases else SUBNET_PAIR.fullmatch(c.name)
    return replace(c, aliases=(m[1],)) if m is not None and m[1] in known else c


def _unlisted(report: Report) -> list[Connection]:
    """Return made-up connections for SAs whose own are missing in an incomplete list.

    An unfinished negotiation that the other side began gets none: anybody may have begun it.
    """
    listed = {c.key for c in report.connections}
    keys = [s.key for s in report.states if s.established or s.role is Role.INITIATOR]
    keys += [(p.name, p.instance) for p in report.pending]
    known = dict.fromkeys([*keys, *_carrying(report)])
    return [_made_up(*key) for key in known if key not in listed]


def _made_up(name: str, instance: tuple[int, ...]) -> Connection:
    """Return a connection with a name, and the alias in it; all other values are unknown."""
    m = SUBNET_PAIR.fullmatch(name)
    aliases = (m[1],) if m else ()
    return Connection(name, instance, aliases=aliases, policy_known=False, routing_known=False)


class _Child(Enum):
    """What the evidence says of one child of a tunnel."""

    UP = auto()
    """It has a Child SA."""
    UNCLEAR = auto()
    """It isn't known whether it has a Child SA."""
    TRIED = auto()
    """It is not up, and is being negotiated or wanted up."""
    WISH_UNCLEAR = auto()
    """It is not up, and it isn't known whether it is wanted up."""
    IDLE = auto()
    """It is neither up nor tried."""


def _observe(group: Group, evidence: _Evidence) -> Observation:
    """Return what a report says of one tunnel: its state, its SAs, and which parts are missing.

    Each child is judged by itself. Templates and opportunistic groups are always WAITING.
    """
    mine: list[SaState] = []
    carrying: list[int] = []
    children: list[_Child] = []
    missing: dict[Part, None] = {}
    for members in group.children.values():
        own = [s for c in members for s in evidence.states.get(c.key, ())]
        mine += own
        established = evidence.children(members)
        carrying += established
        child, part = _judge(members, own, evidence, has_child=bool(established))
        children.append(child)
        if part is not None:
            missing[part] = None
    trying = _Child.TRIED in children
    if group.sort in (GroupKind.TEMPLATE, GroupKind.OPPORTUNISTIC):
        state, trying, missing = TunnelState.WAITING, False, {}
    else:
        state = _state(group, children)
    return Observation(
        group, state, trying, children.count(_Child.UP), tuple(mine),
        frozenset(carrying),
        frozenset([s.parent_serial for s in mine if s.parent_serial is not None]),
        tuple(missing),
    )  # fmt: skip


def _judge(
    members: Sequence[Connection], own: Sequence[SaState], evidence: _Evidence, *, has_child: bool
) -> tuple[_Child, Part | None]:
    """Return how one child of a tunnel is, and the missing part of the answer that would decide.

    ``own`` are the SAs of its connections (``members``).
    """
    up = has_child or _is_listed_as_up(members, evidence)
    if up is None:
        # A new negotiation most likely means that there is no Child SA: pluto rekeys an
        # existing one under its IKE SA.
        begun = any(tries(s, evidence.idle) and s.stage is not Stage.REKEYING for s in own)
        return (_Child.TRIED if begun else _Child.UNCLEAR), Part.STATES
    if up:
        return _Child.UP, None
    if _is_tried(members, own, evidence):
        return _Child.TRIED, None if own or evidence.all_states else Part.STATES
    if not all(c.policy_known for c in members):
        return _Child.WISH_UNCLEAR, Part.POLICIES
    if all(c.routing is None for c in members) or _may_be_template(members, evidence):
        return _Child.WISH_UNCLEAR, Part.CONNECTIONS
    return _Child.IDLE, None


def _is_listed_as_up(members: Sequence[Connection], evidence: _Evidence) -> bool | None:
    """Return whether a child without a listed, established Child SA is up; None: not known.

    Where not all SAs are listed, the connection list and other commands' lines are used instead.
    """
    if evidence.all_states:
        return False
    if any(c.key in evidence.carrying or _is_listed_up(c) for c in members):
        return True
    return False if all(_is_listed_down(c) for c in members) else None


def _may_be_template(members: Sequence[Connection], evidence: _Evidence) -> bool:
    """Return whether a connection whose first line was lost has instances, as a template has."""
    return any(not c.topologies and c.name in evidence.instantiated for c in members)


_UP: Final = frozenset({"erouted", "routed-tunnel"})
"""Routing words of a connection that has a Child SA: up to 4.15, and later."""
_NOT_UP: Final = frozenset(
    {
        "unrouted", "unrouted HOLD", "prospective erouted", "erouted HOLD", "unoriented",
        "routed-ondemand", "routed-negotiation", "unrouted-negotiation", "routed-never-negotiate",
        "unrouted-bare-negotiation",
    }
)  # fmt: skip
"""Routing words of a connection that has no Child SA (all others leave it open)."""


_NEGOTIATING: Final = frozenset(
    {"routed-negotiation", "unrouted-negotiation", "unrouted-bare-negotiation"}
)
"""Routing words, from 5.0 on, of a connection that we negotiate for."""


def _is_listed_up(c: Connection) -> bool:
    return c.newest_child is not None or c.routing in _UP


def _is_listed_down(c: Connection) -> bool:
    return not _is_listed_up(c) and (c.routing_known or c.routing in _NOT_UP)


def _is_tried(members: Sequence[Connection], own: Sequence[SaState], evidence: _Evidence) -> bool:
    """Return whether one child of a tunnel is being negotiated, or is wanted up."""
    return (
        any(c.wanted_up for c in members)
        or any(c.key in evidence.wishes for c in members)
        or any(tries(s, evidence.idle) for s in own)
        or (not evidence.all_states and any(c.routing in _NEGOTIATING for c in members))
    )


def _state(group: Group, children: Sequence[_Child]) -> TunnelState:
    """Return a tunnel's state from the states of its children. STUCK is left to the tracker.

    It is UNKNOWN where a child that isn't clear could change it.
    """
    up = children.count(_Child.UP)
    if up == len(children):
        return TunnelState.UP
    if _Child.UNCLEAR in children:
        return TunnelState.UNKNOWN
    if up:
        return TunnelState.PARTIAL
    if _Child.TRIED in children:
        return TunnelState.CONNECTING
    if _Child.WISH_UNCLEAR in children:
        return TunnelState.UNKNOWN
    if any(c.routing in ON_DEMAND for c in group.connections()):
        return TunnelState.WAITING
    return TunnelState.DOWN


def refresh_fields(tunnel: Tunnel, observed: Observation) -> Tunnel:
    """Return a tunnel with what a report shows of it, except its state, reason and their times."""
    connections = tuple(observed.group.connections())
    managed = any(c.nm_configured for c in connections)
    template = observed.group.sort in (GroupKind.TEMPLATE, GroupKind.OPPORTUNISTIC)
    return replace(
        tunnel,
        children_up=0 if template else observed.up,
        children=0 if template else len(observed.group.children),
        instances=observed.group.instances,
        managed="NetworkManager" if managed else "",
        peer=_peer(observed),
        missing=observed.missing,
        unresolved=observed.group.unresolved,
        connections=connections,
        states=observed.states,
    )


def _peer(observed: Observation) -> str | None:
    """Return the address of the peer: from an SA, else the configured one; None: neither."""
    for s in observed.states:
        if s.sa is not None and s.sa.remote_address:
            return s.sa.remote_address
    for c in observed.group.connections():
        for t in c.topologies:
            if t.remote_host and not t.remote_host.startswith("%"):
                return t.remote_host
    return None


def tries(s: SaState, idle: Collection[int]) -> bool:
    """Return whether an SA is a sign that a Child SA is being brought up.

    That is an established IKE SA which isn't ``idle``, or a negotiation that we began (but no rekey
    of an IKE SA).
    """
    if is_ike(s):
        return s.serial not in idle
    if s.stage is Stage.REKEYING and s.kind is SaKind.IKE:
        return False
    return s.role is Role.INITIATOR and s.stage not in (
        Stage.ESTABLISHED, Stage.DELETING, Stage.INFORMATIONAL, Stage.UNKNOWN
    )  # fmt: skip


def is_child(s: SaState) -> bool:
    """Return whether an SA is an established Child SA."""
    return s.kind is SaKind.CHILD and s.stage is Stage.ESTABLISHED


def left_over(child: SaState, connection: Connection, serials: Collection[int]) -> bool:
    """Return whether an established Child SA carries no traffic: its connection doesn't use it.

    Its connection names no Child SA, it is neither the newest nor the eroute owner, and its IKE SA
    isn't among ``serials``, those of all SAs that are listed. Seen in 5.4 and main, where both
    sides began an IKEv1 exchange at once. Each sign alone is found in Child SAs that carry
    traffic: the older of two in a rekey owns nothing, an IKEv1 Child SA outlives its phase 1.
    """
    return (
        connection.names_no_child
        and not (child.newest or child.eroute_owner)
        and child.parent_serial is not None
        and child.parent_serial not in serials
    )


def is_ike(s: SaState) -> bool:
    """Return whether an SA is an established IKE SA."""
    return s.kind is SaKind.IKE and s.stage is Stage.ESTABLISHED
