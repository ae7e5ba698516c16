# SPDX-License-Identifier: MIT
"""Making a status text whole again that went through a ticket, a mail or a terminal.

On its way a text loses line ends, so that several records stand on one line, or it gains some
where a terminal wrapped it; it loses the blanks in front of keys, and is quoted, coloured or
escaped for HTML. Here each record gets a line of its own again, as libreswan prints it.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.status import connections, parse, sections

if TYPE_CHECKING:
    from ipsecwatch.model import Report

_COLOURS: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,40}[ -/]?[@-~]|[@-Z\\-_])")
_QUOTES: Final = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\xa0": " "})
_ENTITIES: Final = ("&quot;", "&#34;", "&lt;", "&gt;", "&amp;", "&#39;")
_QUOTED: Final = re.compile(r"(?:[ \t]{0,8}[>|│][ \t]?){1,20}")

_HEADS: Final = "|".join(
    re.escape(head)
    for head in (
        sections.STATUS_HEAD, sections.CONNECTION_LIST, sections.CONNECTION_TOTAL,
        sections.STATE_INFORMATION, "IKE SAs: total(", "IPsec SAs: total(", sections.SHUNT_LIST,
    )
)  # fmt: skip

# Where a record begins, at the begin of a line or behind a blank. What has a prefix begins with
# it; a name that no colon and blank follow is part of another record.
_RECORD: Final = re.compile(
    r'(?:(?<=\s)|^)(?:\d{3} )?(?:"[^"\n]{1,200}"(?:\[\d{1,10}\]){0,4}:(?=\s)'
    rf'|#\d{{1,10}}: "|#?\d{{1,10}}: pending |{_HEADS})'
    r"|(?:(?<=\s)|^)\d{3} (?=\S)",
    re.MULTILINE | re.ASCII,
)
_KEYED: Final = re.compile(r'((?:\d{3} )?"[^"\n]{1,200}"(?:\[\d{1,10}\]){0,4}:)\s+(.*)', re.DOTALL)
_SEPARATORS: Final = re.compile(r"(?<=\S)(?:\s{1,8}000){1,8}\s{0,8}$", re.ASCII)
_BARE_PREFIX: Final = re.compile(r"\d{3}", re.ASCII)


def read(text: str) -> Report:
    """Read a text that may have suffered on its way.

    Whether line ends were added within words, by a terminal, or between them, by a mail program,
    is told by which way of joining makes more of it readable.
    """
    lines = _clean(text)
    found = [parse(_in_order(_rejoined(lines, glue))) for glue in ("", " ")]
    return min(found, key=_damage)


def _damage(report: Report) -> int:
    """Count what could not be read."""
    return (
        report.unrecognised_count
        + sum(s.guessed + len(s.extra) for s in report.states)
        + sum(not c.topologies for c in report.connections)
        - sum(len(s.events) for s in report.states)
    )


def _in_order(lines: list[str]) -> str:
    """Give each record a line of its own; SAs come last, as in a status, and a blank line."""
    found = [record for line in lines for record in _records(line)]
    first = [r for r in found if not _is_sa(r)]
    return "".join(f"{r}\n" for r in [*first, *(r for r in found if _is_sa(r)), ""])


def _clean(text: str) -> list[str]:
    """Take off what others wrapped the text in."""
    text = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n").translate(_QUOTES)
    if any(entity in text for entity in _ENTITIES):
        text = html.unescape(text)
    lines = [_unquoted(line) for line in text.split("\n") if not line.strip().startswith("```")]
    indent = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
    return [line[indent:] for line in lines]


def _unquoted(line: str) -> str:
    m = _QUOTED.match(line)
    return line[m.end() :] if m else line


def _rejoined(lines: list[str], glue: str) -> list[str]:
    """Join to each record what was wrapped off it."""
    out: list[list[str]] = []
    width = max(map(len, lines), default=0)
    joins = False
    for line in lines:
        plain = line.strip()
        empty = not plain or _BARE_PREFIX.fullmatch(plain) is not None
        if not joins or empty or _RECORD.match(plain) is not None or _is_known(plain):
            out.append([line])
            joins = not empty
        else:
            # A blank at the very end of a terminal's line is not copied.
            lost = glue == "" and len(out[-1][-1]) == width - 1
            out[-1] += [" " if lost else glue, line]
    return ["".join(parts) for parts in out]


def _is_known(line: str) -> bool:
    return sections.known(line) or sections.error(line) or sections.note(line)


def _records(line: str) -> list[str]:
    """Cut a line where records begin."""
    starts = [m.start() for m in _RECORD.finditer(line)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    ends = [*starts[1:], len(line)]
    found = [_SEPARATORS.sub("", line[a:b]).strip() for a, b in zip(starts, ends, strict=True)]
    return [_restored(r) for r in found if r and not _BARE_PREFIX.fullmatch(r)]


def _restored(record: str) -> str:
    """Put the blanks back that stand between a connection's name and a key."""
    m = _KEYED.fullmatch(record)
    if m is None:
        return record
    begin, rest = m.groups()
    if rest.startswith(("oriented;", "unoriented;", "myip=")):
        return f"{begin}     {rest}"
    return f"{begin}   {rest}" if connections.is_keyed(rest) else f"{begin} {rest}"


def _is_sa(record: str) -> bool:
    return _SA.match(record) is not None


_SA: Final = re.compile(r"(?:\d{3} )?(?:#|\d{1,10}: pending )", re.ASCII)  # 3.20 may lose the #
