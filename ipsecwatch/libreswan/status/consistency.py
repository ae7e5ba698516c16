# SPDX-License-Identifier: MIT
"""What of an answer can be believed, where a peer's text may have been taken for pluto's.

pluto prints no newline that a peer sent, in any release; but nobody promises it. Text that forges
whole lines stands where a peer's text does: within its own connection, whose last lines are
pluto's, or behind its user name. What stands within a connection is none of the others', whatever
it looks like, and is left out. Behind a user name pluto's own counts tell that there is too much,
and what is too much is left out. An answer that still doesn't agree with itself is not believed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.libreswan.grammar import NUMBER, PREFIX
from ipsecwatch.libreswan.state_table import UNCOUNTED
from ipsecwatch.libreswan.status import connections, sections
from ipsecwatch.libreswan.status.blocks import split, take
from ipsecwatch.report import Role, SaKind, SaState, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipsecwatch.libreswan.status.blocks import Block
    from ipsecwatch.libreswan.status.connections import Odd
    from ipsecwatch.report import Connection, Totals


# --- Connections ------------------------------------------------------------------------------


CONTRADICTION: Final = "the connection list contradicts itself"


def disagreement(
    listed: Mapping[str, Connection], odd: Mapping[str, tuple[int, Odd]], loaded: int | None
) -> str | None:
    """Return what contradicts a connection list, or None if nothing does.

    It has as many connections as pluto counts, and each has what it has once but once. Where pluto
    doesn't say how many there are, all is taken as it comes.
    """
    if loaded is None:
        return None
    if len(listed) < loaded:
        return "cut off within the connection list"
    if len(listed) > loaded or any(o.closings != 1 or o.twice for _, o in odd.values()):
        return CONTRADICTION
    return None


class Sifted(NamedTuple):
    """A text without the lines that aren't believed, what these are, and a doubt about the rest."""

    text: str
    numbers: Sequence[int] = ()
    """The numbers that its lines had; empty: all are there."""
    strangers: Sequence[tuple[int, str]] = ()
    doubt: str | None = None


_LIST_END: Final = re.compile(PREFIX + re.escape(sections.IPSEC_TOTAL), re.ASCII)


def sift_connections(text: str) -> Sifted:
    """Leave out what stands within a connection and isn't its own.

    In every release the lines of a connection follow each other, and the one that closes it stands
    behind all that its peer may have chosen. So what a peer forges stands in front of the line that
    closes its own connection, unless it forges that one, too. Then there are two of them, and
    nobody can say what is whose. The same goes for lines of one connection in two places.
    """
    within = last = ""
    ends = 0
    gaps: list[tuple[int, int]] = []
    own: set[str] = set()
    closings: Counter[str] = Counter()
    scattered = False
    at = 0
    while (end := text.find("\n", at)) >= 0:
        block = take(text, at, end)
        if block is not None and not within and not is_own(block):
            at = block.end
            continue
        if block is None:
            if not within and _LIST_END.match(text, at):
                break
            at = end + 1
            continue
        key, at = block.key, block.end
        closings[key] += _closings(block)
        if within and key != within:
            continue
        if within and text[ends : block.at].strip():
            gaps.append((ends, block.at))
        scattered = scattered or (key in own and key != last)
        own.add(key)
        last, ends = key, at
        within = "" if closings[key] else key
    unclear = any(n > 1 for n in closings.values()) or any(closings[key] != 1 for key in own)
    if scattered or (gaps and unclear):
        return Sifted(text, doubt=CONTRADICTION)
    return _without(text, gaps)


def is_listed(line: str) -> bool:
    """Return whether a line, whole or the begin of one, is a connection's of the list."""
    block = take(line, 0, len(line))
    return block is not None and is_own(block)


def is_own(block: Block) -> bool:
    """Return whether there is at least one line of a connection among these."""
    return any(map(connections.is_line, block.lines))


def _closings(block: Block) -> int:
    read = connections.read(block, set())
    return 1 if read is None or read[1] is None else read[1].closings


def _without(text: str, gaps: Iterable[tuple[int, int]]) -> Sifted:
    """Cut some lines out of a text."""
    parts: list[str] = []
    numbers: list[int] = []
    strangers: list[tuple[int, str]] = []
    at, number = 0, 1
    for begin, end in gaps:
        parts.append(text[at:begin])
        own = range(number, number + parts[-1].count("\n"))
        numbers += own
        cut = text[begin:end].split("\n")[:-1]
        strangers += enumerate(cut, own.stop)
        at, number = end, own.stop + len(cut)
    if not parts:
        return Sifted(text)
    parts.append(text[at:])
    numbers += range(number, number + parts[-1].count("\n") + 1)
    return Sifted("".join(parts), numbers, strangers)


