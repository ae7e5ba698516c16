# SPDX-License-Identifier: MIT
"""Repairs a status text that was changed by a ticket system, a mail or a terminal.

A record is what libreswan prints as one line, about a connection or an SA, for example. On its way
a text loses line ends, so that several records are on one line, or gets more of them where a
terminal wrapped it. It loses the blanks in front of keys, and is quoted, coloured, logged or
escaped for HTML. Here each record gets a line of its own again, as libreswan prints it.

To find records within a line, its content has to be trusted, also the words of a peer in it. So a
text that can be read without repair isn't changed.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.libreswan import grammar, state_table
from ipsecwatch.libreswan.grammar import NUMBER, PREFIX, PROTOCOL, SELECTOR
from ipsecwatch.libreswan.pasted_text import plain
from ipsecwatch.libreswan.status import (
    connection_fields,
    connections,
    daemon_info,
    parse,
    sections,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import Report, Traffic

_QUOTED: Final = re.compile(r"(?:[ \t]{0,8}[>|│][ \t]?){1,20}")

# What syslog, or journalctl, puts in front of a line.
_LOGGED: Final = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?|\d{4}-\d\d-\d\d[T ][\d:.+Z-]{8,24})"
    r" [\w.-]{1,64} [\w./-]{1,40}(?:\[\d{1,10}\])?:(?: |$)",
    re.ASCII,
)
# What other programs put in front of each line.
_NUMBERED: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"\d{4}-\d\d-\d\dT[\d:.]{8,18}(?:Z|[+-]\d\d:\d\d) (?:std(?:out|err) [FP] )?",  # containers
        r"[\w.-]{1,60} {1,20}\| ?",  # docker compose
        r"(?:[\w./~-]{1,200}:)?\d{1,6}[:-] ?",  # grep -n
        r"[\w./~-]{1,200}\.\w{1,8}:",  # grep in several files
        r"(?!0\d\d(?:\s|$))[ \t]{0,8}\d{1,6}[.)]?[ \t]{1,4}",  # cat -n, editors
        r"\+",  # diff
        r"[\w.-]{1,64} [\w./-]{1,40}\[\d{1,10}\]: ?",  # a log without its time
    )
)
# A shell's prompt, and the command behind it that somebody copied along; or the command alone,
# also as ``watch`` shows it.
_PIPE: Final = r"(?: {0,3}\|[^\n]{0,200})?"
_COMMAND: Final = rf"(?:sudo )?(?:/\S{{1,60}}/)?(?:ipsec|whack)(?: [\w-]{{1,40}}){{1,4}}{_PIPE}"
_SHELL: Final = (
    r"(?:\[[^\]\n]{1,80}\]|[\w.-]{1,64}(?:@[^\s#$]{1,120}|:[^\s#$]{0,120})|[\w.-]{0,40}) ?[#$]"
)
_STATUS: Final = (
    rf"(?:sudo )?ipsec(?: auto| whack)? -{{0,2}}\w{{0,20}}status(?: [\w-]{{1,40}})?{_PIPE}"
)
# What marks code in trackers, forums and mails,
_FENCE: Final = re.compile(
    r"```.*|~~~.*|\{(?:noformat|code|quote)(?:[:|][^{}]{0,80})?\}|\[/?(?:code|quote|pre)\]"
    r"|</?(?:details|summary|pre|code)>"
    # and what marks an omission
    r"|[<\[(]?(?:\.{2,9}|…|snip(?:ped)?|cut)[>\])]?",
    re.IGNORECASE,
)
_WATCH: Final = r"Every \d{1,5}[.,]\d{1,3}s: .*"  # the first line that ``watch`` shows
_PROMPT: Final = re.compile(rf"{_SHELL}(?: {{0,2}}{_COMMAND})?|{_STATUS}|{_WATCH}", re.ASCII)

_HEADS: Final = "|".join(
    re.escape(head)
    for head in (
        sections.STATUS_HEAD, sections.CONNECTION_LIST, sections.CONNECTION_TOTAL,
        sections.STATE_INFORMATION, "IKE SAs: total(", "IPsec SAs: total(", sections.SHUNT_LIST,
        "pluto_version=", "current.states.", "config.setup.", "total.ipsec.",
        "total.ike.", "total.ikev", "address pool ",
    )
)  # fmt: skip

# Matches where a record begins, at the beginning of a line or after a blank. If the record has a
# prefix, it begins with that. A name without a colon and a blank after it is within a record.
_WORD: Final = grammar.name(without="\n", length="{1,200}")
_NAME: Final = f'"{_WORD}"{grammar.instances(4)}'
_SHUNT: Final = f"{SELECTOR} -{PROTOCOL}-> "
_WISH: Final = f"{NUMBER}: pending "
_RECORD: Final = re.compile(
    rf"(?:(?<=\s)|^)(?:0\d\d )?(?:{_NAME}:(?=\s|$)"
    rf'|#{NUMBER}: "|#?{_WISH}|{_HEADS}|{_SHUNT})'
    r"|(?:(?<=\s)|^)0\d\d (?=\S)",
    re.MULTILINE | re.ASCII,
)
_KEYED: Final = re.compile(rf"({PREFIX}{_NAME}:)\s+(.*)", re.DOTALL | re.ASCII)
_BARE_SHUNT: Final = re.compile(
    rf"({PREFIX}{_SHUNT})\s*(\S+)\s+=>\s+(%\w+)\s+(?:(\d{{1,10}})\s+)?(\S.*)", re.ASCII
)
_SEPARATORS: Final = re.compile(r"(?<=\S)(?:\s{1,8}0\d\d){1,8}\s{0,8}$", re.ASCII)
_BARE_PREFIX: Final = re.compile(r"0\d\d", re.ASCII)
_EMPTY: Final = re.compile(r"(?:0\d\d(?:\s+|$))*", re.ASCII)


def read(text: str) -> Report:
    """Parse a status text, which is repaired first where that is needed, and return its report.

    A terminal breaks lines within words, a mail program between them. Lines are joined again in
    both ways, and the report in which more could be read is returned.
    """
    whole = parse(text)
    if _is_whole(whole, text):
        return whole
    lines = _clean(text)
    pieces = _pieces(lines)
    found = [parse(_in_order(_joined(pieces, wrap))) for wrap in _wraps(pieces)]
    return min(found, key=_damage)


def _is_whole(report: Report, text: str) -> bool:
    """Return whether a text needs no repair; ``report`` is what was parsed from it as it is.

    It needs none if the report is complete, every line and field was recognised, no record lacks
    anything, and, where the text has lines of trafficstatus, no line has two records.
    """
    if not report.complete or report.unrecognised_count or _lacks(report):
        return False
    if any(connection_fields(c)["unread"] for c in report.connections):
        return False
    # The words of a peer's, at the end of a line of trafficstatus, hide the records behind them.
    return not report.traffic or all(len(_RECORD.findall(x)) < 2 for x in text.split("\n"))


def _damage(report: Report) -> tuple[int, int]:
    """Return a sort key for reports of the same text, repaired in different ways.

    The lower the key is, the more of the text could be read.
    """
    return report.unrecognised_count + _lacks(report), -_readable(report)


def _readable(report: Report) -> int:
    """Return how many facts could be read, apart from those about connections.

    Counted are facts about SAs, their timers and bytes, lines of trafficstatus, totals, pending
    negotiations and bare shunts. The number is for comparing reports of the same text.
    """
    counters = [t.bytes_in for t in report.traffic] + [t.bytes_out for t in report.traffic]
    counters += [n for s in report.states if s.sa for n in (s.sa.bytes_in, s.sa.bytes_out)]
    totals = report.totals
    return (
        sum(len(s.timers) + s.newest + (s.parent_serial is not None) for s in report.states)
        + sum(count is not None for count in counters)
        + sum((t.id is not None) + _leases(t) for t in report.traffic)
        + sum(n is not None for n in (totals.loaded, totals.active, totals.accepting))
        + len(totals.ike) + len(totals.ipsec) + len(report.pending)
        + sum(1 + (x.priority is not None) for x in report.shunts)
    )  # fmt: skip


def _leases(t: Traffic) -> int:
    """Return the number of leased addresses in a line of trafficstatus.

    Words in the same place that are no addresses are subtracted.
    """
    return sum(1 if _ADDRESS.fullmatch(lease) else -1 for lease in t.lease)


_ADDRESS: Final = re.compile(r"[\da-fA-F.:]{2,45}(?:/\d{1,3})?", re.ASCII)


def _lacks(report: Report) -> int:
    """Return how many facts are missing, or strange, in records that could be read.

    Counted are SAs whose stage was guessed or whose story is unknown, unknown words in the lines of
    SAs, and connections without a pair of subnets.
    """
    strange = sum(s.guessed + len(s.extra) + (not state_table.find(s.story)) for s in report.states)
    return strange + sum(not c.topologies for c in report.connections)


def _in_order(lines: list[str]) -> str:
    """Return a text in which each record from these lines has a line of its own.

    One of the lines may have several records. The records of SAs are put last, as in a status. An
    empty line ends the text.
    """
    found = [record for line in lines for record in _records(line)]
    first = [r for r in found if not _is_sa(r)]
    return "".join(f"{r}\n" for r in [*first, *(r for r in found if _is_sa(r)), ""])


def _clean(text: str) -> list[str]:
    """Return a text's lines without what was added to them on the way.

    Removed are colours and HTML (by plain()), quotation marks, the prefixes of a log, line numbers,
    the indent that all lines have, and lines that mark code (_FENCE). A line becomes empty if it
    has nothing but a shell's prompt with or without an ipsec command, or the command ``ipsec
    status``.
    """
    lines = plain(text).split("\n")
    lines = _without_prefixes(x for x in lines if not _FENCE.fullmatch(x.strip()))
    indent = min((len(x) - len(x.lstrip()) for x in lines if x.strip()), default=0)
    return [
        "" if _PROMPT.fullmatch(line.rstrip()) else line for line in (x[indent:] for x in lines)
    ]


def _without_prefixes(lines: Iterable[str]) -> list[str]:
    """Return lines without ``>`` or ``|`` of quotations, syslog's prefixes, and line numbers.

    Quotation marks, or the prefixes of syslog, are removed from all lines if a record follows one
    of them in any line, or if at least a third of the lines have them. Otherwise they stay: they
    may be a part of a wrapped line, such as ``192.1.2.45<gw.example.com>[@gw]``. _unnumbered() says
    when numbers are removed.
    """
    found = list(lines)
    for pattern in (_QUOTED, _LOGGED):
        begins = [pattern.match(line) for line in found]
        records = any(m and _begins(x[m.end() :]) for x, m in zip(found, begins, strict=True))
        if records or 3 * sum(m is not None for m in begins) >= sum(map(bool, found)):
            found = [x[m.end() :] if m else x for x, m in zip(found, begins, strict=True)]
    return _unnumbered(found)


def _unnumbered(lines: list[str]) -> list[str]:
    """Return lines without what another program put in front of each, such as a line's number.

    Of the patterns in _NUMBERED, the first is removed that more than half of the lines have, and
    that a record follows in at least one of them. Without such a pattern, return the lines as they
    are.
    """
    for pattern in _NUMBERED:
        begins = [pattern.match(line) for line in lines]
        most = 2 * sum(m is not None for m in begins) > sum(map(bool, lines))
        if most and any(m and _begins(x[m.end() :]) for x, m in zip(lines, begins, strict=True)):
            return [x[m.end() :] if m else x for x, m in zip(lines, begins, strict=True)]
    return lines


def _pieces(lines: list[str]) -> list[list[str]]:
    """Return the lines in pieces: a line that begins with a record, and its possible continuation.

    The continuation is all lines up to the next that begins with a record or is empty. A line that
    continues no record is a piece of its own.
    """
    out: list[list[str]] = []
    joins = False
    for line in lines:
        plain = line.strip()
        begins = _begins(plain)
        if begins or not joins or _EMPTY.fullmatch(plain):
            out.append([line])
            joins = begins
        else:
            out[-1].append(line)
    return out


def _begins(line: str) -> bool:
    """Return whether a line begins with a record, or is another line that libreswan prints.

    Prefixes that are left of empty lines, as in ``000 000 "site": …``, may stand before it.
    """
    m = _EMPTY.match(line)
    rest = line[m.end() :] if m else line
    return any(_RECORD.match(x) is not None or _is_known(x) for x in {line, rest})


class _Wrap(NamedTuple):
    """The way in which a program broke lines that were too long for it."""

    width: int
    """The number of characters in the longest line that was wrapped."""
    at_blanks: bool
    """Whether lines were wrapped at blanks, as by mail programs and ``fold -s``; else they were
    wrapped at the last column, as by terminals."""

    def gap(self, line: str, rest: str) -> str:
        """Return what to put between a line and its continuation to join them: " " or "".

        It is a blank where the break took the place of one, or where a terminal didn't copy it; it
        is "" where a word was broken, or where one of the lines has the blank.
        """
        if line.endswith(" ") or rest.startswith(" "):
            return ""
        if line.endswith(";"):  # libreswan always prints a blank after it
            return " "
        if self.at_blanks:  # only a word that is too long for a line is broken itself
            broken = len(line) >= self.width and " " not in line and not line.endswith(",")
            return "" if broken else " "
        # A blank at the very end of a terminal's line is not copied.
        return " " if len(line) == self.width - 1 else ""


def _wraps(pieces: list[list[str]]) -> Iterable[_Wrap]:
    """Return the two ways in which lines may have been wrapped: by a terminal, by a mail program.

    The likelier one comes first. It is the terminal where, of the lines that have a continuation,
    more than two thirds are as long as the longest.
    """
    lengths = Counter(len(line) for record in pieces for line in record[:-1])
    widest = max(lengths, default=0)
    terminal, mail = _Wrap(widest, at_blanks=False), _Wrap(widest, at_blanks=True)
    elsewhere = lengths.total() - lengths[widest]
    return (terminal, mail) if lengths[widest] > 2 * elsewhere else (mail, terminal)


def _joined(pieces: list[list[str]], wrap: _Wrap) -> list[str]:
    """Return the lines of all pieces, after wrapped lines were joined.

    Prose after a record, which somebody wrote, isn't joined to it, unless the text certainly was
    wrapped. It was if more than _FEW pieces have several lines, or if in any piece more can be read
    after its lines are joined.
    """
    # Prose comes after one or a few records; a wrapped text has many such lines.
    wrapped = sum(len(p) > 1 for p in pieces) > _FEW or any(_gains(p, wrap) for p in pieces)
    return [line for piece in pieces for line in _join(piece, wrap, wrapped=wrapped)]


def _gains(piece: list[str], wrap: _Wrap) -> bool:
    """Return whether more can be read of a piece if lines in it are joined to its first line."""
    return len(piece) > 1 and (scores := _scores(piece[0], piece, 1, wrap))[0] < max(scores)


_FEW: Final = 3
"""A text certainly was wrapped if more than this number of its pieces have several lines."""
_WINDOW: Final = 20
"""The number of lines that are tried at once as the continuation of a line. A line of pluto's has
up to 1,024 characters, so a narrow terminal breaks it into many."""


def _scores(text: str, piece: list[str], at: int, wrap: _Wrap) -> list[int]:
    """Return how much can be read if none, one, two … of the next lines are joined to ``text``.

    Item n is the sum of _worth() for ``text`` with the next n lines joined to it, and for the lines
    that weren't joined, as far as they have records. ``text`` are the lines of the piece that were
    joined before; ``at`` is the index of the next line. At most _WINDOW lines are tried.
    """
    # The last record alone: several may stand on one line.
    joined = text[max((m.start() for m in _RECORD.finditer(text)), default=0) :]
    window = piece[at : at + _WINDOW]
    # Prose counts nothing by itself.
    alone = [max(0, _worth(line)) if _RECORD.search(line) else 0 for line in window]
    scores = [_worth(joined) + sum(alone)]
    for n, line in enumerate(window):
        joined += wrap.gap(piece[at + n - 1], line) + line
        scores.append(_worth(joined) + sum(alone[n + 1 :]))
    return scores


_PROSE: Final = re.compile(r"^[^=;<>/]*[A-Za-z]{2,},?(?: [A-Za-z'-]+){2}[^=;<>/]*$", re.ASCII)
"""Matches a line that somebody wrote: it has three words in a row, and none of the characters
``= ; < > /``, which are typical of libreswan's lines."""


