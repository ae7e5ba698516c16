# SPDX-License-Identifier: MIT
"""Formats what verbs print on a terminal: tunnels, colours, labelled paragraphs, times.

table.py makes tables.
"""

from __future__ import annotations

import os
import re
import sys
import time
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.cli.common import screen_columns, wants_ascii
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.sanitize import clean
from ipsecwatch.states import Part, Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipsecwatch.client import View
    from ipsecwatch.tunnel import Tunnel

_LABEL: Final = 11
_WIDEST: Final = 100
"""The greatest width of text in columns; longer lines are hard to read."""

_NARROWEST: Final = 20
_NARROW: Final = 50
"""Below this width in columns, a label has a line of its own."""

_COLOURS: Final = {
    TunnelState.UP: "32",
    TunnelState.PARTIAL: "33",
    TunnelState.STUCK: "31",
    TunnelState.CONNECTING: "33",
    TunnelState.WAITING: "2",
    TunnelState.DOWN: "2",
    TunnelState.UNKNOWN: "35",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One tunnel as verbs show it, from the service, from pluto itself, or from a file."""

    name: str
    state: TunnelState
    last_state: TunnelState
    reason: Reason
    since: float | None
    """When the state began, in seconds since the epoch; None: unknown, as from a file."""
    since_known: bool
    """Whether that was seen; False: the state began before ``since``, and is older than ``age``."""
    age: float | None
    """For how many seconds the tunnel has been in its state; None: unknown."""
    children_up: int
    children: int
    instances: int
    managed: str = ""
    attempts: int = 0
    """Negotiations that were begun since the tunnel was last up."""
    peer: str | None = None
    """The peer's address; None: not known."""
    missing: tuple[Part, ...] = ()
    """Parts that pluto's text lacks, and that would show the state, or more of it."""
    incoming: str | None = None
    """pluto's log line about a failed attempt from outside that proved no identity."""
    incoming_at: float | None = None
    """When that attempt was, in seconds since the epoch."""
    bytes_in: int | None = None
    """Bytes that the tunnel's Child SAs have received since they were set up; None: not known."""
    bytes_out: int | None = None
    losses: int | None = None
    """How often the service saw the tunnel lost in the hour before pluto's last answer.

    It was lost where it was UP or PARTIAL, and then in another known state. None: not known.
    """
    title: str = ""
    """NetworkManager's name for a tunnel whose ``name`` is a UUID; "": there is none."""

    @property
    def shown(self) -> str:
        """The name that is shown to people."""
        return self.title or self.name

    @classmethod
    def of_view(cls, v: View) -> Row:
        """Return the row of a tunnel that the service reports."""
        return cls(
            v.name, v.state, v.last_state, v.reason, v.since, v.since_known, _age(v),
            v.children_up, v.children, v.instances, v.managed, v.attempts,
        )  # fmt: skip

    @classmethod
    def of_tunnel(cls, t: Tunnel) -> Row:
        """Return the row of a tunnel in one status of pluto's, which has no times."""
        return cls(
            t.name, t.state, t.last_state, t.reason, since=None, since_known=False, age=None,
            children_up=t.children_up, children=t.children, instances=t.instances,
            managed=t.managed, attempts=t.attempts, peer=clean(t.peer) if t.peer else None,
            missing=t.missing,
        )  # fmt: skip


def _age(v: View) -> float:
    """Return for how many seconds a tunnel has been in its state.

    It is counted by CLOCK_BOOTTIME, which nobody can set, or by the wall clock where the service is
    too old to send the former.
    """
    if v.since_boot:
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - v.since_boot)
    return max(0.0, time.time() - v.since)  # a service that is too old to send it


