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
"""How pluto's text for a peer's host begins where the peer isn't one certain host. A DNS name that
doesn't resolve is one host."""

SUBNET_PAIR: Final = re.compile(r"(.*)/\d{1,5}x\d{1,5}", re.DOTALL)
"""The form of the names that leftsubnets= or rightsubnets= make (``office/1x2``); group 1 of the
match is the name in the configuration (``office``). A conn may also be named so without them."""


class GroupKind(Enum):
    """What the connections of a Group form together."""

    TUNNEL = auto()
    """A tunnel to one peer."""
    INSTANCE = auto()
    """One client of a template for anybody. It counts as a tunnel once it has a Child SA, we began
    an SA of it, or pluto is to keep it up."""
    TEMPLATE = auto()
    """A connection for anybody, which waits for clients."""
    OPPORTUNISTIC = auto()
    """A group of opportunistic policies, for whole networks."""


@dataclass(slots=True)
class Group:
    """The connections that form one tunnel, one template, or one group of opportunistic policies.

    ``children`` has them by the name of their child; a child is up with one Child SA of any of its
    connections. ``instances`` is how many instances a template (or group of policies) has; 0 for
    others. ``name`` isn't escaped.
    """

    key: str
    name: str
    sort: GroupKind
    children: dict[str, list[Connection]] = field(default_factory=dict)
    instances: int = 0
    unresolved: str | None = None
    """The peer's DNS name, where it doesn't resolve (yet); None: it resolves, or the peer has
    none."""

    def connections(self) -> Iterable[Connection]:
        """Return all connections of the group."""
        for members in self.children.values():
            yield from members


def group_connections(connections: Iterable[Connection]) -> dict[str, Group]:
    """Return the groups that connections form, by key. Pass and drop rules are left out.

    A key is the group's name, unescaped. To an instance's key its connection serial is added, if
    pluto prints one (from 4.0 on): ``rw[3]$17``. The name alone isn't enough, since pluto counts
    instances from 1 again when a template is loaded again.
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
    """Return the kind of the group that a connection is in, its child's name, the group's name.

    ``template`` is the listed connection of which ``c`` is an instance; None: there is none.
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
    """Return the name of a connection without the ``/1x2`` that leftsubnets= or rightsubnets= adds.

    If it was added, the name without it is among the connection's aliases. Otherwise the name is
    returned as it is.
    """
    m = SUBNET_PAIR.fullmatch(c.name)
    return m[1] if m and m[1] in c.aliases else c.name


def _for_anybody(c: Connection) -> bool:
    host = c.topologies[0].remote_host if c.topologies else None
    return host is not None and host.startswith(ANYBODY)
