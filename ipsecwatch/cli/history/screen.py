# SPDX-License-Identifier: MIT
"""History for people: a table of all tunnels, what happened to one, who was there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli import terminal
from ipsecwatch.cli.history.bar import bar, glyphs, ruler
from ipsecwatch.cli.history.times import local
from ipsecwatch.history.entries import Kind
from ipsecwatch.history.visits import visits_of
from ipsecwatch.history.watches import End
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipsecwatch.cli.history.bar import Glyphs
    from ipsecwatch.history.entries import Entry
    from ipsecwatch.history.summary import Outage, Summary, Watched
    from ipsecwatch.history.timelines import Timeline
    from ipsecwatch.history.visits import Visit

_NARROW: Final = 60
"""Columns with fewer than which a table leaves something out."""
_INDENT: Final = 34
"""Where reasons begin in the list of what happened."""
_SHORTEST: Final = 12
"""Cells of a bar that is worth drawing in a table."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a history is of, and how it is to be shown."""

    since: float
    until: float
    watched: Sequence[Watched]
    """When somebody watched."""
    reaches_back: float | None
    """Since when there is a journal."""
    paint: terminal.Paint
    columns: int
    chars: Glyphs

    @property
    def seconds(self) -> float:
        """For how long somebody watched."""
        return sum(w.end - w.begin for w in self.watched)

    @classmethod
    def of(
        cls,
        since: float,
        until: float,
        watched: Sequence[Watched],
        reaches_back: float | None,
    ) -> Look:
        """Look at some time on this terminal."""
        paint = terminal.Paint(terminal.colour_wanted())
        return cls(since, until, watched, reaches_back, paint, terminal.columns(), glyphs())


def heading(look: Look) -> list[str]:
    """Say what time it is about, and how much of it was watched."""
    whole = look.until - look.since
    part = f"{percent(look.seconds / whole)}, {terminal.ago(look.seconds)} of {terminal.ago(whole)}"
    lines = [f"{_minute(look.since)} to {_minute(look.until)}: watched {part}."]
    if look.reaches_back is not None:
        lines.append(f"The journal reaches back to {_minute(look.reaches_back)}.")
    return [piece for line in lines for piece in wrapped(line, look.columns)]


# --- All tunnels ---------------------------------------------------------------------------------


def overview(summaries: Sequence[Summary], look: Look) -> list[str]:
    """Lay all tunnels out as a table, the worst first."""
    if not summaries:
        return ["No tunnels were seen."]
    rows = sorted(summaries, key=_badness)
    wide = look.columns >= _NARROW
    figures = {s.name: _figures(s, wide=wide) for s in rows}
    heads = ("UPTIME", "OUTAGES", "FLAPS", "LONGEST") if wide else ("UPTIME", "OUTAGES")
    widths = [max(len(h), *(len(f[n]) for f in figures.values())) for n, h in enumerate(heads)]
    taken = sum(widths) + 2 * len(widths) + 2
    longest = max(6, *(terminal.width(s.name) for s in rows))
    names = min(longest, max(12, min(40, look.columns - taken - (_SHORTEST + 2 if wide else 0))))
    cells = look.columns - taken - names - 2
    cells = cells if cells >= _SHORTEST else 0
    head = "  ".join(h.rjust(w) for h, w in zip(heads, widths, strict=True))
    out = [
        look.paint.dim(f"  {terminal.pad('TUNNEL', names)}  {head}  {_ruler(look, cells)}".rstrip())
    ]
    for s in rows:
        values = "  ".join(v.rjust(w) for v, w in zip(figures[s.name], widths, strict=True))
        line = f"{_mark(s, look)} {terminal.pad(cut(s.name, names), names)}  {values}"
        drawn = bar(s.spans, look.since, look.until, cells, look.chars, look.paint) if cells else ""
        out.append(f"{line}  {drawn}".rstrip())
    if cells:
        out += [look.paint.dim(line) for line in _legend(look)]
    return out


def _figures(s: Summary, *, wide: bool) -> tuple[str, ...]:
    uptime = "-" if s.uptime is None else percent(s.uptime)
    longest = max((o.seconds for o in s.outages), default=None)
    count = str(len(s.outages)) if s.outages else "-"
    if not wide:
        return uptime, count
    flaps = str(s.flaps) if s.flaps else "-"
    return uptime, count, flaps, "-" if longest is None else terminal.ago(longest)


def _badness(s: Summary) -> tuple[float, float, str]:
    """Sort by the time of outages, then by their number, then by name."""
    return -sum(o.seconds for o in s.outages), -len(s.outages), s.name


