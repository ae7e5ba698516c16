# SPDX-License-Identifier: MIT
"""What of an answer can be believed, where a peer's text may have been taken for pluto's.

pluto prints no newline that a peer sent, in any release; but nobody promises it. Text that forges
whole lines stands where a peer's text does: in the middle of its own connection, or behind its
user name. There pluto's own counts tell that there is too much, and what is too much is left out.
An answer that still doesn't agree with itself is not believed at all.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.libreswan.grammar import NUMBER
from ipsecwatch.libreswan.state_table import UNCOUNTED
from ipsecwatch.libreswan.status import connections
from ipsecwatch.libreswan.status.blocks import split
from ipsecwatch.report import SaKind, SaState, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipsecwatch.libreswan.status.blocks import Block
    from ipsecwatch.libreswan.status.connections import Odd
    from ipsecwatch.report import Connection, Totals


# --- Connections ------------------------------------------------------------------------------


class Sifted(NamedTuple):
    """The connections that are believed, the lines that are not, and a doubt about it all."""

    listed: dict[str, Connection]
    odd: dict[str, tuple[int, Odd]]
    strangers: list[tuple[int, str]]
    doubt: str | None = None


def agree(
    listed: Mapping[str, Connection], odd: Mapping[str, tuple[int, Odd]], loaded: int | None
) -> bool:
    """Tell whether there are as many connections as pluto counts, each with one end.

    Where pluto doesn't say how many there are, all is taken as it comes.
    """
    if loaded is None:
        return True
    return len(listed) == loaded and all(o.closings == 1 for _, o in odd.values())


def sift_connections(text: str, loaded: int | None) -> Sifted:
    """Put connections together whose lines don't all follow each other, or are too many."""
    found = list(split(text))
    listed, odd = _merge(text, found)
    if loaded is None or (agree(listed, odd, loaded) and _in_one_piece(found, len(listed))):
        return Sifted(listed, odd, [])
    own, strangers = _untangle(found)
    believed, believed_odd = _merge(text, own)
    if agree(believed, believed_odd, loaded) and _in_one_piece(own, len(believed)):
        lines = [
            (_number(text, block) + i, block.key + line)
            for block in strangers
            for i, line in enumerate(block.lines)
        ]
        return Sifted(believed, believed_odd, lines)
    doubt = "the connection list contradicts itself"
    if len(listed) < loaded:
        doubt = "cut off within the connection list"
    return Sifted(listed, odd, [], doubt)


def _merge(
    text: str, found: Iterable[Block]
) -> tuple[dict[str, Connection], dict[str, tuple[int, Odd]]]:
    """Read each connection; one that comes in several runs is read from all of them."""
    together: dict[str, list[Block]] = {}
    for block in found:
        together.setdefault(block.key, []).append(block)
    listed: dict[str, Connection] = {}
    odd: dict[str, tuple[int, Odd]] = {}
    dull: set[str] = set()
    for key, mine in together.items():
        read = connections.read(_joined(mine), dull)
        if read is None:
            continue
        listed[key], what = read
        if what is not None:
            odd[key] = _number(text, mine[0]), what
    return listed, odd


def _number(text: str, block: Block) -> int:
    return text.count("\n", 0, block.at) + 1


def _joined(mine: Sequence[Block]) -> Block:
    """Join runs of one connection, whose lines may begin in two ways."""
    lines = [line for block in mine for line in block.lines]
    text = "\n".join([mine[0].begin + line for line in lines])
    return replace(mine[0], text=text, lines=lines)


def _in_one_piece(found: Sequence[Block], count: int) -> bool:
    return sum(a.key != b.key for a, b in pairwise(found)) + bool(found) == count


def _untangle(found: Iterable[Block]) -> tuple[list[Block], list[Block]]:
    """Leave out what stands within a connection that isn't over, or comes back to one that is."""
    own: list[Block] = []
    strangers: list[Block] = []
    within: str | None = None
    over: set[str] = set()
    for block in found:
        if block.key in over or within not in (None, block.key):
            strangers.append(block)
            continue
        own.append(block)
        within = block.key
        read = connections.read(block, set())
        if read is not None and (read[1] is None or read[1].closings):
            over.add(block.key)
            within = None
    return own, strangers


# --- States -----------------------------------------------------------------------------------


class Believed(NamedTuple):
    """The states that are believed, the indices of those that aren't, and a doubt about it all."""

    states: list[SaState]
    strangers: Sequence[int] = ()
    doubt: str | None = None


