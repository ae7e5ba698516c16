# SPDX-License-Identifier: MIT
"""Leave out the lines of an answer that a peer may have forged, and find contradictions.

A peer could forge lines if pluto printed a line feed within a text that the peer sent. No release
does this, but none promises not to. Forged lines can only be where pluto prints a peer's text:
between the lines of the peer's own connection, or behind its user name. Foreign lines between the
lines of a connection are left out. Behind a user name, pluto's own totals show how many SAs are
too many, and that many are left out. An answer that still contradicts itself is not believed.
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
    """Return why a connection list isn't believed, in words, or None if it is believed.

    It is believed if it has as many connections as pluto counts (``loaded``), and each has exactly
    one closing line, and no key twice that it has at most once (``odd`` has the exceptions).
    Without a count (None), it is always believed.
    """
    if loaded is None:
        return None
    if len(listed) < loaded:
        return "cut off within the connection list"
    if len(listed) > loaded or any(o.closings != 1 or o.twice for _, o in odd.values()):
        return CONTRADICTION
    return None


class Sifted(NamedTuple):
    """The result of looking for foreign lines: an answer's text without them, and these lines.

    If it isn't certain which lines are foreign, all stay in the text, and ``doubt`` says why.
    """

    text: str
    numbers: Sequence[int] = ()
    """For each line of ``text``, its number in the original text; empty if none was left out."""
    strangers: Sequence[tuple[int, str]] = ()
    """The lines that were left out, with their numbers in the original text."""
    doubt: str | None = None
    """Why the lines that are left aren't believed either, in words; None: they are."""


_LIST_END: Final = re.compile(PREFIX + re.escape(sections.IPSEC_TOTAL), re.ASCII)


def sift_connections(text: str) -> Sifted:
    """Return a text without foreign lines that stand between two lines of the same connection.

    In every release, the lines of a connection follow each other, and its closing line comes after
    all texts that its peer may have chosen. So forged lines come before the closing line of the
    peer's own connection. If a closing line is forged, too, a connection has two of them, and it
    isn't known which lines belong to which connection. Then nothing is left out, and the result
    has a doubt. The same holds if the lines of one connection are in two places.
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
    """Return whether a line is one of the connection list, as ``"office":   policy: IKEv2+UP;``.

    A prefix of three digits may come before it, and its end may have been cut off. False for a
    line of the log that begins with a connection's name: neither a key nor a topology follows.
    """
    block = take(line, 0, len(line))
    return block is not None and is_own(block)


def is_own(block: Block) -> bool:
    """Return whether at least one line of a block is one of the connection list.

    False for a block that has only lines of another kind, as of pluto's log.
    """
    return any(map(connections.is_line, block.lines))


def _closings(block: Block) -> int:
    read = connections.read(block, set())
    return 1 if read is None or read[1] is None else read[1].closings


def _without(text: str, gaps: Iterable[tuple[int, int]]) -> Sifted:
    """Return a text without the lines in ``gaps``, and these lines.

    A gap is the index in the text where its first line begins, and the index where it ends.
    """
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
    """Return all connections of a text, each read from all its lines, wherever they are.

    It is used if the lines of a connection aren't together. The second result says what is odd
    about the lines of a connection, with the number of its first line; a connection without
    anything odd isn't in it. The keys of both results are as ``Block.key``.
    """
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
    """Return one block that has the lines of all these blocks of one connection."""
    lines = [line for block in mine for line in block.lines]
    text = "\n".join([mine[0].begin + line for line in lines])
    return replace(mine[0], text=text, lines=lines)


# --- States -----------------------------------------------------------------------------------


class Believed(NamedTuple):
    """The SAs of an answer that are believed."""

    states: list[SaState]
    strangers: Sequence[int] = ()
    """The indices, among all SAs of the answer, of those that aren't believed."""
    doubt: str | None = None
    """Why the list of SAs as a whole isn't believed, in words; None: it is."""


def sift_states(
    found: Sequence[SaState], totals: Totals, listed: Iterable[Connection], tainted: int | None
) -> Believed:
    """Return which of the SAs in a status are believed, by pluto's own totals.

    The SAs from the index ``tainted`` on stand behind a user name, which is a peer's text, so they
    may be forged (None: there is no user name). If there are more SAs than pluto counts, those
    behind the user name that the connection list doesn't name are left out. The result has a doubt
    if it isn't certain which SAs are too many, which of two with the same serial is pluto's, or
    if there are fewer SAs than pluto counts.
    """
    once = len({s.serial for s in found}) == len(found)
    if once and (tainted is None or _all_up(found, totals) or not _surplus(found, totals)):
        doubt = _MORE if _excess(found, totals) else _lack(found, totals)
        return Believed(list(found), (), doubt)
    owners = _owners(listed)
    keep, doubt = _once(found, owners)
    doubtful = {
        i for i in keep if tainted is not None and i >= tainted and not _is_named(found[i], owners)
    }
    kept = [found[i] for i in keep]
    # A negotiation that anybody else begins changes no tunnel's state.
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
    """Return the indices of SAs that have different serials, and a doubt in words, or None.

    Of several SAs with the same serial, the one that the connection list names is chosen
    (``owners``). If it names none or several of them, the first is chosen, and there is a doubt.
    """
    same: dict[int, list[int]] = {}
    for i, s in enumerate(found):
        same.setdefault(s.serial, []).append(i)
    keep: set[int] = set()
    doubt = None
    for indices in same.values():
        own = [i for i in indices if _is_named(found[i], owners)] if len(indices) > 1 else indices
        if len(own) != 1:
            doubt = "two SAs have the same serial"
        keep.add((own or indices)[0])
    return keep, doubt


