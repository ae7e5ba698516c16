# SPDX-License-Identifier: MIT
"""Parse ``addresspoolstatus``: which addresses pluto has lent, and to which connections.

Source: programs/pluto/addresspool.c. A pool's line is followed by two for each lease, the second
of which names the connection that has it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.status.states import instance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_POOL: Final = re.compile(
    r"address pool (\S{2,100}): (\d{1,10}) addresses, (\d{1,10}) leases, (\d{1,10}) in-use, "
    r"(\d{1,10}) free \((\d{1,10}) reusable\)\s*",
    re.ASCII,
)
_LEASE: Final = re.compile(
    r" {4}([0-9a-fA-F:.]{2,60}) (free|assigned to) \$(\d{1,20})(?: {1,2}(.*))?",
    re.ASCII | re.DOTALL,
)
_OWNER: Final = re.compile(
    rf' {{5,80}}(?:"({grammar.name()})"({grammar.instances()}).*'
    r"|connection \$\d{1,20} does not exist\s*)",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Lease:
    """An address of a pool that is lent, or was lent before."""

    address: str
    free: bool
    """It was given back."""
    conn_serial: int | None
    reusable_name: str | None
    """The name of the peer that will get the address again, as it sent it; None: nobody will."""
    name: str | None = None
    """The connection that has it; None: there is none any more, or its line is missing."""
    instance: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """A range of addresses, with the numbers that pluto gives."""

    range: str
    addresses: int
    leases: int
    in_use: int
    free: int
    reusable: int
    listed: tuple[Lease, ...]


def is_lease(line: str) -> bool:
    """Return whether a line has the form of one of the two about a lease."""
    return line.startswith("    ") and bool(_LEASE.fullmatch(line) or _OWNER.fullmatch(line))


def pools(lines: Iterable[str]) -> list[Pool]:
    """Return the address pools among the lines of a report that are about no connection or SA."""
    found: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if m := _POOL.fullmatch(line):
            found.append((list(m.groups()), []))
        elif found and is_lease(line):
            found[-1][1].append(line)
    return [_pool(said, lines) for said, lines in found]


def is_whole(lines: Iterable[str]) -> bool:
    """Return whether each pool lists as many leases as it counts, each with both of its lines."""
    listed = list(lines)
    named = sum(_OWNER.fullmatch(line) is not None for line in listed)
    counted = [(p.leases, len(p.listed)) for p in pools(listed)]
    return all(a == b for a, b in counted) and named == sum(a for a, _ in counted)


def _pool(said: list[str], lines: list[str]) -> Pool:
    addresses, leases, in_use, free, reusable = map(int, said[1:])
    return Pool(said[0], addresses, leases, in_use, free, reusable, tuple(_leases(lines)))


def _leases(lines: Iterable[str]) -> Iterator[Lease]:
    """Yield the leases of a pool, each from its two lines; the second one may be missing."""
    said: re.Match[str] | None = None
    for line in lines:
        if m := _LEASE.fullmatch(line):
            if said is not None:
                yield _lease(said, None)
            said = m
        elif said is not None:
            yield _lease(said, _OWNER.fullmatch(line))
            said = None
    if said is not None:
        yield _lease(said, None)


def _lease(said: re.Match[str], owner: re.Match[str] | None) -> Lease:
    address, how, serial, who = said.groups()
    name = owner[1] if owner is not None else None
    numbers = instance(owner[2]) if owner is not None and owner[2] else ()
    return Lease(address, how == "free", int(serial) or None, who or None, name, numbers)
