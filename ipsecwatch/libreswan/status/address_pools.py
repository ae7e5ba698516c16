# SPDX-License-Identifier: MIT
"""Parse ``addresspoolstatus``: which addresses pluto has lent, and to which connections.

Source: programs/pluto/addresspool.c. A pool's line is followed by two lines for each lease. The
second of them names the connection that has the address.
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
    """An address of a pool that is lent to a peer, or was lent before."""

    address: str
    free: bool
    """Whether the address was given back."""
    conn_serial: int | None
    """The serial (``$12``) of the connection that has, or had, the address; None for ``$0``."""
    reusable_name: str | None
    """The name, as the peer sent it, for which the address is kept; None: it isn't kept."""
    name: str | None = None
    """The name of the connection that has the address.

    None: that connection doesn't exist any more, or the line that names it is missing.
    """
    instance: tuple[int, ...] = ()
    """The instance numbers of that connection."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A range of addresses for peers, with pluto's counts, and the leases that are listed."""

    range: str
    addresses: int
    leases: int
    in_use: int
    free: int
    reusable: int
    listed: tuple[Lease, ...]


def is_lease(line: str) -> bool:
    """Return whether a line has the form of the first or the second line about a lease."""
    return line.startswith("    ") and bool(_LEASE.fullmatch(line) or _OWNER.fullmatch(line))


def pools(lines: Iterable[str]) -> list[Pool]:
    """Return the address pools in the lines of ``Report.other``, each with its leases.

    Other lines are skipped. The result is empty if pluto has no pools, or for another command.
    """
    found: list[tuple[list[str], list[str]]] = []
    for line in lines:
        if m := _POOL.fullmatch(line):
            found.append((list(m.groups()), []))
        elif found and is_lease(line):
            found[-1][1].append(line)
    return [_pool(said, lines) for said, lines in found]


def is_whole(lines: Iterable[str]) -> bool:
    """Return whether no lease is missing, so that the answer wasn't cut off.

    Each pool must list as many leases as pluto counts in it, each with both of its lines. With no
    pools at all, the result is True.
    """
    listed = list(lines)
    named = sum(_OWNER.fullmatch(line) is not None for line in listed)
    counted = [(p.leases, len(p.listed)) for p in pools(listed)]
    return all(a == b for a, b in counted) and named == sum(a for a, _ in counted)


def _pool(said: list[str], lines: list[str]) -> Pool:
    addresses, leases, in_use, free, reusable = map(int, said[1:])
    return Pool(said[0], addresses, leases, in_use, free, reusable, tuple(_leases(lines)))


def _leases(lines: Iterable[str]) -> Iterator[Lease]:
    """Yield the leases of one pool, each from its two lines. The second line may be missing."""
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
