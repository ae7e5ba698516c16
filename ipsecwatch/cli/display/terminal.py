# SPDX-License-Identifier: MIT
"""Formats what verbs print on a terminal: tunnels, colours, labelled paragraphs, times.

A cell is the place of one narrow character on a terminal; a wide one, as in Chinese, takes two.
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
"""The greatest width of text in columns, also on a wider terminal: long lines are hard to read."""

_NARROWEST: Final = 20
_NARROW: Final = 50
"""For a text narrower than this, in columns, the label of a paragraph has a line of its own."""

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
    """When the tunnel entered its state, in seconds since the epoch; None: not known, as where the
    tunnel is from a file."""
    since_known: bool
    """Whether the service saw the state begin. False: the state began before ``since``, at an
    unknown time, so it has lasted longer than ``age``."""
    age: float | None
    """For how many seconds the tunnel had been in its state when this row was made; None: not
    known."""
    children_up: int
    children: int
    instances: int
    managed: str = ""
    attempts: int = 0
    """How many negotiations were begun since the tunnel was last UP."""
    peer: str | None = None
    """The peer's address; None: not known."""
    missing: tuple[Part, ...] = ()
    """Parts of a status that are missing in the text, and without which the state isn't known, or
    isn't fully known; () for a tunnel that the service reports."""
    incoming: str | None = None
    """pluto's log line about the last failed attempt of somebody to connect as the peer, without
    proof of an identity; None: none is known."""
    incoming_at: float | None = None
    """When the attempt in ``incoming`` was, in seconds since the epoch; None: none is known."""
    bytes_in: int | None = None
    """Bytes that the tunnel's Child SAs have received since they were set up; None: not known."""
    bytes_out: int | None = None
    losses: int | None = None
    """How often the service saw the tunnel lost in the hour before pluto's last answer.

    Each change from UP or PARTIAL to another state is a loss, except to UNKNOWN. None: not known.
    """
    title: str = ""
    """NetworkManager's name for a tunnel whose ``name`` is a UUID; "": none is known."""
    called: str = ""
    """``title`` as it is shown: with the UUID after it if other tunnels have the same title."""

    @property
    def shown(self) -> str:
        """The name that is shown to people: NetworkManager's if it is known, else pluto's."""
        return self.called or self.name

    @classmethod
    def of_view(cls, v: View) -> Row:
        """Return the row of a tunnel that the service reports."""
        return cls(
            v.name, v.state, v.last_state, v.reason, v.since, v.since_known, _age(v),
            v.children_up, v.children, v.instances, v.managed, v.attempts,
        )  # fmt: skip

    @classmethod
    def of_tunnel(cls, t: Tunnel) -> Row:
        """Return the row of a tunnel that was read from a single status, so without times."""
        return cls(
            t.name, t.state, t.last_state, t.reason, since=None, since_known=False, age=None,
            children_up=t.children_up, children=t.children, instances=t.instances,
            managed=t.managed, attempts=t.attempts, peer=clean(t.peer) if t.peer else None,
            missing=t.missing,
        )  # fmt: skip


def _age(v: View) -> float:
    """Return for how many seconds until now a tunnel has been in its state.

    It is counted by CLOCK_BOOTTIME, which nobody can set. Where the service is too old to send the
    beginning by this clock, it is counted by the wall clock.
    """
    if v.since_boot:
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - v.since_boot)
    return max(0.0, time.time() - v.since)  # a service that is too old to send it


class Paint(NamedTuple):
    """Adds a terminal's colours to text. Where ``on`` is False, all texts stay as they are."""

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
    """Return how many cells of a terminal a text takes.

    A character takes one cell; a wide one (UAX 11) takes two, and a combining mark none. The text
    must have no control characters or colours.
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad(text: str, cells: int) -> str:
    """Return a text filled with blanks at its end to ``cells`` cells; a wider text as it is."""
    return text + " " * max(0, cells - width(text))


def cut(text: str, cells: int, *, both_ends: bool = False) -> str:
    """Return a text that is cut to at most ``cells`` cells; one that fits is returned as it is.

    An ellipsis (in ASCII ``~``) stands for the part that is cut out: the end, or with
    ``both_ends`` the middle.
    """
    if width(text) <= cells:
        return text
    sign = "…" if can_show_symbols() else "~"
    if cells <= 1:
        return sign[:cells]
    last = (cells - 1) // 2 if both_ends else 0
    return _head(text, cells - 1 - last) + sign + _head(text[::-1], last)[::-1]


def _head(text: str, cells: int) -> str:
    """Return as much of a text's beginning as fits into ``cells`` cells."""
    end, used = 0, 0
    for c in text:
        used += width(c)
        if used > cells:
            break
        end += 1
    return text[:end]


def how_long(age: float, *, known: bool) -> str:
    """Return an age, given in seconds, as text: ``5m 10s``.

    Where it isn't ``known``, because the beginning wasn't seen, return ``over 5m 10s``.
    """
    return ago(age) if known else f"over {ago(age)}"


def since(row: Row) -> str:
    """Return as text since when a tunnel has been in its state (date and time), and for how long.

    Where the beginning wasn't seen, return only ``over 5m 10s``. Where no time is known, return "".
    """
    if row.since is None or row.age is None:
        return ""
    age = how_long(row.age, known=row.since_known)
    return f"{moment(row.since)}, {age}" if row.since_known else age