def _mark(s: Summary, look: Look) -> str:
    last = s.last
    return look.paint.dim("-") if last is None else look.paint.state(last, look.chars.marks[last])


def _legend(look: Look) -> list[str]:
    return wrapped(look.chars.legend, look.columns)


def _ruler(look: Look, cells: int) -> str:
    return ruler(look.since, look.until, cells) if cells else ""


# --- One tunnel ----------------------------------------------------------------------------------


def details(s: Summary, look: Look) -> list[str]:
    """Tell what happened to one tunnel."""
    cells = look.columns - 2
    out = [look.paint.bold(piece) for piece in wrapped(s.name, look.columns)]
    out += terminal.facts(_facts(s, look), look.paint, look.columns)
    out += [
        look.paint.dim(f"  {_ruler(look, cells)}"),
        f"  {bar(s.spans, look.since, look.until, cells, look.chars, look.paint)}".rstrip(),
    ]
    out += _story(s, look)
    return out


def _facts(s: Summary, look: Look) -> list[tuple[str, str]]:
    known = s.known
    unknown = s.seconds.get(TunnelState.UNKNOWN, 0.0)
    times = [(state, s.seconds[state]) for state in TunnelState if s.seconds.get(state)]
    told = ", ".join(
        f"{state.value} {terminal.ago(t)}" for state, t in times if state is not TunnelState.UNKNOWN
    )
    return [
        (
            "uptime",
            "" if s.uptime is None else f"{percent(s.uptime)} of {terminal.ago(known)}: {told}",
        ),
        ("not known", _of(unknown)),
        ("not watched", _of(look.until - look.since - look.seconds)),
        ("not listed", _of(look.seconds - known - unknown)),
        ("outages", _outages(s.outages)),
        ("flaps", f"{s.flaps} of them over within a minute" if s.flaps else ""),
    ]


def _of(seconds: float) -> str:
    return terminal.ago(seconds) if seconds >= 1 else ""


def _outages(outages: Sequence[Outage]) -> str:
    if not outages:
        return "none"
    total = terminal.ago(sum(o.seconds for o in outages))
    longest = max(outages, key=lambda o: o.seconds)
    lasts = "" if outages[-1].over else "; the last one isn't over"
    if len(outages) == 1:
        return f"1, {total}, from {_second(longest.begin)}{lasts}"
    return (
        f"{len(outages)}, {total} together; the longest {terminal.ago(longest.seconds)}, "
        f"from {_second(longest.begin)}{lasts}"
    )


def _story(s: Summary, look: Look) -> list[str]:
    """List what was told of it and when nobody watched, with the day above where one begins."""
    lasted: dict[int, float] = defaultdict(float)
    for span in s.spans:
        lasted[id(span.entry)] += span.seconds
    lines = [(at, _told(at, entry, lasted[id(entry)], look)) for at, entry in s.transitions]
    lines += [(at, [look.paint.dim(piece) for piece in told]) for at, told in _gaps(look)]
    out: list[str] = []
    day = ""
    for at, told in sorted(lines, key=lambda line: line[0]):
        if (today := local(at).strftime("%Y-%m-%d")) != day:
            day = today
            out.append(look.paint.dim(f"  {day}"))
        out += told
    return out


def _told(at: float, entry: Entry, lasted: float, look: Look) -> list[str]:
    """Write what an entry tells: when, the new state, how long it lasted, why."""
    state = entry.state
    word = terminal.pad("unloaded" if entry.gone else state.value, 10)
    length = "" if entry.gone else terminal.ago(lasted)
    words = ["So at the first look."] if entry.kind is Kind.FIRST_LOOK else []
    words += [] if entry.reason is Reason.NONE else [REASON_TEXTS[entry.reason].sentence]
    why = " ".join(words)
    sign = look.paint.state(state, look.chars.marks[state])
    head = f"  {terminal.clock(at)}  {sign} {look.paint.state(state, word)} {length:>8}"
    room = look.columns - _INDENT
    if not why:
        return [head.rstrip()]
    if room < 20:
        return [head, *(f"    {p}" for p in wrapped(why, look.columns - 4))]
    first, *more = wrapped(why, room)
    return [f"{head}  {first}", *(f"{' ' * _INDENT}{p}" for p in more)]


