# SPDX-License-Identifier: MIT
"""Makes tables that fit the terminal: columns are left out, and cells cut, before a line wraps.

A column's natural width is that of its title or its longest cell. All widths are in cells of the
terminal (terminal.width()).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from ipsecwatch.cli.display.terminal import cut, pad, width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ipsecwatch.cli.display.terminal import Paint

T = TypeVar("T")

GAP: Final = 2
"""Blanks between columns."""
NOTHING: Final = "-"
"""What is shown in a cell that has no text."""


class Column(NamedTuple, Generic[T]):
    """One column of a table: its title, its text for a row, and how it may be shortened."""

    title: str
    text: Callable[[T], str]
    """Returns the text of this column for a row; "" where it has none."""
    rank: int
    """Where there is no room for all columns, those with the lowest ranks stay. Ranks don't change
    the columns' order. No two columns have the same rank."""
    least: int = 0
    """The width down to which the column may be cut to make room for others, but never below the
    width of its title. 0: it isn't cut for that."""
    wish: int = 0
    """The width that the column gets, if its cells need it, before others get more than their own
    ``wish``, and before ``spare`` columns are shown."""
    spare: bool = False
    """Whether the column is shown only if the columns of lower rank still get their ``wish``."""
    most: int = 1000
    """The greatest width of the column; longer texts are cut even where there is room."""
    short: Callable[[T], str] | None = None
    """Returns a shorter text for a row, for use where that of ``text`` doesn't fit; None: there is
    no shorter one. What still doesn't fit is cut."""
    right: bool = False
    """Whether texts are aligned to the right, as numbers are."""
    both_ends: bool = False
    """Whether texts are cut in their middle, as is good for names that differ only at their end."""
    paint: Callable[[T, str], str] | None = None
    """Returns a cell in colour, from its row and its text, which already has the final width; None:
    the column has no colour."""


class Layout(NamedTuple, Generic[T]):
    """The columns that a table shows, in their order, each with its final width in cells."""

    columns: tuple[tuple[Column[T], int], ...]

    def head(self, paint: Paint) -> str:
        """Return the line with the columns' titles, which stands above the table."""
        cells = [_fit(c.title, c, cells) for c, cells in self.columns]
        return paint.dim((" " * GAP).join(cells).rstrip())

    def line(self, row: T) -> str:
        """Return the line of one row of the table, with NOTHING in cells that have no text."""
        cells = []
        for number, (column, cells_wide) in enumerate(self.columns):
            text = column.text(row) or NOTHING
            if column.short is not None and width(text) > cells_wide:
                text = column.short(row)
            text = _fit(text, column, cells_wide)
            if number == len(self.columns) - 1:
                text = text.rstrip()
            cells.append(column.paint(row, text) if column.paint else text)
        return (" " * GAP).join(cells)


def lay_out(
    columns: Sequence[Column[T]], rows: Iterable[T], wide: int | None, *, all_: bool = False
) -> Layout[T]:
    """Return which columns a table of these rows shows in ``wide`` cells, and how wide each is.

    A column whose cells are all empty is left out, except with ``all_``. Where ``wide`` is None,
    lines may be of any length, and all columns are shown with their natural widths.
    """
    rows = list(rows)
    natural: list[tuple[Column[T], int]] = []
    for column in columns:
        texts = {column.text(row) for row in rows}
        if wide is not None and not all_ and not any(texts):
            continue
        cells = max([width(column.title), *map(width, texts)])
        natural.append((column, min(cells, column.most)))
    if wide is None:
        return Layout(tuple(natural))
    return Layout(tuple(_shrink(_kept(natural, wide), wide)))


def _kept(natural: list[tuple[Column[T], int]], wide: int) -> list[tuple[Column[T], int]]:
    """Return the columns that fit into ``wide`` cells, each with its natural width as it was given.

    Columns are kept in the order of their ranks, each if there is still room for its least width.
    A spare column is kept only if the columns kept before it still get their ``wish``. The first
    column is kept in any case. ``natural``: all columns, each with its natural width.
    """
    kept: list[tuple[Column[T], int]] = []
    used = -GAP
    for column, cells in sorted(natural, key=lambda n: n[0].rank):
        least = _least(column, cells)
        if column.spare:
            used = sum(GAP + max(_least(c, n), min(c.wish, n)) for c, n in kept) - GAP
        if not kept or used + GAP + least <= wide:
            kept.append((column, cells))
            used += GAP + least
    return [n for n in natural if n in kept]


def _shrink(kept: list[tuple[Column[T], int]], wide: int) -> list[tuple[Column[T], int]]:
    """Return the columns with their final widths, which share ``wide`` cells.

    ``kept``: the columns with their natural widths. First, each column gets its least width. Then,
    in the order of ranks, each gets up to its ``wish``, as far as there is room. Then, in the same
    order, each gets up to its natural width.
    """
    shares = {c.rank: _least(c, cells) for c, cells in kept}
    spare = max(0, wide - sum(shares.values()) - GAP * (len(kept) - 1))
    by_rank = sorted(kept, key=lambda n: n[0].rank)
    for column, cells in [*((c, min(c.wish, n)) for c, n in by_rank), *by_rank]:
        more = max(0, min(cells - shares[column.rank], spare))
        shares[column.rank] += more
        spare -= more
    return [(c, min(shares[c.rank], wide)) for c, _ in kept]


def _least(column: Column[T], cells: int) -> int:
    """Return the least width of a column with the natural width ``cells``.

    It is the column's ``least``, or its title's width if that is more, but ``cells`` at most. For a
    column without ``least``, it is ``cells``.
    """
    return min(cells, max(column.least, width(column.title))) if column.least else cells


def _fit(text: str, column: Column[T], cells: int) -> str:
    """Return a text that is cut, or filled with blanks, to exactly ``cells`` cells.

    The column says where it is cut, and at which side blanks are added.
    """
    text = cut(text, cells, both_ends=column.both_ends)
    return " " * (cells - width(text)) + text if column.right else pad(text, cells)
