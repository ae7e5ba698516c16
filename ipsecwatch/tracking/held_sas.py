# SPDX-License-Identifier: MIT
"""The SAs of one tunnel whose end is to be explained, with all that log lines may name of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.report import instance_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ipsecwatch.report import Connection, SaState
    from ipsecwatch.tracking.records import TunnelRecord

Hosts = tuple[str, str]
"""Our address and the peer's, as pluto prints them."""

_LIFETIMES: Final = ("EXPIRE", "REPLACE")
"""The timers at whose end an SA ends: at the end of EXPIRE in any case, at that of REPLACE only if
the SA isn't renewed."""


@dataclass(frozen=True, slots=True)
class HeldSas:
    """A tunnel's SAs whose end is to be explained, as the last report that had them shows them."""

    names: frozenset[str]
    """The connections of these SAs, as the log names them (``rw[3]``)."""
    children: frozenset[int]
    """Serials of the Child SAs."""
    serials: frozenset[int]
    """Serials of the Child SAs and of the IKE SAs above them."""
    parents: Mapping[int, int] = field(default_factory=dict)
    """By the serial of each Child SA, that of its IKE SA, where the report shows it."""
    hosts: frozenset[Hosts] = frozenset()
    born: int = 0
    """The number of the last log line that had been read before the newest of the Child SAs came.
    Only later lines can be about their end."""
    seen: float = 0.0
    """When the last report that had them was read, on the wall clock."""
    expiries: Mapping[int, float] = field(default_factory=dict)
    """By the serial of an IKE SA or Child SA: when its lifetime ends, on the wall clock."""
    ikev1: frozenset[int] = frozenset()
    """Serials of the Child SAs of IKEv1. If the peer deletes one of these, pluto logs that it
    did."""
    at_once: bool = False
    """None of the SAs is established, so that each ends at once: pluto waits for no answer of the
    peer. Therefore a line from long before ``seen`` isn't about their end."""
    successor: bool = False
    """pluto is of 3.x, and a client with the same identity has a newer IKE SA. These releases log
    the same words for an instance that is replaced as for one that its peer deletes."""


def held_sas(record: TunnelRecord, seen: float, still: Collection[int] = ()) -> HeldSas:
    """Return the SAs of a tunnel by the last report that had them, read at ``seen`` (wall clock).

    ``still`` are the serials of the Child SAs that it has now: they are left out.
    """
    t = record.tunnel
    children = record.children.difference(still)
    shown = [s for s in t.states if s.serial in children]
    parents = {s.parent_serial for s in shown if s.parent_serial is not None} or record.parents
    states = [*shown, *(s for s in t.states if s.serial in parents)]
    names = {instance_name(*s.key) for s in shown} or {c.full_name for c in t.connections}
    return HeldSas(
        names=frozenset(names),
        children=children,
        serials=children.union(parents),
        parents={s.serial: s.parent_serial for s in shown if s.parent_serial is not None},
        hosts=frozenset([h for c in t.connections if c.full_name in names for h in hosts_of(c)]),
        born=record.born,
        seen=seen,
        expiries={s.serial: seen + left for s in states if (left := _left(s)) is not None},
        ikev1=frozenset([s.serial for s in shown if s.ike_version == 1]),
    )


def hosts_of(connection: Connection) -> list[Hosts]:
    """Return the two addresses of a connection, ours first, for each of its topologies.

    "" stands for an address that pluto didn't print.
    """
    return [(t.local_host or "", t.remote_host or "") for t in connection.topologies]


def _left(s: SaState) -> int | None:
    """Return the seconds until an SA ends if it isn't renewed; None: pluto printed no such timer.

    Negative: its lifetime is over. EXPIRE is used, or REPLACE if there is no EXPIRE.
    """
    for name in _LIFETIMES:
        timer = s.timer(name)
        if timer is not None:
            return timer.seconds
    return None
