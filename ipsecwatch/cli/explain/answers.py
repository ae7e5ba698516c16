# SPDX-License-Identifier: MIT
"""Divides a text that has several answers of pluto's, from different times or machines.

An answer is what one command such as ``ipsec status`` printed. Two answers may differ about the
same tunnel, so each must be read by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.grammar import NUMBER
from ipsecwatch.libreswan.pasted_text import plain
from ipsecwatch.libreswan.status import sections

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, Report
    from ipsecwatch.tunnel import Tunnel


@dataclass(frozen=True, slots=True)
class Answer:
    """One of pluto's answers in a text that has several, parsed, with the tunnels in it."""

    line: int
    """The number of the answer's first line in the text; the text's first line is 1."""
    report: Report
    tunnels: list[Tunnel]


_NAME: Final = f'"{grammar.name(without=chr(10), length="{1,200}")}"{grammar.instances(4)}'
_HEADS: Final = "|".join(
    re.escape(head)
    for head in (
        sections.STATUS_HEAD, sections.CONNECTION_LIST, sections.CONNECTION_TOTAL,
        sections.STATE_INFORMATION, sections.IKE_TOTAL, sections.IPSEC_TOTAL, sections.SHUNT_LIST,
    )
)  # fmt: skip
_ONCE: Final = re.compile(
    rf"(?:(?<=\s)|^)(?:{_HEADS}"
    rf"|(?P<name>{_NAME}: )(?=[^\s;\"]{{0,300}}(?:===|\.\.\.)[^\s;])"
    rf'|#{NUMBER}: {_NAME}(?: [^:"\n]{{1,80}})?:{NUMBER} (?=\S)'
    rf"|#{NUMBER}: {_NAME}(?=[^\n]{{0,200}}, type=[A-Z]))",
    re.ASCII,
)
"""Matches what one answer has only once: a heading, or the first words of one of these lines: the
line with a connection's two ends, an SA's first line, a line of trafficstatus. An SA's first line
has a port after the connection's name; its second line, with the SPIs, has none, and no match."""


def divide(text: str) -> list[tuple[int, str]]:
    """Return the answers in a text, each as the number of its first line (from 1) and its text.

    The text is cleaned by plain() first, and its lines are counted after that. A text with only one
    answer, or with none, is returned as one piece. A new answer begins at a line that matches
    _ONCE, if _recurs() says that the answer before it already has the same. Lines of one connection
    that directly follow each other begin no new answer: they are for its pairs of subnets.
    """
    lines = plain(text).split("\n")
    starts, seen = [0], dict[str, str]()
    last = ""
    for i, line in enumerate(lines):
        m = _ONCE.search(line)
        # One connection has a line for each of its pairs of subnets, one behind the other.
        if m is not None and _recurs(m[0], line, seen) and not (m["name"] and m[0] == last):
            starts.append(i)
            seen.clear()
        if m is not None:
            seen[m[0]] = line.strip()
        last = m[0] if m is not None else "" if line.strip() else last
    ends = [*starts[1:], len(lines)]
    return [(a + 1, "\n".join(lines[a:b]) + "\n") for a, b in zip(starts, ends, strict=True)]


def _recurs(what: str, line: str, seen: dict[str, str]) -> bool:
    """Return whether a line begins a new answer, because the current one already has ``what``.

    ``what`` is the match of _ONCE in the line. ``seen`` has the earlier lines of the current answer
    by their matches. A heading in ``seen`` begins a new answer when it comes again. A line about a
    connection or an SA does so only if it differs from the one in ``seen``. A second connection of
    the same name within one connection list begins no new answer: somebody may have replaced all
    names by one before sending the text.
    """
    if what not in seen:
        return False
    if what[0] not in '"#':
        return True
    listing = sections.CONNECTION_LIST in seen and sections.CONNECTION_TOTAL not in seen
    return seen[what] != line.strip() and not (what[0] == '"' and listing)


def is_ambiguous(c: Connection) -> bool:
    """Return whether a connection's lines are really those of several connections with one name.

    That is so where two different lines of it have the same beginning of _OWN_LINES. A connection
    that was only pasted twice has the same line twice, and isn't ambiguous.
    """
    own = [{line for line in c.lines if line.lstrip().startswith(key)} for key in _OWN_LINES]
    return any(len(lines) > 1 for lines in own)


_OWN_LINES: Final = ("newest ISAKMP SA:", "newest IKE SA:", "routing:", "conn serial:")
"""The beginnings of lines that a status has only once for each connection."""