def _join(piece: list[str], wrap: _Wrap, *, wrapped: bool) -> list[str]:
    """Return the lines of one piece, after those that belong together were joined.

    As many lines are joined as give the best score (_scores()). ``wrapped``: the text certainly was
    wrapped, so the most lines with this score are joined. Otherwise joining stops before a line of
    prose, if the score is as good without it.
    """
    out = [piece[0]]
    at = 1
    while at < len(piece):
        scores = _scores(out[-1], piece, at, wrap)
        best = [n for n, score in enumerate(scores) if score == max(scores)]
        prose = [n for n, x in enumerate(piece[at : at + best[-1]], 1) if _PROSE.search(x)]
        ends = best[-1] if wrapped or not prose else prose[0] - 1
        count = max((n for n in best if n <= ends), default=best[0])
        for line in piece[at : at + count]:
            out[-1] += wrap.gap(piece[at - 1], line) + line
            at += 1
        if not count:
            out.append(piece[at])
            at += 1
    return out


def _worth(text: str) -> int:
    """Return how many facts in a record can be read, minus the number that can't be.

    ``text``: the record, which may be damaged, or have others behind it.
    """
    report = parse(_in_order([text]))
    unread = [
        x for c in report.connections if isinstance(x := connection_fields(c)["unread"], list)
    ]
    listed = sum(c.policy_known + c.routing_known + len(c.topologies) for c in report.connections)
    bad = sum(map(len, unread)) + report.unrecognised_count + _lacks(report)
    return _readable(report) + listed + len(daemon_info.settings(report)) - bad


