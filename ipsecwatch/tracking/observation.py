# SPDX-License-Identifier: MIT
"""The state of each tunnel by one report alone: the first that fits, in the order of TunnelState.

This is the only place where a report becomes states, for the service and for a pasted text. If the
part of the answer that would decide a state is missing, the state is UNKNOWN, and the part is
named. All that needs the past is left to the tracker: how long a tunnel has been tried, and whether
it was lost.
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
    """What one report shows of one tunnel, template or opportunistic group."""

    group: Group
    state: TunnelState
    trying: bool
    """Whether a child that isn't up is being negotiated, or pluto is to keep it up. Always false
    for a template or opportunistic group."""
    up: int
    """How many children are up."""
    states: tuple[SaState, ...]
    children: frozenset[int]
    """Serials of the established Child SAs, except those that carry no traffic (left_over())."""
    parents: frozenset[int]
    """Serials of the IKE SAs that the state lines of Child SAs name as theirs."""
    missing: tuple[Part, ...] = ()
    """The parts that the answer lacks, and that would be needed to be sure of the state of each
    child."""

    @property
    def counts(self) -> bool:
        """Whether an instance counts as a tunnel.

        It does if a child of it is up, we began one of its SAs, or pluto is to keep it up.
        """
        return (
            bool(self.up)
            or any(s.role is Role.INITIATOR for s in self.states)
            or any(c.wanted_up for c in self.group.connections())
        )


def observe_tunnels(
    report: Report, idle: Collection[int], known: Collection[str]
) -> dict[str, Observation]:
    """Return what a report shows of each tunnel, template and opportunistic group, by key.

    ``idle`` are the serials of IKE SAs that are no sign that a tunnel is tried. An instance is left
    out unless Observation.counts is true or its key is among ``known``, the tunnels known so far.
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
    """What a report contains besides its connection list."""

    states: dict[ConnectionKey, list[SaState]]
    wishes: frozenset[ConnectionKey]
    """The connections that wait for an IKE SA, by a ``pending`` line."""
    carrying: frozenset[ConnectionKey]
    """The connections that have a Child SA by a line of ``trafficstatus`` or
    ``briefconnectionstatus``. Empty if the report lists all SAs, which decide then."""
    idle: Collection[int]
    """Serials of the IKE SAs that are no sign that a tunnel is tried."""
    instantiated: frozenset[str]
    """Names of the connections of which the list has instances."""
    serials: frozenset[int]
    """Serials of all listed SAs."""
    all_states: bool
    """The report lists all SAs: a child for which it lists no established Child SA isn't up."""

    @classmethod
    def of(cls, report: Report, idle: Collection[int]) -> _Evidence:
        """Return the evidence in a report. ``idle`` is for the field of this name."""
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
        """Return the serials of the established Child SAs of these connections.

        Those that carry no traffic (left_over()) are left out.
        """
        return [
            s.serial
            for c in members
            for s in self.states.get(c.key, ())
            if is_child(s) and not left_over(s, c, self.serials)
        ]


def _carrying(report: Report) -> frozenset[ConnectionKey]:
    """Return the connections that are up by ``trafficstatus`` or ``briefconnectionstatus``.

    A line of ``trafficstatus`` isn't believed if a state line shows that its SA isn't established.
    """
    # A state line that says otherwise decides: the kernel counts for half of a Child, too.
    larval = {s.serial for s in report.states if not s.established}
    counted = [(t.name, t.instance) for t in report.traffic if t.serial not in larval]
    briefs = [(b.name, b.instance) for b in brief_connections.briefs(report.other)]
    return frozenset([*counted, *briefs])


def _with_aliases(connections: Sequence[Connection]) -> list[Connection]:
    """Return connections, with an alias added where the line ``aliases:`` was lost.

    The alias is what the name shows (``office`` for ``office/1x2``). It is added only if the
    ``aliases:`` line of another connection has the same one.
    """
    known = {alias for c in connections for alias in c.aliases}
    return [_with_alias(c, known) for c in connections]


def _with_alias(c: Connection, known: Collection[str]) -> Connection:
    m = None if c.aliases else SUBNET_PAIR.fullmatch(c.name)
    return replace(c, aliases=(m[1],)) if m is not None and m[1] in known else c


def _unlisted(report: Report) -> list[Connection]:
    """Return made-up connections for the names in other lines that an incomplete list lacks.

    These are the lines about SAs, pending SAs, traffic and brief connections. For a negotiation
    that the other side began and that isn't finished, none is made up: anybody may have begun it.
    """
    listed = {c.key for c in report.connections}
    keys = [s.key for s in report.states if s.established or s.role is Role.INITIATOR]
    keys += [(p.name, p.instance) for p in report.pending]
    known = dict.fromkeys([*keys, *_carrying(report)])
    return [_made_up(*key) for key in known if key not in listed]


def _made_up(name: str, instance: tuple[int, ...]) -> Connection:
    """Return a connection of which only name and instance are known, and the alias in the name."""
    m = SUBNET_PAIR.fullmatch(name)
    aliases = (m[1],) if m else ()
    return Connection(name, instance, aliases=aliases, policy_known=False, routing_known=False)


