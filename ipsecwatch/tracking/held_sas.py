# SPDX-License-Identifier: MIT
"""The SAs of one tunnel whose end is to be explained, with all that a log line may name of them."""

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
"""Timers at whose end an SA ends: the first always, the second where the SA isn't renewed."""


@dataclass(frozen=True, slots=True)
class HeldSas:
    """A tunnel's SAs whose end is to be explained, as the last report with the tunnel has them."""

    names: frozenset[str]
    """The connections of these SAs, as the log names them."""
    children: frozenset[int]
    """Serials of the Child SAs."""
    serials: frozenset[int]
    """The same with those of the IKE SAs above them."""
    parents: Mapping[int, int] = field(default_factory=dict)
    """The IKE SA of each Child SA, where the report shows it."""
    hosts: frozenset[Hosts] = frozenset()
    born: int = 0
    """How many log lines had been read when the newest of them wasn't there yet: only later lines
    can be about their end."""
    seen: float = 0.0
    """When they were last seen, on the wall clock."""
    expiries: Mapping[int, float] = field(default_factory=dict)
    """When the lifetimes run out, by serial, on the wall clock."""
    ikev1: frozenset[int] = frozenset()
    """The Child SAs that are IKEv1's: pluto says in the log if the peer deleted one of them."""
    at_once: bool = False
    """Whatever ends them does so at once: none is established, so no peer can delay the end."""
    successor: bool = False
    """pluto is of 3.x, and a client with the same identity has a newer IKE SA. These releases log
    the same words for an instance that is replaced as for one that its peer deletes."""


def held_sas(record: TunnelRecord, seen: float, still: Collection[int] = ()) -> HeldSas:
    """Return the SAs that a tunnel had in the last report, which is from ``seen`` (wall clock).

    ``still`` are the serials of Child SAs that it still has: they are left out.
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
    """Return the pairs of addresses of a connection, ours first; "" for one that isn't known."""
    return [(t.local_host or "", t.remote_host or "") for t in connection.topologies]


def _left(s: SaState) -> int | None:
    """Return the seconds after which an SA ends unless it is renewed, or None if not printed."""
    for name in _LIFETIMES:
        timer = s.timer(name)
        if timer is not None:
            return timer.seconds
    return None