def _gaps(look: Look) -> Iterator[tuple[float, list[str]]]:
    """Say when nobody watched, and why if that is known."""
    for before, after in pairwise(look.watched):
        if after.begin - before.end < 1:
            continue
        why = _WHY_NOT[before.ended_by]
        if before.run == after.run:
            why = "the machine slept, or its clock was set"
        told = f"nobody watched for {terminal.ago(after.begin - before.end)}"
        begin, *more = wrapped(f"{told}: {why}" if why else told, look.columns - 12)
        first = f"  {terminal.clock(before.end)}  {begin}"
        yield before.end, [first, *(f"{' ' * 12}{p}" for p in more)]


_WHY_NOT: Final = {
    End.WRITTEN: "the service was stopped",
    End.SYSTEMD: "the service ended without a word",
    End.BOOT: "the machine went down",
    End.LAST_ENTRY: "",
    End.GOES_ON: "",
}


# --- Who was there -------------------------------------------------------------------------------


def visits_in(timelines: Iterable[Timeline], since: float, until: float) -> list[Visit]:
    """Return the visits of which something lies between two moments."""
    found = visits_of(timelines)
    return [v for v in found if v.came < until and (v.went or v.last) >= since]


def users(visits: Sequence[Visit], look: Look) -> list[str]:
    """List who came and went: as a table where there is room for one."""
    if not visits:
        return ["Nobody was connected behind a template."]
    heads = ("USER", "TUNNEL", "FROM", "CAME", "WENT", "FOR", "WHY")
    rows = [_cells(v, look) for v in visits]
    widths = [max(terminal.width(r[n]) for r in (heads, *rows)) for n in range(len(heads))]
    if sum(widths) + 2 * (len(widths) - 1) > look.columns:
        return [line for v in visits for line in _visit_lines(v, look)]
    return [look.paint.dim(_row(heads, widths)), *(_row(row, widths) for row in rows)]


def _row(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(terminal.pad(c, w) for c, w in zip(cells, widths, strict=True)).rstrip()


def _cells(v: Visit, look: Look) -> tuple[str, ...]:
    came = ("" if v.came_seen else "before ") + _short(v.came, look)
    why = "" if v.reason is Reason.NONE else REASON_TEXTS[v.reason].sentence
    return v.user, v.tunnel, v.peer, came, _went(v, look), terminal.ago(v.seconds), why


def _went(v: Visit, look: Look) -> str:
    if v.went is not None:
        return _short(v.went, look)
    if v.last >= look.until:
        return "still there"
    return f"after {_short(v.last, look)}"


def _visit_lines(v: Visit, look: Look) -> list[str]:
    """Write a visit where there is no room for a table."""
    user, tunnel, peer, came, went, long, why = _cells(v, look)
    text = ", ".join(filter(None, (tunnel, peer, f"{came} to {went}", long)))
    pieces = wrapped(f"{text}. {why}" if why else text, look.columns - 2)
    names = [look.paint.bold(piece) for piece in wrapped(user or "?", look.columns)]
    return [*names, *(f"  {p}" for p in pieces)]


# --- Words ---------------------------------------------------------------------------------------


def percent(part: float) -> str:
    """Write a part of one per cent, never as more than it is."""
    return "100 %" if part >= 1 else f"{int(part * 10_000) / 100:.2f} %"


def wrapped(text: str, cells: int) -> list[str]:
    """Break a text at blanks, and within words that are longer than a line."""
    out = [""]
    for word in text.split(" "):
        rest = word
        if out[-1] and terminal.width(f"{out[-1]} {rest}") <= cells:
            out[-1] = f"{out[-1]} {rest}"
            continue
        while terminal.width(rest) > cells:
            part = _fitting(rest, cells)
            out.append(part)
            rest = rest[len(part) :]
        out.append(rest)
    return out[1:] if len(out) > 1 else out


def _fitting(text: str, cells: int) -> str:
    """Return as much of a text as fits, one character at least."""
    part = text[:cells]
    while len(part) > 1 and terminal.width(part) > cells:
        part = part[:-1]
    return part


def cut(text: str, cells: int) -> str:
    """Cut a name in its middle: both ends tell names apart."""
    if terminal.width(text) <= cells:
        return text
    half = (cells - 2) // 2
    begin, end = text[: cells - 2 - half], text[-half:]
    while terminal.width(begin + end) > cells - 2 and begin:
        begin = begin[:-1]
    return f"{begin}..{end}"


def _minute(at: float) -> str:
    return local(at).strftime("%Y-%m-%d %H:%M")


def _second(at: float) -> str:
    return terminal.moment(at)


def _short(at: float, look: Look) -> str:
    """Write a moment, with its day where that isn't clear."""
    one_day = _minute(look.since)[:10] == _minute(look.until)[:10]
    return local(at).strftime("%H:%M:%S" if one_day else "%m-%d %H:%M:%S")