_PROCESSES: Final = "  PID  Process"


def _is_known(line: str) -> bool:
    if line.startswith(_PROCESSES.lstrip()):
        return True
    return sections.known(line) or sections.error(line) or sections.note(line)


def _records(line: str) -> list[str]:
    """Return the records that are on one line, each as libreswan prints it.

    What stands before the first record is an item, too. Prefixes without a record are left out.
    """
    starts = [m.start() for m in _RECORD.finditer(line)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    ends = [*starts[1:], len(line)]
    found = [_SEPARATORS.sub("", line[a:b]).strip() for a, b in zip(starts, ends, strict=True)]
    return [_restored(r) for r in found if r and not _BARE_PREFIX.fullmatch(r)]


def _restored(record: str) -> str:
    """Return a record with as many blanks between its parts as libreswan prints.

    A record whose form isn't recognised is returned as it is.
    """
    if record.startswith(_PROCESSES.lstrip()):
        return f"  {record}"
    m = _BARE_SHUNT.fullmatch(record)
    if m is not None:
        begin, theirs, action, priority, why = m.groups()
        return f"{begin}{theirs} => {action}{f' {priority}' if priority else ''}    {why}"
    m = _KEYED.fullmatch(record)
    if m is None:
        return record
    begin, rest = m.groups()
    if rest.startswith(("oriented;", "unoriented;", "myip=")):
        return f"{begin}     {rest}"
    return f"{begin}   {rest}" if connections.is_keyed(rest) else f"{begin} {rest}"


def _is_sa(record: str) -> bool:
    """Return whether a record is a line about an SA, or about a pending negotiation of one."""
    return _SA.match(record) is not None


_SA: Final = re.compile(f"{PREFIX}(?:#|{_WISH})", re.ASCII)  # 3.20 may lose the #
