# SPDX-License-Identifier: MIT
"""Split lines about connections into libreswan's own text and values, for redaction."""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.status.topology import LOG_WIDTH, ROUTINGS, find_dots
from ipsecwatch.recording.pieces import Field, Pieces, trimmed
from ipsecwatch.recording.status_fields import keyed

PAD: Final = LOG_WIDTH - 80
"""Characters behind the name of a line. One with as many or more, and without a routing word, was
cut by pluto (topology.py)."""

_BEGIN: Final = re.compile(rf'(")({grammar.name()})("{grammar.instances()}:)', re.ASCII)
_BANNER: Final = " banner:"


def read(line: str) -> Pieces | None:
    """Return the pieces of a status line about a connection; None: it is no such line.

    It begins with ``"NAME":`` or ``"NAME"[3]:``, and behind that it has keys, a topology or a
    banner, which lines of pluto's log don't have.
    """
    m = _BEGIN.match(line)
    if m is None:
        return None
    head = [(Field.OWN, m[1]), (Field.CONNECTION, m[2]), (Field.OWN, m[3])]
    rest = line[m.end() :]
    if rest.startswith(_BANNER):  # up to 4.15
        return [*head, (Field.OWN, _BANNER), *trimmed(Field.BANNER, rest[len(_BANNER) :])]
    if rest.startswith("   "):
        found = keyed(rest)
        return None if found is None else [*head, *found]
    if rest[:1] != " " or rest[1:2] == " ":
        return None
    ends = _topology(rest)
    return None if ends is None else [*head, *ends]


_OWNER: Final = re.compile(r"; eroute owner: #\d{1,10}[; ]*", re.ASCII)
_OPTIONS: Final = re.compile(
    r"(?:^|,)\+?(?:MS|MC|CAT|XS|XC|S-C|S\?C|S=C)(?:\+(?:MS|MC|CAT|XS|XC|S-C|S\?C|S=C))*$"
)


def _topology(text: str) -> Pieces | None:
    """Return the pieces of ``LEFT...RIGHT; ROUTING; …``; None: it is something else.

    Each part is looked for from that side of the line where a peer can't write. A line that pluto
    cut gets a new end of PAD characters, so that it is recognised as cut again.
    """
    body, tail = _tail(text)
    ends, semicolon, routing = body.rpartition("; ")
    cut = routing not in ROUTINGS or not semicolon
    if cut:
        if len(text) < PAD:
            return None
        ends, semicolon, routing, tail = text, "", "", []
    dots = find_dots(ends)
    if dots is None:
        return None
    right = _side(ends[dots + 3 :])
    if cut:  # what is left has to be as long as a line that was cut
        right += [(Field.OWN, "x" * PAD)]
    return [
        *_side(ends[:dots]), (Field.OWN, "..."), *right,
        (Field.OWN, semicolon + routing), *tail,
    ]  # fmt: skip


def _tail(text: str) -> tuple[str, Pieces]:
    """Return a text up to the end of its routing word, and the pieces behind that.

    Return "" and no pieces for a text without an eroute owner or addresses at its end.
    """
    at = text.rfind("; eroute owner: #")  # up to 4.15
    if at >= 0 and _OWNER.fullmatch(text, at):
        return text[:at], [(Field.OWN, text[at:])]
    at = text.rfind("; my_ip=")
    ours, mark, theirs = text[at + 8 :].partition("; their_ip=")
    if at < 0 or not mark:
        return "", []
    tail = [(Field.OWN, "; my_ip="), (Field.ADDRESSES, ours), (Field.OWN, mark)]
    return text[:at], [*tail, (Field.ADDRESSES, theirs)]


def _side(text: str) -> Pieces:
    """Return the pieces of one end: addresses, and in brackets an identity with options."""
    before, bracket, rest = text.partition("[")
    if not bracket:
        return [(Field.ADDRESSES, text)]
    identity, closing, after = rest.rpartition("]")
    if not closing:
        identity, after = rest, ""
    m = _OPTIONS.search(identity, max(0, len(identity) - 40))
    options = identity[m.start() :] if m else ""
    return [
        (Field.ADDRESSES, before), (Field.OWN, bracket),
        (Field.IDENTITY, identity[: len(identity) - len(options)]),
        (Field.OWN, options + closing), (Field.ADDRESSES, after),
    ]  # fmt: skip
