# SPDX-License-Identifier: MIT
"""Makes tables that fit the terminal: columns are left out, and cells cut, before a line wraps."""

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
"""The cell of a value that isn't known."""


class Column(NamedTuple, Generic[T]):
    """One column: its text for a row, and how it may be shortened. Widths are in cells."""

    title: str
    text: Callable[[T], str]
    """Returns the text of a row's cell."""
    rank: int
    """Where there is no room for all columns, those with the lowest ranks stay."""
    least: int = 0
    """The width to which the column may be cut to make room, but never below its title's.

    0: it isn't cut for that.
    """
    wish: int = 0
    """The width that the column gets before other columns get more than their ``wish``, and before
    ``spare`` columns are shown."""
    spare: bool = False
    """Whether the column is shown only where the others have their ``wish``."""
    most: int = 1000
    """The width to which the column is cut even where there is room."""
    short: Callable[[T], str] | None = None
    """Returns a shorter text for a row, which is shown where the whole one doesn't fit."""
    right: bool = False
    """Whether texts are aligned to the right, as for numbers."""
    both_ends: bool = False
    """Whether texts are cut in their middle: names often differ at their end."""
    paint: Callable[[T, str], str] | None = None
    """Returns the text of a row's cell, which already has its width, with colour."""


class Layout(NamedTuple, Generic[T]):
    """The columns of a table, each with its width in cells."""

    columns: tuple[tuple[Column[T], int], ...]

    def head(self, paint: Paint) -> str:
        """Return the line of titles above the table."""
        cells = [_fit(c.title, c, cells) for c, cells in self.columns]
        return paint.dim((" " * GAP).join(cells).rstrip())

    def line(self, row: T) -> str:
        """Return the line of one row; an empty cell is NOTHING."""
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
    """Return the columns that fit into ``wide`` cells for these rows, with their widths.

    Columns whose cells are all empty are left out, except with ``all_``. Where ``wide`` is None,
    lines may be of any length, and all columns are kept.
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
    """Return the columns that fit into ``wide`` cells, each with its natural width.

    Those of the lowest ranks are kept first, each counted with its least width; a spare column is
    kept only where those kept before it still get their ``wish``. ``natural``: all columns, each
    with its natural width: that of its title or longest cell.
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
    """Return the columns with the widths that they get.

    Each gets its least width first, then up to its ``wish``, then up to its natural width, as far
    as there is room; those of lower rank come first.
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
    """Return the width to which a column of the natural width ``cells`` may be cut.

    It is ``least``, but not below the title's width; without ``least`` it is ``cells``.
    """
    return min(cells, max(column.least, width(column.title))) if column.least else cells


def _fit(text: str, column: Column[T], cells: int) -> str:
    """Return a text cut or padded to exactly ``cells`` cells, at the side that the column says."""
    text = cut(text, cells, both_ends=column.both_ends)
    return " " * (cells - width(text)) + text if column.right else pad(text, cells)
