# SPDX-License-Identifier: MIT
"""The clients of templates in one report, and which client of each identity connected last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.grouping import GroupKind
from ipsecwatch.tracking.held_sas import hosts_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.report import Connection
    from ipsecwatch.tracking.observation import Observation
    from ipsecwatch.tracking.records import TunnelRecord
    from ipsecwatch.tunnel import Tunnel


class Clients:
    """Looks up in one report which tunnels are clients, and which client replaced another one.

    A client is an instance of a template for anybody.
    """

    def __init__(self, observations: Mapping[str, Observation]) -> None:
        self._templates: set[str] = set()
        self._newest: dict[tuple[str, str], tuple[int, str, str]] = {}
        """By the names of template and identity: the client with the newest IKE SA, as the serial
        of that SA, the key of the client's tunnel, and the peer's address."""
        for key, observed in observations.items():
            for c in observed.group.connections():
                if observed.group.sort is GroupKind.TEMPLATE:
                    self._templates.add(c.name)
                elif observed.group.sort is GroupKind.INSTANCE:
                    self._add(key, c, max(observed.parents, default=0))

    def _add(self, key: str, c: Connection, ike: int) -> None:
        who = identity(c)
        if who is not None:
            newest = self._newest.get((c.name, who), (0, "", ""))
            self._newest[c.name, who] = max(newest, (ike, key, hosts_of(c)[0][1]))

    def is_one(self, record: TunnelRecord) -> bool:
        """Return whether a tunnel is a client: an instance of a template that the report lists."""
        return any(c.instance and c.name in self._templates for c in record.tunnel.connections)

    def successor(self, record: TunnelRecord) -> str | None:
        """Return the peer's address of the client that took a tunnel's place; None: there is none.

        It is another client of the same template, with the same identity and a newer IKE SA. If
        there are several, it is the one with the newest. None as well if this tunnel had no Child
        SA.
        """
        mine = max(record.parents, default=0)
        for c in record.tunnel.connections:
            who = identity(c)
            ike, key, address = self._newest.get((c.name, who or ""), (0, "", ""))
            if c.instance and ike > mine > 0 and key != record.tunnel.key:
                return address
        return None


def identity(c: Connection) -> str | None:
    """Return the identity of a connection's peer, as pluto prints it; None: it printed none."""
    return c.topologies[0].remote_id if c.topologies else None


def user_of(tunnel: Tunnel) -> str | None:
    """Return who the client of a template is: the peer's user name, else its identity.

    None if the tunnel isn't a client, or neither is known. The peer chose the text: it isn't
    escaped.
    """
    for c in tunnel.connections:
        if c.instance and tunnel.name == clean(c.full_name):
            names = (s.sa.username for s in tunnel.states if s.sa)
            return next(filter(None, names), None) or identity(c)
    return None
