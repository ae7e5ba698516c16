# SPDX-License-Identifier: MIT
"""How each tunnel is by one report alone: the first state that fits, in the order of TunnelState.

All that needs the past (how long it has been trying, whether it was lost) is the tracker's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipsecwatch.libreswan.status import ON_DEMAND
from ipsecwatch.report import Report, Role, SaKind, SaState, Stage
from ipsecwatch.tracking.grouping import Group, GroupKind, group_connections
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.report import Connection, ConnectionKey

__all__ = ["Observation", "is_child", "is_ike", "left_over", "observe_tunnels", "tries"]


@dataclass(frozen=True, slots=True)
class Observation:
    """What one report says of one tunnel."""

    group: Group
    state: TunnelState
    trying: bool
    """Something that isn't up is being tried, or is meant to be."""
    up: int
    """Children that are up."""
    states: tuple[SaState, ...]
    children: frozenset[int]
    """Serials of the established Child SAs."""
    parents: frozenset[int]
    """Serials of the IKE SAs above them."""

    @property
    def counts(self) -> bool:
        """Whether an instance is a tunnel: it has a Child, or we began it."""
        return (
            bool(self.up)
            or any(s.role is Role.INITIATOR for s in self.states)
            or any(c.wanted_up for c in self.group.connections())
        )


def observe_tunnels(
    report: Report, idle: Collection[int], known: Collection[str]
) -> dict[str, Observation]:
    """Look at all tunnels of a report, by key.

    ``idle`` are the IKE SAs that are no sign of trying. An instance that isn't among the
    ``known`` keys counts only once it is a tunnel.
    """
    states: dict[ConnectionKey, list[SaState]] = {}
    serials = {s.serial for s in report.states}
    for s in report.states:
        states.setdefault(s.key, []).append(s)
    wishes = {(p.name, p.instance) for p in report.pending}
    seen = {}
    for key, group in group_connections(report.connections).items():
        observed = _observe(group, states, serials, wishes, idle)
        if group.sort is not GroupKind.INSTANCE or key in known or observed.counts:
            seen[key] = observed
    return seen


def _observe(
    group: Group,
    states: dict[ConnectionKey, list[SaState]],
    serials: Collection[int],
    wishes: set[ConnectionKey],
    idle: Collection[int],
) -> Observation:
    mine: list[SaState] = []
    children: list[int] = []
    up = 0
    trying = False
    for members in group.children.values():
        own = [(s, c) for c in members for s in states.get(c.key, ())]
        mine += [s for s, _ in own]
        if carrying := [s.serial for s, c in own if is_child(s) and not left_over(s, c, serials)]:
            children += carrying
            up += 1
        elif any(c.wanted_up or c.key in wishes for c in members) or any(
            tries(s, idle) for s, _ in own
        ):
            trying = True
    if group.sort in (GroupKind.TEMPLATE, GroupKind.OPPORTUNISTIC):
        state, trying = TunnelState.WAITING, False
    else:
        state = _state(group, up, trying=trying)
    parents = frozenset([s.parent_serial for s in mine if s.parent_serial is not None])
    return Observation(group, state, trying, up, tuple(mine), frozenset(children), parents)


def _state(group: Group, up: int, *, trying: bool) -> TunnelState:
    if up:
        return TunnelState.UP if up == len(group.children) else TunnelState.PARTIAL
    if trying:
        return TunnelState.CONNECTING
    if any(c.routing in ON_DEMAND for c in group.connections()):
        return TunnelState.WAITING
    return TunnelState.DOWN


def tries(s: SaState, idle: Collection[int]) -> bool:
    """Return whether a state is a sign that we try to bring a Child up."""
    if is_ike(s):
        return s.serial not in idle
    if s.stage is Stage.REKEYING and s.kind is SaKind.IKE:
        return False
    return s.role is Role.INITIATOR and s.stage not in (
        Stage.ESTABLISHED, Stage.DELETING, Stage.INFORMATIONAL, Stage.UNKNOWN
    )  # fmt: skip


def is_child(s: SaState) -> bool:
    """Return whether a state is an established Child SA."""
    return s.kind is SaKind.CHILD and s.stage is Stage.ESTABLISHED


def left_over(child: SaState, connection: Connection, serials: Collection[int]) -> bool:
    """Return whether an established Child SA carries nothing, because its connection let it go.

    Seen in 5.4 and main, where both sides began an IKEv1 exchange at once. Each sign alone is
    found in Child SAs that carry traffic: the older of two in a rekey owns nothing, an IKEv1 Child
    outlives its phase 1. ``serials`` are those of all SAs that are listed.
    """
    return (
        connection.names_no_child
        and not (child.newest or child.eroute_owner)
        and child.parent_serial is not None
        and child.parent_serial not in serials
    )


def is_ike(s: SaState) -> bool:
    """Return whether a state is an established IKE SA."""
    return s.kind is SaKind.IKE and s.stage is Stage.ESTABLISHED