def merged(text: str) -> tuple[dict[str, Connection], dict[str, tuple[int, Odd]]]:
    """Read each connection of a text; one that comes in several runs is read from all of them."""
    together: dict[str, list[Block]] = {}
    for block in filter(is_own, split(text)):
        together.setdefault(block.key, []).append(block)
    listed: dict[str, Connection] = {}
    odd: dict[str, tuple[int, Odd]] = {}
    dull: set[str] = set()
    at, number = 0, 1
    for key, mine in together.items():
        read = connections.read(_joined(mine), dull)
        if read is None:
            continue
        listed[key], what = read
        number += text.count("\n", at, mine[0].at)
        at = mine[0].at
        if what is not None:
            odd[key] = number, what
    return listed, odd


def _joined(mine: Sequence[Block]) -> Block:
    """Join runs of one connection, whose lines may begin in two ways."""
    lines = [line for block in mine for line in block.lines]
    text = "\n".join([mine[0].begin + line for line in lines])
    return replace(mine[0], text=text, lines=lines)


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
    kept = [found[i] for i in keep]
    # Somebody who knocks, as half the internet does, moves no tunnel.
    kinds = {_counted(found[i]) for i in doubtful if found[i].role is not Role.RESPONDER}
    if any(_hides(kept, kind, totals) for kind in kinds):
        doubt = _MORE
    for kind, excess in _excess(kept, totals).items():
        forged = {i for i in doubtful if _counted(found[i]) is kind}
        if len(forged) == excess:
            keep -= forged
    if _surplus([found[i] for i in keep], totals):
        keep -= {i for i in doubtful if _counted(found[i]) is None}
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
    """Return for each SA the connections that it belongs to by the connection list."""
    owners: dict[int, set[Owner]] = {}
    for c in listed:
        # Not the owner up to 4.15: it stands in a line with the peer's text.
        told = [n for n in (c.newest_ike, c.newest_child) if n is not None]
        lines = [line for line in c.lines if line.startswith(("   routing:", "   host:"))]
        if any(line.startswith("   routing:") for line in lines):  # from 5.0 on; larval ones, too
            told += [int(n) for line in lines for n in _SERIALS.findall(line)]
        for serial in told:
            owners.setdefault(serial, set()).add((c.name, c.instance))
    return owners


def _borne_out(s: SaState, owners: Mapping[int, set[Owner]]) -> bool:
    """Return whether the connection list names an SA.

    An IKE SA may be listed with another name: it may have been found to be another connection's.
    """
    own = owners.get(s.serial)
    if own is None:
        return False
    return (s.name, s.instance) in own or _counted(s) is SaKind.IKE


def _all_up(found: Sequence[SaState], totals: Totals) -> bool:
    """Return whether all is established, and as many as pluto counts; mostly it is."""
    kinds = [s.kind for s in found if s.stage is Stage.ESTABLISHED]
    children = kinds.count(SaKind.CHILD)
    return len(kinds) == len(found) and (
        (totals.ipsec.get("total"), totals.ike.get("total")) == (children, len(kinds) - children)
    )


def _excess(found: Sequence[SaState], totals: Totals) -> dict[SaKind, int]:
    """Return for each kind of SA how many more there are than pluto counts."""
    counts = Counter(_counted(s) for s in found)
    known = ((SaKind.IKE, totals.ike.get("total")), (SaKind.CHILD, totals.ipsec.get("total")))
    return {k: counts[k] - n for k, n in known if n is not None and counts[k] > n}


def _hides(kept: Sequence[SaState], kind: SaKind | None, totals: Totals) -> bool:
    """Return whether one of a kind that is too many may hide behind one that we count as none.

    With a larval Child, which up to 4.x is an IKE SA to pluto's total, there can be an IKE SA more
    than there is, and as many as pluto counts.
    """
    if kind is None:
        return False
    counted = totals.ike if kind is SaKind.IKE else totals.ipsec
    certain = sum(_counted(s) is kind for s in kept)
    perhaps = sum(_counted(s) is None and (s.guessed or kind is SaKind.IKE) for s in kept)
    return certain <= counted.get("total", 0) < certain + perhaps


def _surplus(found: Sequence[SaState], totals: Totals) -> bool:
    """Return whether there are more SAs than pluto counts of both kinds.

    That alone means nothing: from 5.0 on it counts no Child before it is established.
    """
    counted = totals.ike.get("total"), totals.ipsec.get("total")
    return None not in counted and len(found) > sum(n or 0 for n in counted)


def _lack(found: Sequence[SaState], totals: Totals) -> str | None:
    counted = totals.ike.get("total", 0) + totals.ipsec.get("total", 0)
    return "cut off within the states" if len(found) < counted else None


def _counted(s: SaState) -> SaKind | None:
    """Return the total that every release counts a state in, or None if some don't count it.

    A larval IKEv2 child counts as an IKE SA up to 4.x, and later not at all; an IKE SA of which
    nothing was sent yet, for some milliseconds, not (4.10). Of words that we
    don't know nobody knows.
    """
    if s.guessed or s.story in UNCOUNTED:
        return None
    if s.ike_version == 1:
        return s.kind
    if s.kind is SaKind.CHILD:
        return SaKind.CHILD if s.stage is Stage.ESTABLISHED else None
    return None if s.stage in (Stage.REKEYING, Stage.DELETING) else s.kind
