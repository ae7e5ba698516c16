# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.cli.display.table import Column, lay_out
from ipsecwatch.cli.display.terminal import Paint, width

PAINT = Paint(False)
Rows = list[tuple[str, ...]]
ROWS: Rows = [("london-office", "up", "198.51.100.7", ""), ("x", "stuck", "", "The peer is silent")]
COLUMNS: list[Column[tuple[str, ...]]] = [
    Column("NAME", lambda r: r[0], 0, least=6, wish=14, both_ends=True),
    Column("STATE", lambda r: r[1], 1),
    Column("PEER", lambda r: r[2], 3, spare=True),
    Column("WHY", lambda r: r[3], 2, least=8, wish=12, short=lambda _: "silent"),
]


def table(wide: int | None, rows: Rows = ROWS) -> list[str]:
    layout = lay_out(COLUMNS, rows, wide)
    return [layout.head(PAINT), *map(layout.line, rows)]


def test_without_a_limit_every_column_is_whole() -> None:
    assert table(None) == [
        "NAME           STATE  PEER          WHY",
        "london-office  up     198.51.100.7  -",
        "x              stuck  -             The peer is silent",
    ]


def test_a_column_of_high_rank_goes_before_one_of_low_rank_is_cut_below_its_wish() -> None:
    assert table(45) == [
        "NAME           STATE  WHY",
        "london-office  up     -",
        "x              stuck  The peer is silent",
    ]


def test_what_has_no_room_is_said_in_a_word() -> None:
    assert table(33)[2] == "x              stuck  silent"


def test_a_name_is_cut_in_its_middle() -> None:
    assert table(15)[1] == "lond…ice  up"


@pytest.mark.parametrize("wide", range(1, 80))
def test_no_line_is_wider_than_the_terminal(wide: int) -> None:
    assert all(width(line) <= max(wide, 4) for line in table(wide)), table(wide)


def test_wide_characters_count_twice() -> None:
    head, one, other = table(None, [("山田", "up", "a", ""), ("abcd", "up", "b", "")])
    assert (one, other) == ("山田  up     a     -", "abcd  up     b     -")
    assert head.startswith("NAME  STATE")


def test_a_column_of_which_nothing_is_known_is_left_out_on_a_terminal_alone() -> None:
    rows: Rows = [("a", "up", "", "")]
    assert table(80, rows)[0] == "NAME  STATE"
    assert table(None, rows)[0] == "NAME  STATE  PEER  WHY"
