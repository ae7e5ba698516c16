# SPDX-License-Identifier: MIT
"""Divides a text that has several answers of pluto's, from different times or machines.

Two answers may differ about the same tunnel, and must not be mixed.
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
    """One of pluto's answers in a text that has several."""

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
"""Matches what an answer has only once: its headings, and the first words of the line with a
connection's ends, of a state's first line, and of a line of trafficstatus. After a state's name
comes its port there, so that the line with its SPIs doesn't match."""


def divide(text: str) -> list[tuple[int, str]]:
    """Return the answers in a text, each as the number of its first line, and its text.

    Another answer begins at each line with something that an answer has only once, and that the
    present answer has had before. Exceptions are those of _recurs(), and lines of one connection
    that directly follow each other.
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
    """Return whether a line begins another answer, since the present one has had ``what`` before.

    ``what`` is the match of _ONCE in the line; ``seen`` has the lines of the present answer by
    their matches. A heading that is there again always begins one. The same line about a connection
    or SA twice doesn't. Neither does a second connection of the same name in one connection list:
    somebody may have made all names the same.
    """
    if what not in seen:
        return False
    if what[0] not in '"#':
        return True
    listing = sections.CONNECTION_LIST in seen and sections.CONNECTION_TOTAL not in seen
    return seen[what] != line.strip() and not (what[0] == '"' and listing)


def is_ambiguous(c: Connection) -> bool:
    """Return whether a connection's lines are really those of several connections with one name.

    That is so where two different lines have the same beginning of _OWN_LINES. In a text that
    contains one connection twice, the two lines are the same.
    """
    own = [{line for line in c.lines if line.lstrip().startswith(key)} for key in _OWN_LINES]
    return any(len(lines) > 1 for lines in own)


_OWN_LINES: Final = ("newest ISAKMP SA:", "newest IKE SA:", "routing:", "conn serial:")
"""The beginnings of lines that a connection has only once."""