def sift_states(
    found: Sequence[SaState], totals: Totals, listed: Iterable[Connection], tainted: int | None
) -> Believed:
    """Choose the states of a status that are believed.

    Those from the index ``tainted`` on stand behind a peer's text. Of those that the connection
    list doesn't bear out as many are left out as are too many. Where that can't be said of single
    ones, or two have one serial, the answer is doubtful.
    """
    once = len({s.serial for s in found}) == len(found)
    if once and (tainted is None or _all_up(found, totals) or not _surplus(found, totals)):
        doubt = _MORE if _excess(found, totals) else _lack(found, totals)
        return Believed(list(found), (), doubt)
    owners = _owners(listed)
    keep, doubt = _once(found, owners)
    doubtful = {
        i for i in keep if tainted is not None and i >= tainted and not _borne_out(found[i], owners)
    }
    for kind, excess in _excess([found[i] for i in keep], totals).items():
        forged = {i for i in doubtful if not found[i].guessed and _counted(found[i]) is kind}
        if len(forged) == excess:
            keep -= forged
    if _surplus([found[i] for i in keep], totals):
        keep -= {i for i in doubtful if found[i].guessed or _counted(found[i]) is None}
    kept = [found[i] for i in sorted(keep)]
    if _excess(kept, totals):
        doubt = _MORE
    strangers = sorted(set(range(len(found))) - keep)
    return Believed(kept, strangers, doubt or _lack(kept, totals))


_MORE: Final = "there are more SAs than pluto counts"


def _once(
    found: Sequence[SaState], owners: Mapping[int, set[Owner]]
) -> tuple[set[int], str | None]:
    """Choose of two with one serial the one that the connection list bears out.

    Both or neither is borne out: whatever the one says of its tunnel, the other may belie.
    """
    same: dict[int, list[int]] = {}
    for i, s in enumerate(found):
        same.setdefault(s.serial, []).append(i)
    keep: set[int] = set()
    doubt = None
    for indices in same.values():
        own = [i for i in indices if _borne_out(found[i], owners)] if len(indices) > 1 else indices
        if len(own) != 1:
            doubt = "two SAs have the same serial"
        keep.add((own or indices)[0])
    return keep, doubt


Owner = tuple[str, tuple[int, ...]]
"""A connection's name and instance."""

_SERIALS: Final = re.compile(rf"\bSA:? #({NUMBER});", re.ASCII)


def _owners(listed: Iterable[Connection]) -> dict[int, set[Owner]]:
    """Say to which connections, by the connection list, each SA belongs."""
    owners: dict[int, set[Owner]] = {}
    for c in listed:
        told = [n for n in (c.newest_ike, c.newest_child, c.owner) if n is not None]
        for line in c.lines:
            if line.startswith(("   routing:", "   host:")):  # from 5.0 on; larval ones, too
                told += map(int, _SERIALS.findall(line))
        for serial in told:
            owners.setdefault(serial, set()).add((c.name, c.instance))
    return owners


def _borne_out(s: SaState, owners: Mapping[int, set[Owner]]) -> bool:
    """Tell whether the connection list names an SA; an IKE SA may be listed with another name."""
    own = owners.get(s.serial)
    return own is not None and (s.kind is not SaKind.CHILD or (s.name, s.instance) in own)


def _all_up(found: Sequence[SaState], totals: Totals) -> bool:
    """Tell whether all is established, and as many as pluto counts; mostly it is."""
    kinds = [s.kind for s in found if s.stage is Stage.ESTABLISHED]
    children = kinds.count(SaKind.CHILD)
    return len(kinds) == len(found) and (
        (totals.ipsec.get("total"), totals.ike.get("total")) == (children, len(kinds) - children)
    )


def _excess(found: Sequence[SaState], totals: Totals) -> dict[SaKind, int]:
    """Say how many SAs of each kind there are more than pluto counts; those that are too many.

    Words that we don't know may be counted in a way that we don't know.
    """
    counts = Counter(_counted(s) for s in found if not s.guessed)
    known = ((SaKind.IKE, totals.ike.get("total")), (SaKind.CHILD, totals.ipsec.get("total")))
    return {k: counts[k] - n for k, n in known if n is not None and counts[k] > n}


def _surplus(found: Sequence[SaState], totals: Totals) -> bool:
    """Tell whether there are more SAs than pluto counts of both kinds.

    That alone means nothing: from 5.0 on it counts no Child before it is established.
    """
    counted = totals.ike.get("total"), totals.ipsec.get("total")
    return None not in counted and len(found) > sum(n or 0 for n in counted)


def _lack(found: Sequence[SaState], totals: Totals) -> str | None:
    counted = totals.ike.get("total", 0) + totals.ipsec.get("total", 0)
    return "cut off within the states" if len(found) < counted else None


def _counted(s: SaState) -> SaKind | None:
    """Say under which total every release counts a state; None: some releases under none.

    A larval IKEv2 child counts as an IKE SA up to 4.x, and later not at all; an IKE SA of which
    nothing was sent yet, for some milliseconds, not (4.10).
    """
    if s.story in UNCOUNTED:
        return None
    if s.ike_version == 1:
        return s.kind
    if s.kind is SaKind.CHILD:
        return SaKind.CHILD if s.stage is Stage.ESTABLISHED else None
    return None if s.stage in (Stage.REKEYING, Stage.DELETING) else s.kind