class Paint(NamedTuple):
    """Adds colours to text, if they are on."""

    on: bool

    def state(self, state: TunnelState, text: str | None = None) -> str:
        """Return a text in the colour of a state; without a text, the state's name."""
        return self._sgr(_COLOURS[state], state.value if text is None else text)

    def dim(self, text: str) -> str:
        """Return a text in the faint style, for what is less important."""
        return self._sgr("2", text)

    def bold(self, text: str) -> str:
        """Return a text in the bold style, for headings."""
        return self._sgr("1", text)

    def _sgr(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text


def width(text: str) -> int:
    """Return the number of terminal cells of a cleaned text (UAX 11; combining marks take none)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad(text: str, cells: int) -> str:
    """Return a text filled with blanks at its end to ``cells`` cells; a longer one as it is."""
    return text + " " * max(0, cells - width(text))


def cut(text: str, cells: int, *, both_ends: bool = False) -> str:
    """Return a text cut to ``cells`` cells, with an ellipsis at its end or in its middle.

    A text that fits is returned as it is.
    """
    if width(text) <= cells:
        return text
    sign = "…" if can_show_symbols() else "~"
    if cells <= 1:
        return sign[:cells]
    last = (cells - 1) // 2 if both_ends else 0
    return _head(text, cells - 1 - last) + sign + _head(text[::-1], last)[::-1]


def _head(text: str, cells: int) -> str:
    """Return the beginning of a text that fits into a number of cells."""
    end, used = 0, 0
    for c in text:
        used += width(c)
        if used > cells:
            break
        end += 1
    return text[:end]


def how_long(age: float, *, known: bool) -> str:
    """Return an age as text; "over …" where it isn't ``known``, since its beginning wasn't seen."""
    return ago(age) if known else f"over {ago(age)}"


def since(row: Row) -> str:
    """Return as text since when a tunnel has been in its state, and for how long.

    Where the beginning wasn't seen, return only ``over …``; where nothing is known, "".
    """
    if row.since is None or row.age is None:
        return ""
    age = how_long(row.age, known=row.since_known)
    return f"{moment(row.since)}, {age}" if row.since_known else age


def mark(state: TunnelState) -> str:
    """Return the sign of a state; signs differ without colour, except for waiting and down."""
    return (_SYMBOLS if can_show_symbols() else _LETTERS)[state]


_SYMBOLS: Final = {
    TunnelState.UP: "●", TunnelState.PARTIAL: "◐", TunnelState.STUCK: "✗",
    TunnelState.CONNECTING: "…", TunnelState.WAITING: "○", TunnelState.DOWN: "○",
    TunnelState.UNKNOWN: "?",
}  # fmt: skip
_LETTERS: Final = {
    TunnelState.UP: "*", TunnelState.PARTIAL: "+", TunnelState.STUCK: "x",
    TunnelState.CONNECTING: ".", TunnelState.WAITING: "o", TunnelState.DOWN: "o",
    TunnelState.UNKNOWN: "?",
}  # fmt: skip


def arrow() -> str:
    """Return the sign between the old and the new state of a transition: ``→``, in ASCII ``->``."""
    return "→" if can_show_symbols() else "->"


@cache
def can_show_symbols() -> bool:
    """Return whether stdout can show more than ASCII, by its encoding and the locale."""
    if wants_ascii():
        return False
    try:
        "●…".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def amount(count: int) -> str:
    """Return a number of bytes in up to four characters: ``840``, ``7.1K``, ``120M``; K is 1024.

    From 1000P on it has more characters.
    """
    size, unit = float(count), ""
    for unit in ("", "K", "M", "G", "T", "P"):
        if size < 999.5 or unit == "P":
            break
        size /= 1024
    return f"{size:.1f}{unit}" if unit and size < 9.95 else f"{size:.0f}{unit}"


def words(row: Row) -> str:
    """Return in one line what is known about a tunnel besides name and state.

    These are counts of subnets and clients, the last state or why it isn't known, reason, attempts,
    and manager. Return "" where there is nothing to say.
    """
    parts = []
    if row.children > 1:
        parts.append(f"{row.children_up} of {row.children} subnets")
    if row.instances:
        parts.append(f"{row.instances} client" + ("s" if row.instances > 1 else ""))
    if row.state is TunnelState.UNKNOWN and row.last_state is not TunnelState.UNKNOWN:
        parts.append(f"last known: {row.last_state.value}")
    elif row.state is TunnelState.UNKNOWN:
        parts += [MISSING[part] for part in row.missing]
    if row.reason is not Reason.NONE:
        parts.append(REASON_TEXTS[row.reason].sentence.rstrip("."))
    if row.attempts > 1:
        parts.append(f"{row.attempts} attempts")
    if row.managed:
        parts.append(row.managed)
    return "; ".join(parts)


MISSING: Final = {
    Part.STATES: "the text doesn't show whether it has a Child SA",
    Part.POLICIES: "its policy, which says whether it should be up, isn't in the text",
    Part.CONNECTIONS: "its first line in the connection list isn't in the text",
}
"""What the lack of each part of a text means."""


def count(rows: Sequence[Row]) -> str:
    """Return how many of these tunnels are in each state, as ``4 tunnels: 3 up, 1 stuck``."""
    numbers = [(s, sum(r.state is s for r in rows)) for s in TunnelState]
    told = ", ".join(f"{n} {s.value}" for s, n in numbers if n)
    return f"{len(rows)} tunnel{'s' if len(rows) != 1 else ''}: {told}"


def ago(seconds: float) -> str:
    """Return a duration rounded down to two units: ``42s``, ``5m 10s``, ``3h 05m``, ``12d 4h``.

    A negative one is ``0s``.
    """
    s = max(0, int(seconds))
    if s < 60:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m {s % 60:02}s"
    if s < 86400:
        return f"{s // 3600}h {s % 3600 // 60:02}m"
    return f"{s // 86400}d {s % 86400 // 3600}h"


def clock(at: float) -> str:
    """Return a moment, in seconds since the epoch, as the local time of day: ``14:05:09``."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def moment(at: float) -> str:
    """Return a moment, in seconds since the epoch, as local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def transition(
    at: float,
    name: str,
    old: str,
    new: TunnelState | None,
    reason: Reason,
    paint: Paint,
    wide: int | None = None,
) -> str:
    """Return a transition as one line, or as several where it is wider than ``wide``.

    ``at`` is in seconds since the epoch; ``old``: the name of the state before, or "". ``new`` is
    None for a tunnel that is gone. ``wide`` None: lines may be of any length.
    """
    told = paint.dim("gone") if new is None else paint.state(new)
    sign = paint.dim("-") if new is None else paint.state(new, mark(new))
    why = "" if reason is Reason.NONE else f"  {REASON_TEXTS[reason].sentence}"
    gap = " " * max(0, 10 - len("gone" if new is None else new.value))
    step = f"{arrow()} {told}"
    line = f"{clock(at)} {sign} {pad(name, 20)}  {old:>10} {step}{gap if why else ''}{why}"
    head = f"{clock(at)} {sign} {name}"
    return "\n".join(folded(line, [head, f"{old} {step}", why.strip()], wide))


_SGR: Final = re.compile(r"\x1b\[\d+m")


def folded(line: str, pieces: Sequence[str], wide: int | None) -> list[str]:
    """Return ``line`` if it fits into ``wide`` cells, else its pieces, as many on a line as fit.

    The first piece is cut where it doesn't fit, others are broken at blanks. ``wide`` is None where
    lines may be of any length.
    """
    if wide is None or _shown(line) <= wide:
        return [line]
    out = [pieces[0] if _shown(pieces[0]) <= wide else cut(_SGR.sub("", pieces[0]), wide)]
    indent = " " * (_INDENT if wide >= _NARROW else 2)
    for piece in filter(None, pieces[1:]):
        if _shown(f"{out[-1]}  {piece}") <= wide:
            out[-1] += f"  {piece}"
        else:
            out += [f"{indent}{part}" for part in wrap(piece, wide - len(indent))]
    return out


_INDENT: Final = 11
"""Columns before the text of a line that begins with the time and a sign."""


def _shown(text: str) -> int:
    """Return the terminal cells of a text with colours."""
    return width(_SGR.sub("", text))


def columns() -> int:
    """Return the columns for text: the terminal's, but _NARROWEST at least and _WIDEST at most.

    Without a terminal, return _WIDEST.
    """
    return max(_NARROWEST, min(_WIDEST, terminal_width() or _WIDEST))


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where stdout isn't one."""
    return screen_columns() if sys.stdout.isatty() else None


def facts(rows: Iterable[tuple[str, str]], paint: Paint, wide: int) -> list[str]:
    """Return paragraphs, given as label and text, as lines; those without text are left out.

    Each line of a text begins a new line, and one that is too long is broken at blanks.
    """
    out: list[str] = []
    for label, text in rows:
        for i, line in enumerate(text.split("\n") if text else ()):
            first = paint.dim(pad(label, _LABEL)) if i == 0 else " " * _LABEL
            if wide < _NARROW:  # a label has a line of its own
                out += [f"  {first}"] if i == 0 else []
                out += [f"    {piece}" for piece in wrap(line, wide - 4)]
                continue
            pieces = wrap(line, wide - _LABEL - 4)
            out += [f"  {first}  {pieces[0]}", *(f"{' ' * (_LABEL + 4)}{p}" for p in pieces[1:])]
    return [line.rstrip() for line in out]


def wrap(line: str, wide: int) -> list[str]:
    """Return a line as pieces of at most ``wide`` cells, broken at blanks where that is possible.

    A ``wide`` of less than 10 counts as 10.
    """
    if width(line) <= wide:
        return [line]
    pieces = [""]
    for part in _BLANKS_OR_WORD.findall(line):
        if width(pieces[-1] + part) <= max(10, wide):
            pieces[-1] += part
            continue
        pieces.append("")
        if part.isspace():
            continue
        for character in part:  # a word that is longer than a piece is broken
            if width(pieces[-1] + character) > max(10, wide):
                pieces.append("")
            pieces[-1] += character
    return [piece.rstrip() for piece in pieces if piece.strip()] or [""]


_BLANKS_OR_WORD: Final = re.compile(r"\s+|\S+")


def wrapped(lines: Iterable[str]) -> list[str]:
    """Return lines, broken to the width of the terminal where stdout is one."""
    wide = terminal_width()
    return [piece for line in lines for piece in (wrap(line, wide) if wide else [line])]


def colour_wanted() -> bool:
    """Return whether to print colours: stdout is a terminal, not dumb, and NO_COLOR is unset.

    An empty NO_COLOR counts as unset. Source: no-color.org.
    """
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