Owner = tuple[str, tuple[int, ...]]
"""A connection's name and instance numbers, as ``("rw", (3,))``."""

_SERIALS: Final = re.compile(rf"\bSA:? #({NUMBER});", re.ASCII)


def _owners(listed: Iterable[Connection]) -> dict[int, set[Owner]]:
    """Return, by an SA's serial, the connections that name this SA in the connection list."""
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


def _is_named(s: SaState, owners: Mapping[int, set[Owner]]) -> bool:
    """Return whether the connection that an SA's line names also names the SA (``owners``).

    For an IKE SA, it may be any other connection, too: pluto may have switched between them.
    """
    own = owners.get(s.serial)
    if own is None:
        return False
    return (s.name, s.instance) in own or _counted(s) is SaKind.IKE


def _all_up(found: Sequence[SaState], totals: Totals) -> bool:
    """Return whether all SAs are established, and there are as many of each kind as pluto counts.

    This is so in most answers, and they need no further check.
    """
    kinds = [s.kind for s in found if s.stage is Stage.ESTABLISHED]
    children = kinds.count(SaKind.CHILD)
    return len(kinds) == len(found) and (
        (totals.ipsec.get("total"), totals.ike.get("total")) == (children, len(kinds) - children)
    )


def _excess(found: Sequence[SaState], totals: Totals) -> dict[SaKind, int]:
    """Return how many SAs there are too many by pluto's totals, for each kind with too many.

    An SA is ignored if it isn't certain which total counts it. Empty: there aren't too many.
    """
    counts = Counter(_counted(s) for s in found)
    known = ((SaKind.IKE, totals.ike.get("total")), (SaKind.CHILD, totals.ipsec.get("total")))
    return {k: counts[k] - n for k, n in known if n is not None and counts[k] > n}


def _hides(kept: Sequence[SaState], kind: SaKind | None, totals: Totals) -> bool:
    """Return whether an SA of a kind may be forged although there aren't more than pluto counts.

    That is so if another SA may be counted under this kind, too, and it isn't certain. Then pluto's
    total has room for one of them only. An example: up to 4.x, pluto counts a larval Child SA as an
    IKE SA. ``kind`` None: False.
    """
    if kind is None:
        return False
    counted = totals.ike if kind is SaKind.IKE else totals.ipsec
    certain = sum(_counted(s) is kind for s in kept)
    perhaps = sum(_counted(s) is None and (s.guessed or kind is SaKind.IKE) for s in kept)
    return certain <= counted.get("total", 0) < certain + perhaps


def _surplus(found: Sequence[SaState], totals: Totals) -> bool:
    """Return whether there are more SAs than pluto counts, IKE SAs and Child SAs together.

    False if a total is missing. True doesn't prove that one is forged: from 5.0 on, pluto doesn't
    count an IKEv2 Child SA before it is established.
    """
    counted = totals.ike.get("total"), totals.ipsec.get("total")
    return None not in counted and len(found) > sum(n or 0 for n in counted)


def _lack(found: Sequence[SaState], totals: Totals) -> str | None:
    counted = totals.ike.get("total", 0) + totals.ipsec.get("total", 0)
    return "cut off within the states" if len(found) < counted else None


def _counted(s: SaState) -> SaKind | None:
    """Return which of pluto's two totals (IKE or Child SAs) counts an SA in every release.

    Return None if it isn't certain. For example, a larval IKEv2 Child SA is counted as an IKE SA up
    to 4.x, and later not at all. An IKE SA that has sent nothing yet isn't counted for some
    milliseconds (4.10). It isn't certain either for an IKEv2 SA that is being rekeyed or deleted,
    or whose story is unknown.
    """
    if s.guessed or s.story in UNCOUNTED:
        return None
    if s.ike_version == 1:
        return s.kind
    if s.kind is SaKind.CHILD:
        return SaKind.CHILD if s.stage is Stage.ESTABLISHED else None
    return None if s.stage in (Stage.REKEYING, Stage.DELETING) else s.kind
