# SPDX-License-Identifier: MIT
"""Formats the table of tunnels that ``ipsecwatch status`` prints, and the summary below it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ipsecwatch.cli.display import table, terminal
from ipsecwatch.cli.display.table import Column
from ipsecwatch.states import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.cli.display.table import Layout
    from ipsecwatch.cli.display.terminal import Paint, Row


def columns(paint: Paint) -> list[Column[Row]]:
    """Return the columns of the table of tunnels, which print colours with ``paint``."""

    def marked(row: Row, text: str) -> str:
        return paint.state(row.state, text[:1]) + text[1:]

    return [
        Column(
            "  TUNNEL", lambda r: f"{terminal.mark(r.state)} {r.shown}", 0, least=12, wish=24,
            most=42,
            both_ends=True, paint=marked,
        ),
        Column(
            "STATE", lambda r: r.state.value, 1, least=4, wish=10,
            paint=lambda r, text: paint.state(r.state, text),
        ),
        Column("PEER", lambda r: r.peer or "", 5, most=40, both_ends=True, spare=True),
        Column("SINCE", age, 3, spare=True),
        Column(TRAFFIC, traffic, 4, spare=True),
        Column("WHY", terminal.words, 2, least=12, wish=30, short=_in_a_word),
    ]  # fmt: skip


def age(row: Row) -> str:
    """Return as text for how long a tunnel has been in its state; "" where that isn't known.

    Where the beginning of the state wasn't seen, the text is ``over 5m 10s``.
    """
    return "" if row.age is None else terminal.how_long(row.age, known=row.since_known)


TRAFFIC: Final = "  IN   OUT"
"""The title of the column that traffic() fills, in which each of its two counters has 4 cells."""


class Carries(Protocol):
    """A row of any table with counters of bytes; a counter is None where it isn't known."""

    @property
    def bytes_in(self) -> int | None:
        """Bytes received from the peer; None: not known."""

    @property
    def bytes_out(self) -> int | None:
        """Bytes sent to the peer; None: not known."""


def traffic(row: Carries) -> str:
    """Return the bytes received and sent as text: ``7.1K  120M``; "" where neither is known.

    Where only one of them is known, ``-`` stands for the other.
    """
    if row.bytes_in is None and row.bytes_out is None:
        return ""
    return f"{carried(row.bytes_in):>4}  {carried(row.bytes_out):>4}"


def carried(count: int | None) -> str:
    """Return a counter of bytes as text: ``7.1K``; ``-`` where it isn't known."""
    return "-" if count is None else terminal.amount(count)


def _in_a_word(row: Row) -> str:
    """Return the code of a tunnel's reason, for a cell that has no room for terminal.words().

    Where the reason is NONE or OTHER, whose codes say nothing, return terminal.words() all the
    same.
    """
    vague = row.reason in (Reason.NONE, Reason.OTHER)
    return terminal.words(row) if vague else row.reason.value


def lay_out(
    rows: Sequence[Row], paint: Paint, wide: int | None, *, all_: bool = False
) -> Layout[Row]:
    """Return which columns the table of these tunnels shows, and how wide each is.

    ``wide`` and ``all_`` are as in table.lay_out().
    """
    return table.lay_out(columns(paint), rows, wide, all_=all_)


def lines(rows: Sequence[Row], paint: Paint, wide: int | None) -> list[str]:
    """Return the table of tunnels as lines, the titles first; [] where there are no tunnels.

    ``wide``: the width in cells; None: lines may be of any length.
    """
    if not rows:
        return []
    layout = lay_out(rows, paint, wide)
    return [layout.head(paint), *map(layout.line, rows)]


def summary(rows: Sequence[Row], of: int) -> str:
    """Return the line below the table: ``2 tunnels: 1 up, 1 stuck; 3 more not shown``.

    ``rows`` are the tunnels that are shown. ``of`` is the number of all tunnels, shown or not.
    Where none is shown, the line says that no tunnel fits what the user asked for.
    """
    told = terminal.count(rows) if rows else "no tunnel fits"
    return told if len(rows) == of else f"{told}; {of - len(rows)} more not shown"