def mark(state: TunnelState) -> str:
    """Return the sign of a state in one character, such as ``●`` for UP, in ASCII ``*``.

    Each state has a sign of its own, except that WAITING and DOWN have the same.
    """
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
    """Return whether symbols such as ``●`` may be printed on stdout.

    They may unless stdout's encoding lacks them, or the user has set the locale to C. The first
    result is kept for the whole run.
    """
    if wants_ascii():
        return False
    try:
        "●…".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def amount(count: int) -> str:
    """Return a number of bytes as short text for a table: ``840``, ``7.1K``, ``120M``.

    K is 1024 bytes. The text has four characters at most, but more from 1000P on.
    """
    size, unit = float(count), ""
    for unit in ("", "K", "M", "G", "T", "P"):
        if size < 999.5 or unit == "P":
            break
        size /= 1024
    return f"{size:.1f}{unit}" if unit and size < 9.95 else f"{size:.0f}{unit}"


def words(row: Row) -> str:
    """Return in one line what else there is to say about a tunnel, besides its name and state.

    That is how many of several subnets are up, the number of clients, for UNKNOWN the last known
    state or what is missing in the text, the reason, the number of attempts, and who manages the
    tunnel. Return "" where there is nothing to say.
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
"""For each part of a status that may be missing in a text, words that say what isn't known then."""


def count(rows: Sequence[Row]) -> str:
    """Return how many of these tunnels are in each state: ``4 tunnels: 3 up, 1 stuck``."""
    numbers = [(s, sum(r.state is s for r in rows)) for s in TunnelState]
    told = ", ".join(f"{n} {s.value}" for s, n in numbers if n)
    return f"{len(rows)} tunnel{'s' if len(rows) != 1 else ''}: {told}"


def ago(seconds: float) -> str:
    """Return a duration as text: ``42s``, ``5m 10s``, ``3h 05m``, ``12d 4h``.

    It is rounded down to its two largest units. A negative one is ``0s``.
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
    """Return a moment, in seconds since the epoch, in local time: ``2026-11-28 14:05:09``."""
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
    """Return a transition as text: time, tunnel, old and new state, and the sentence of the reason.

    It is one line, or several, joined by line ends, where one would be wider than ``wide`` cells.
    ``wide`` None: lines may be of any length. ``at`` is in seconds since the epoch. ``old`` is the
    name of the state before, or "" as for a new tunnel. ``new`` is None for one that is gone.
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
    """Return a list with ``line`` alone, if it fits into ``wide`` cells, else lines of ``pieces``.

    As many pieces stand on a line as fit, and all lines but the first are indented. The first piece
    is cut if it is too wide by itself; others are broken at blanks. ``wide`` None: lines may be of
    any length. The texts may have colours.
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
"""Where folded() breaks a line that begins with time and sign (``14:05:09 ● ``), the columns that
further lines are indented by, so that they begin below the tunnel's name."""


def _shown(text: str) -> int:
    """Return how many cells of a terminal a text takes that may have colours in it."""
    return width(_SGR.sub("", text))


def columns() -> int:
    """Return the width for text in columns: the terminal's, within _NARROWEST and _WIDEST.

    Where stdout isn't a terminal, return _WIDEST.
    """
    return max(_NARROWEST, min(_WIDEST, terminal_width() or _WIDEST))


def terminal_width() -> int | None:
    """Return the width of the terminal in columns; None where stdout isn't a terminal."""
    return screen_columns() if sys.stdout.isatty() else None


def facts(rows: Iterable[tuple[str, str]], paint: Paint, wide: int) -> list[str]:
    """Return the lines that show pairs of a label and a text, each label beside its text.

    A pair whose text is "" is left out. Each line of a text begins a new line, and one that is
    wider than ``wide`` allows is broken at blanks. Below the width _NARROW, the label stands above
    its text.
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

    A word that is wider than that begins behind the word before it, and is broken where the piece
    is full. A ``wide`` of less than 10 counts as 10.
    """
    if width(line) <= wide:
        return [line]
    wide = max(10, wide)
    pieces = [""]
    for part in _BLANKS_OR_WORD.findall(line):
        if width(pieces[-1] + part) <= wide:
            pieces[-1] += part
        elif part.isspace():
            pieces.append("")
        elif width(part) <= wide:
            pieces.append(part)
        else:
            for character in part:
                if width(pieces[-1] + character) > wide:
                    pieces.append("")
                pieces[-1] += character
    return [piece.rstrip() for piece in pieces if piece.strip()] or [""]


_BLANKS_OR_WORD: Final = re.compile(r"\s+|\S+")


def wrapped(lines: Iterable[str]) -> list[str]:
    """Return lines, broken to the terminal's width; where stdout is no terminal, as they are."""
    wide = terminal_width()
    return [piece for line in lines for piece in (wrap(line, wide) if wide else [line])]


def colour_wanted() -> bool:
    """Return whether to print colours.

    That is so if stdout is a terminal, TERM isn't ``dumb``, and NO_COLOR is unset or empty, as
    no-color.org wants it.
    """
    return (
        sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )
