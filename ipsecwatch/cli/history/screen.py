# SPDX-License-Identifier: MIT
"""Formats a history as lines for people: all tunnels, one tunnel's transitions, or visits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.display import table, terminal
from ipsecwatch.cli.display.table import Column
from ipsecwatch.cli.history.bar import bar, glyphs, ruler
from ipsecwatch.cli.history.times import local
from ipsecwatch.cli.tunnels.selection import natural
from ipsecwatch.history.entries import Kind
from ipsecwatch.history.visits import visits_of
from ipsecwatch.history.watches import End
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipsecwatch.cli.history.bar import Glyphs
    from ipsecwatch.history.entries import Entry
    from ipsecwatch.history.summary import Outage, Summary, Watched
    from ipsecwatch.history.timelines import Timeline
    from ipsecwatch.history.visits import Visit

_NARROW: Final = 60
"""On a terminal with fewer columns, the table of all tunnels has no bars."""
_INDENT: Final = 34
"""The column in which reasons begin, in the list of a tunnel's transitions."""
_SHORTEST: Final = 12
"""The least number of characters that a bar in the table has."""


@dataclass(frozen=True, slots=True)
class Look:
    """What all parts of the output need: the period, and how the terminal shows text.

    The period is from ``since`` to ``until``, in seconds since the epoch.
    """

    since: float
    until: float
    watched: Sequence[Watched]
    """The times within the period in which the service watched tunnels."""
    reaches_back: float | None
    """When the journal's first entry by root was written; None: there is no such entry."""
    paint: terminal.Paint
    columns: int
    """The number of columns for text."""
    chars: Glyphs

    @property
    def seconds(self) -> float:
        """How many seconds of the period the service watched."""
        return sum(w.end - w.begin for w in self.watched)

    @classmethod
    def of(
        cls,
        since: float,
        until: float,
        watched: Sequence[Watched],
        reaches_back: float | None,
    ) -> Look:
        """Return the Look for a period, with the colours and the width of stdout's terminal."""
        paint = terminal.Paint(terminal.colour_wanted())
        return cls(since, until, watched, reaches_back, paint, terminal.columns(), glyphs())


def heading(look: Look) -> list[str]:
    """Return the first lines: the period, how long it was watched, and when the journal begins."""
    whole = look.until - look.since
    part = f"{percent(look.seconds / whole)}, {terminal.ago(look.seconds)} of {terminal.ago(whole)}"
    lines = [f"{_minute(look.since)} to {_minute(look.until)}: watched {part}."]
    if look.reaches_back is not None:
        lines.append(f"The journal reaches back to {_minute(look.reaches_back)}.")
    return [piece for line in lines for piece in terminal.wrap(line, look.columns)]


# --- All tunnels ---------------------------------------------------------------------------------


def overview(summaries: Sequence[Summary], look: Look) -> list[str]:
    """Return the lines of the table of tunnels, with a bar for each if there is room.

    The tunnel with the longest total time of outages comes first. Without tunnels, return a line
    that says that none were seen.
    """
    if not summaries:
        return ["No tunnels were seen."]
    rows = sorted(summaries, key=_worst_first)
    room = _SHORTEST + table.GAP if look.columns >= _NARROW else 0
    layout = table.lay_out(_columns(look), rows, look.columns - room)
    taken = sum(table.GAP + cells for _, cells in layout.columns)
    cells = look.columns - taken if room else 0
    head = f"{look.paint.dim(ruler(look.since, look.until, cells))}" if room else ""
    out = [f"{layout.head(look.paint)}  {head}".rstrip()]
    for s in rows:
        drawn = _bar(s, look, cells) if room else ""
        out.append(f"{layout.line(s)}  {drawn}".rstrip())
    legend = terminal.wrap(look.chars.legend, look.columns) if room else []
    return out + [look.paint.dim(line) for line in legend]


def _columns(look: Look) -> list[Column[Summary]]:
    """Return the columns of the table of tunnels. The bar, behind them, isn't one of them."""

    def marked(s: Summary, text: str) -> str:
        return f"{_mark(s, look)}{text[1:]}"

    return [
        Column(
            "  TUNNEL", lambda s: f"  {s.name}", 0, least=12, wish=24, most=42, both_ends=True,
            paint=marked,
        ),
        Column("UPTIME", lambda s: "" if s.uptime is None else percent(s.uptime), 1, right=True),
        Column("OUTAGES", lambda s: str(len(s.outages) or ""), 2, right=True),
        Column("FLAPS", lambda s: str(s.flaps or ""), 4, right=True),
        Column("LONGEST", _longest, 3, right=True),
    ]  # fmt: skip


def _longest(s: Summary) -> str:
    return terminal.ago(max(o.seconds for o in s.outages)) if s.outages else ""


def _worst_first(s: Summary) -> tuple[Any, ...]:
    """Return a sort key: total time of outages, then their number (most first), then the name."""
    return -sum(o.seconds for o in s.outages), -len(s.outages), natural(s.name)


def _mark(s: Summary, look: Look) -> str:
    last = s.last
    return look.paint.dim("-") if last is None else look.paint.state(last, terminal.mark(last))


def _bar(s: Summary, look: Look, cells: int) -> str:
    return bar(s.spans, look.since, look.until, cells, look.chars, look.paint)


# --- One tunnel ----------------------------------------------------------------------------------


def details(s: Summary, look: Look) -> list[str]:
    """Return the lines about one tunnel: name, facts, a bar, transitions, and unwatched times."""
    cells = look.columns - 2
    out = [look.paint.bold(piece) for piece in terminal.wrap(s.name, look.columns)]
    out += terminal.facts(_facts(s, look), look.paint, look.columns)
    out += [
        look.paint.dim(f"  {ruler(look.since, look.until, cells)}"),
        f"  {_bar(s, look, cells)}".rstrip(),
    ]
    out += _story(s, look)
    return out


def _facts(s: Summary, look: Look) -> list[tuple[str, str]]:
    """Return what the bar doesn't show exactly: uptime, outages, unknown and unwatched times.

    Each fact is a label and a text. A text of "" isn't printed.
    """
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
        ("not seen", _of(look.seconds - known - unknown)),
        ("outages", _outages(s.outages, seen=s.last is not None)),
        ("flaps", f"{s.flaps} of them over within a minute" if s.flaps else ""),
    ]


def _of(seconds: float) -> str:
    return terminal.ago(seconds) if seconds >= 1 else ""


def _outages(outages: Sequence[Outage], *, seen: bool) -> str:
    """Return the number of outages, their total time, and the longest one, in words.

    If the last outage has no end, the text says that it isn't over, or that its end wasn't seen.
    ``seen`` decides which: the tunnel was still listed when the service last watched in the period.
    """
    if not outages:
        return "none"
    total = terminal.ago(sum(o.seconds for o in outages))
    longest = max(outages, key=lambda o: o.seconds)
    lasts = "; the last one isn't over" if seen else "; the end of the last one was not seen"
    lasts = "" if outages[-1].over else lasts
    if len(outages) == 1:
        return f"1, {total}, from {_second(longest.begin)}{lasts}"
    return (
        f"{len(outages)}, {total} together; the longest {terminal.ago(longest.seconds)}, "
        f"from {_second(longest.begin)}{lasts}"
    )


def _story(s: Summary, look: Look) -> list[str]:
    """Return lines about a tunnel's transitions, and about times when the service didn't watch.

    They are in order of time. Above those of each day is a line with the date.
    """
    lasted: dict[int, float] = defaultdict(float)
    for span in s.spans:
        lasted[id(span.entry)] += span.seconds
    lines = [(at, _event(at, entry, lasted[id(entry)], look)) for at, entry in s.transitions]
    lines += [(at, [look.paint.dim(piece) for piece in told]) for at, told in _gaps(look)]
    out: list[str] = []
    day = ""
    for at, told in sorted(lines, key=lambda line: line[0]):
        if (today := local(at).strftime("%Y-%m-%d")) != day:
            day = today
            out.append(look.paint.dim(f"  {day}"))
        out += told
    return out


def _event(at: float, entry: Entry, lasted: float, look: Look) -> list[str]:
    """Return the lines about a transition or first look: time, state, its length, and the reason.

    ``at``: its time, in seconds since the epoch. ``lasted``: how many seconds the new state lasted.
    """
    state = entry.state
    word = "unloaded" if entry.gone else state.value
    sign = look.paint.state(state, terminal.mark(state))
    words = ["Already so when watching began."] if entry.kind is Kind.FIRST_LOOK else []
    words += [] if entry.reason is Reason.NONE else [entry.text.sentence]
    if look.columns < _INDENT + 20:
        head = f"{local(at).strftime('%H:%M')} {sign} {look.paint.state(state, word)}"
        pieces = terminal.wrap(" ".join(words), look.columns - 2) if words else []
        return [head, *(f"  {piece}" for piece in pieces)]
    length = "" if entry.gone else terminal.ago(lasted)
    painted = look.paint.state(state, terminal.pad(word, 10))
    head = f"  {terminal.clock(at)}  {sign} {painted} {length:>8}"
    first, *more = terminal.wrap(" ".join(words), look.columns - _INDENT)
    return [f"{head}  {first}".rstrip(), *(f"{' ' * _INDENT}{piece}" for piece in more)]