class _Child(Enum):
    """What a report shows of one child of a tunnel."""

    UP = auto()
    """It has a Child SA."""
    UNCLEAR = auto()
    """The report doesn't show whether it has a Child SA."""
    TRIED = auto()
    """It isn't up. It is being negotiated, or pluto is to keep it up."""
    WISH_UNCLEAR = auto()
    """It isn't up or being negotiated. The report doesn't show whether pluto is to keep it up."""
    IDLE = auto()
    """It isn't up, nor tried."""


def _observe(group: Group, evidence: _Evidence) -> Observation:
    """Return what a report shows of one group: its state, its SAs, and which parts are missing.

    The state follows from that of each child. Templates and opportunistic groups are always
    WAITING, with nothing missing.
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
    """Return how one child of a tunnel is, and which missing part would be needed to be sure.

    That part is None if none is missing. ``members`` are the child's connections, ``own`` their
    SAs. ``has_child``: one of these is an established Child SA.
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
    """Return whether a child without an established Child SA in the report is up; None: not known.

    If the report has all SAs, the child isn't up. Else the connection list and other commands'
    lines decide.
    """
    if evidence.all_states:
        return False
    if any(c.key in evidence.carrying or _is_listed_up(c) for c in members):
        return True
    return False if all(_is_listed_down(c) for c in members) else None


def _may_be_template(members: Sequence[Connection], evidence: _Evidence) -> bool:
    """Return whether one of these connections may be a template.

    Its first line was lost, so that it isn't known for which peer it is, but instances of it are
    listed.
    """
    return any(not c.topologies and c.name in evidence.instantiated for c in members)


_UP: Final = frozenset({"erouted", "routed-tunnel"})
"""Routing words of a connection that has a Child SA: the first up to 4.15, the second later."""
_NOT_UP: Final = frozenset(
    {
        "unrouted", "unrouted HOLD", "prospective erouted", "erouted HOLD", "unoriented",
        "routed-ondemand", "routed-negotiation", "unrouted-negotiation", "routed-never-negotiate",
        "unrouted-bare-negotiation",
    }
)  # fmt: skip
"""Routing words of a connection that has no Child SA. Words that are neither here nor in _UP don't
show it."""


_NEGOTIATING: Final = frozenset(
    {"routed-negotiation", "unrouted-negotiation", "unrouted-bare-negotiation"}
)
"""Routing words of a connection that is being negotiated from here. They exist from 5.0 on."""


def _is_listed_up(c: Connection) -> bool:
    return c.newest_child is not None or c.routing in _UP


def _is_listed_down(c: Connection) -> bool:
    return not _is_listed_up(c) and (c.routing_known or c.routing in _NOT_UP)


def _is_tried(members: Sequence[Connection], own: Sequence[SaState], evidence: _Evidence) -> bool:
    """Return whether one child of a tunnel is being negotiated, or pluto is to keep it up.

    A ``pending`` line shows it as well, and the routing words if not all SAs are listed. ``own``
    are the SAs of its connections (``members``).
    """
    waits = _awaits_labels(members, own)
    return (
        (any(c.wanted_up for c in members) and not waits)
        or any(c.key in evidence.wishes for c in members)
        or any(tries(s, evidence.idle) for s in own if not (waits and is_ike(s)))
        or (not evidence.all_states and any(c.routing in _NEGOTIATING for c in members))
    )


def _awaits_labels(members: Sequence[Connection], own: Sequence[SaState]) -> bool:
    """Return whether a child needs no Child SA before there is traffic with a security label.

    With IKEv2, pluto then establishes the IKE SA alone, even if somebody brings the tunnel up.
    """
    return (
        any(c.routing in ON_DEMAND for c in members)
        and any(is_ike(s) and s.ike_version == 2 for s in own)
        and any(c.labelled for c in members)
    )


def _state(group: Group, children: Sequence[_Child]) -> TunnelState:
    """Return a tunnel's state from its children. It is never STUCK, which the tracker decides.

    It is UNKNOWN if a child that isn't clear could change it.
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
    """Return a tunnel with all that a report shows of it, except its state.

    What the tracker decides stays as it is: state, reason, detail, times, attempts, ``incoming``.
    """
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
    """Return the peer's address: that of an SA, else the configured one; None: neither is known."""
    for s in observed.states:
        if s.sa is not None and s.sa.remote_address:
            return s.sa.remote_address
    for c in observed.group.connections():
        for t in c.topologies:
            if t.remote_host and not t.remote_host.startswith("%"):
                return t.remote_host
    return None


def tries(s: SaState, idle: Collection[int]) -> bool:
    """Return whether an SA is a sign that somebody tries to bring a Child SA up.

    It is if it is an established IKE SA that isn't ``idle``, or a negotiation that we began. The
    rekey of an IKE SA is no sign.
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
    """Return whether an established Child SA carries no traffic, as its connection doesn't use it.

    Three signs together show it: the connection names no Child SA; this one is neither the newest
    nor the eroute owner; its IKE SA isn't among ``serials``, those of all listed SAs. It was seen
    in 5.4 and main, where both sides began an IKEv1 exchange at once. One sign alone isn't enough:
    the older of two Child SAs in a rekey owns nothing, and an IKEv1 Child SA outlives its phase 1,
    but both carry traffic.
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
