# SPDX-License-Identifier: MIT
"""Group connections, which libreswan lists, into tunnels, which people know.

The two differ in four ways. Several subnets make several connections of one tunnel. An instance of
a template with a fixed peer is the tunnel itself. A template for anybody is no tunnel, but each of
its instances may be one. Opportunistic policies form groups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import Connection

ANYBODY: Final = ("%any", "%group", "%opportunistic", "%virtual")
"""How the text for a peer that isn't one host begins. An unresolved name counts as one host."""

SUBNET_PAIR: Final = re.compile(r"(.*)/\d{1,5}x\d{1,5}", re.DOTALL)
"""The form of the names that leftsubnets= or rightsubnets= make; a conn may also be named so. The
group is the name of the conn in the configuration."""


class GroupKind(Enum):
    """What the connections of a Group are together."""

    TUNNEL = auto()
    """A tunnel to one peer."""
    INSTANCE = auto()
    """One client of a template for anybody. It becomes a tunnel with its first Child SA, or where
    we began it or want it up."""
    TEMPLATE = auto()
    """A connection for anybody, which waits for clients."""
    OPPORTUNISTIC = auto()
    """A group of policies for whole networks."""


@dataclass(slots=True)
class Group:
    """The connections that form one tunnel, one template, or one group of opportunistic policies.

    ``children`` has them by the child's name: its connections need only one Child SA. ``instances``
    is the number of a template's (or a policy group's) instances. ``name`` isn't escaped.
    """

    key: str
    name: str
    sort: GroupKind
    children: dict[str, list[Connection]] = field(default_factory=dict)
    instances: int = 0
    unresolved: str | None = None
    """The peer's DNS name, where it doesn't resolve (yet)."""

    def connections(self) -> Iterable[Connection]:
        """Return all connections of the group."""
        for members in self.children.values():
            yield from members


def group_connections(connections: Iterable[Connection]) -> dict[str, Group]:
    """Return the groups that connections form, by key. Pass and drop rules are left out.

    A key is the group's name, unescaped. An instance's has ``$`` and its connection serial behind
    it where one is printed (from 4.0 on): instance numbers start again when a template is reloaded.
    """
    groups: dict[str, Group] = {}
    listed = [c for c in connections if not c.never_negotiates]
    templates = {c.name: c for c in listed if not c.instance}
    for c in listed:
        sort, base, shown = _place(c, templates.get(c.name))
        key = f"{shown}${c.conn_serial}" if sort is GroupKind.INSTANCE and c.conn_serial else shown
        group = groups.setdefault(key, Group(key, shown, sort))
        group.children.setdefault(base, []).append(c)
        if c.topologies and c.topologies[0].unresolved:
            group.unresolved = c.topologies[0].unresolved
        if sort is GroupKind.INSTANCE and (template := templates.get(c.name)) is not None:
            owner = groups.get(_place(template, None)[2])
            if owner is not None:
                owner.instances += 1
        elif sort is GroupKind.OPPORTUNISTIC and c.instance:
            group.instances += 1
    return groups


def _place(c: Connection, template: Connection | None) -> tuple[GroupKind, str, str]:
    """Return what a connection's group is, the name of its child in it, and the group's name.

    ``template`` is the listed connection of which this is an instance, if it is one.
    """
    name = _tunnel_name(c)
    if "OPPORTUNISTIC" in c.policy or "GROUP" in c.policy or "GROUPINSTANCE" in c.policy:
        group = c.name.partition("#")[0]
        return GroupKind.OPPORTUNISTIC, group, group
    if not c.instance:
        return (GroupKind.TEMPLATE if _for_anybody(c) else GroupKind.TUNNEL), c.name, name
    # Where the template's first line was lost, it isn't known whether it is for anybody.
    if template is not None and template.topologies and not _for_anybody(template):
        return GroupKind.TUNNEL, c.name, name
    return GroupKind.INSTANCE, c.name, c.full_name


def _tunnel_name(c: Connection) -> str:
    """Return the name without the ``/1x2`` that leftsubnets= or rightsubnets= adds.

    An alias shows that it was added. Without one, the name stays as it is.
    """
    m = SUBNET_PAIR.fullmatch(c.name)
    return m[1] if m and m[1] in c.aliases else c.name


def _for_anybody(c: Connection) -> bool:
    host = c.topologies[0].remote_host if c.topologies else None
    return host is not None and host.startswith(ANYBODY)
