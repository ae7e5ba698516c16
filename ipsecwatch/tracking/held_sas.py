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
"""Timers at which an SA's life ends: the second where it isn't to be renewed."""


@dataclass(frozen=True, slots=True)
class HeldSas:
    """What a tunnel held by the last report that showed it."""

    names: frozenset[str]
    """Its connections, as the log names them."""
    children: frozenset[int]
    """Serials of its Child SAs."""
    serials: frozenset[int]
    """The same with those of the IKE SAs above them."""
    parents: Mapping[int, int] = field(default_factory=dict)
    """The IKE SA of each Child SA, where the report told it."""
    hosts: frozenset[Hosts] = frozenset()
    born: int = 0
    """How many lines had been read when the Child SAs weren't there yet."""
    seen: float = 0.0
    """When they were last seen, on the wall clock."""
    expiries: Mapping[int, float] = field(default_factory=dict)
    """When the lifetimes run out, by serial, on the wall clock."""
    ikev1: frozenset[int] = frozenset()
    """The Child SAs that are IKEv1's: pluto says in the log if the peer deleted one of them."""
    at_once: bool = False
    """Whatever ends them does so at once: none is established, so no peer can delay the end."""
    successor: bool = False
    """A client with the same identity has a newer IKE SA of another instance, and pluto (to 3.32)
    logs no more of an instance that is replaced than of one that its peer deletes."""


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
    """Return the pairs of addresses that a connection runs between."""
    return [(t.local_host or "", t.remote_host or "") for t in connection.topologies]


def _left(s: SaState) -> int | None:
    """Return the seconds after which an SA ends unless it is renewed, or None if not printed."""
    for name in _LIFETIMES:
        timer = s.timer(name)
        if timer is not None:
            return timer.seconds
    return None