def _gaps(look: Look) -> Iterator[tuple[float, list[str]]]:
    """Yield each time between two watches, if it is at least a second: its beginning, and lines.

    The beginning is in seconds since the epoch. The lines say how long the service didn't watch,
    and why.
    """
    for before, after in pairwise(look.watched):
        if after.begin - before.end < 1:
            continue
        why = _WHY_NOT[before.ended_by]
        if before.run == after.run:
            why = "the machine slept, or its clock was set"
        told = f"not watched for {terminal.ago(after.begin - before.end)}"
        told = f"{told}: {why}" if why else told
        if look.columns < _INDENT + 20:
            yield before.end, terminal.wrap(f"{terminal.clock(before.end)} {told}", look.columns)
            continue
        begin, *more = terminal.wrap(told, look.columns - 12)
        first = f"  {terminal.clock(before.end)}  {begin}"
        yield before.end, [first, *(f"{' ' * 12}{p}" for p in more)]


_WHY_NOT: Final = {
    End.WRITTEN: "the service was stopped",
    End.SYSTEMD: "the service ended unexpectedly",
    End.BOOT: "the machine went down",
    End.LAST_ENTRY: "",
    End.GOES_ON: "",
}


# --- Who was there -------------------------------------------------------------------------------


def visits_in(timelines: Iterable[Timeline], since: float, until: float) -> list[Visit]:
    """Return the visits that lie in a period, also those that only end or begin in it.

    The period is from ``since`` to ``until``, in seconds since the epoch.
    """
    found = visits_of(timelines)
    return [v for v in found if v.came < until and (v.went or v.last) >= since]


def users(visits: Sequence[Visit], look: Look) -> list[str]:
    """Return the lines of a table of visits: who came, from where, when, how long, why it ended.

    Without visits, return a line that says that there were none.
    """
    if not visits:
        return ["No peer was connected through a template."]
    columns: list[Column[Visit]] = [
        Column("USER", lambda v: v.user, 0, least=8, wish=20, most=42, both_ends=True),
        Column("TUNNEL", lambda v: v.tunnel, 4, least=8, most=42, both_ends=True),
        Column("FROM", lambda v: v.peer, 3, most=42, both_ends=True),
        Column("CAME", lambda v: _came(v, look), 1),
        Column("WENT", lambda v: _went(v, look), 2),
        Column("FOR", lambda v: terminal.ago(v.seconds), 5, right=True),
        Column("WHY", _why, 6, least=12, short=lambda v: v.reason.value),
    ]
    layout = table.lay_out(columns, visits, look.columns)
    return [layout.head(look.paint), *map(layout.line, visits)]


def _why(v: Visit) -> str:
    return "" if v.reason is Reason.NONE else v.text.sentence


def _came(v: Visit, look: Look) -> str:
    return ("" if v.came_seen else "before ") + _short(v.came, look)


def _went(v: Visit, look: Look) -> str:
    if v.went is not None:
        return _short(v.went, look)
    if v.last >= look.until:
        return "still connected"
    return f"after {_short(v.last, look)}"


# --- Words ---------------------------------------------------------------------------------------


def percent(part: float) -> str:
    """Return a fraction (0 to 1) as per cent, such as ``99.98 %``.

    It is rounded down, so that only a full 1 is ``100 %``.
    """
    return "100 %" if part >= 1 else f"{int(part * 10_000) / 100:.2f} %"


def _minute(at: float) -> str:
    return local(at).strftime("%Y-%m-%d %H:%M")


def _second(at: float) -> str:
    return terminal.moment(at)


def _short(at: float, look: Look) -> str:
    """Return the local time of day of ``at`` (seconds since the epoch).

    The date (``11-28``) is in front, unless the period is within one day.
    """
    one_day = _minute(look.since)[:10] == _minute(look.until)[:10]
    return local(at).strftime("%H:%M:%S" if one_day else "%m-%d %H:%M:%S")
