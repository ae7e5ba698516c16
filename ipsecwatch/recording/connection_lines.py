# SPDX-License-Identifier: MIT
"""Split lines of a status's connection list into libreswan's own text and values, for redaction."""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.status.topology import LOG_WIDTH, ROUTINGS, find_dots
from ipsecwatch.recording.pieces import Field, Pieces, trimmed
from ipsecwatch.recording.status_fields import keyed

PAD: Final = LOG_WIDTH - 80
"""The least length of a topology, without the connection's name, that pluto may have cut.

A topology of this length or more that has no routing word counts as cut (topology.py).
"""

_BEGIN: Final = re.compile(rf'(")({grammar.name()})("{grammar.instances()}:)', re.ASCII)
_BANNER: Final = " banner:"


def read(line: str) -> Pieces | None:
    """Return the pieces of a line of the connection list, or None for any other line.

    Such a line begins with ``"NAME":`` or ``"NAME"[3]:``, and has keys, a topology or a banner
    behind that. Lines of pluto's log have none of these.
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
    """Return the pieces of a topology ``LEFT...RIGHT; ROUTING; …``, or None for any other text.

    The parts are found from that end of the line which the peer's text doesn't reach. If pluto cut
    the line, PAD characters ``x`` are added to it, so that the redacted line is long enough to be
    recognised as cut.
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
    """Return a topology up to the end of its routing word, and the pieces of the rest.

    The rest is an eroute owner (up to 4.15), or two addresses. If it is missing, "" and no pieces
    are returned.
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
    """Return the pieces of one end of a topology: addresses, and in brackets an identity.

    Options behind the identity (``,+S=C``) are libreswan's own.
    """
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
