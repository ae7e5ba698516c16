# SPDX-License-Identifier: MIT
"""The clients of templates in one report, and which client of each identity came last."""

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
    """Answers by one report which tunnels are clients, and which client replaced another one."""

    def __init__(self, observations: Mapping[str, Observation]) -> None:
        self._templates: set[str] = set()
        self._newest: dict[tuple[str, str], tuple[int, str, str]] = {}
        """For a template and an identity: the serial of the newest IKE SA, the key of its tunnel,
        and the peer's address."""
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
        """Return whether a tunnel is a client's: an instance of a template that is listed."""
        return any(c.instance and c.name in self._templates for c in record.tunnel.connections)

    def successor(self, record: TunnelRecord) -> str | None:
        """Return the address of the client that took the place of a tunnel's.

        That is the client of the same template with the same identity whose IKE SA is the newest.
        None if that is this tunnel's own, if there is none, or if this tunnel had no IKE SA.
        """
        mine = max(record.parents, default=0)
        for c in record.tunnel.connections:
            who = identity(c)
            ike, key, address = self._newest.get((c.name, who or ""), (0, "", ""))
            if c.instance and ike > mine > 0 and key != record.tunnel.key:
                return address
        return None


def identity(c: Connection) -> str | None:
    """Return the identity of a connection's peer as pluto prints it; None: it printed none."""
    return c.topologies[0].remote_id if c.topologies else None


def user_of(tunnel: Tunnel) -> str | None:
    """Return the user of a template's instance: the user name, else the identity, that it gave.

    None for a tunnel that is no instance of a template, or if neither is known. The text is as the
    peer sent it.
    """
    for c in tunnel.connections:
        if c.instance and tunnel.name == clean(c.full_name):
            names = (s.sa.username for s in tunnel.states if s.sa)
            return next(filter(None, names), None) or identity(c)
    return None
