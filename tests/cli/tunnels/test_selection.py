# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.cli.failure import EXIT_UNKNOWN, EXIT_USAGE, Failure
from ipsecwatch.cli.tunnels.selection import (
    Selection,
    matcher,
    natural,
    pick,
    read_states,
    template_of,
)
from ipsecwatch.tunnel import Reason, TunnelState

STATES = {
    "gw-10": TunnelState.UP, "gw-2": TunnelState.UP, "office": TunnelState.STUCK,
    "lab": TunnelState.DOWN, "rw[1]": TunnelState.PARTIAL, "rw[12]": TunnelState.UNKNOWN,
}  # fmt: skip


def row(name: str, state: TunnelState, age: float | None = 1.0) -> Row:
    return Row(name, state, state, Reason.NONE, 0.0, True, age, 0, 1, 0)


ROWS = [row(name, state) for name, state in STATES.items()]


def names(chosen: Selection, rows: list[Row] = ROWS) -> list[str]:
    return [r.name for r in chosen.apply(rows)]


def test_the_worst_come_first_and_numbers_count_as_numbers() -> None:
    assert names(Selection()) == ["office", "rw[1]", "rw[12]", "lab", "gw-2", "gw-10"]
    assert names(Selection(backwards=True))[0] == "gw-10"
    assert names(Selection(order="name")) == ["gw-2", "gw-10", "lab", "office", "rw[1]", "rw[12]"]


@pytest.mark.parametrize(
    ("order", "first"), [("since", "young"), ("traffic", "busy"), ("peer", "busy")]
)
def test_the_latest_and_the_busiest_come_first(order: str, first: str) -> None:
    up = TunnelState.UP
    rows = [
        Row("none", up, up, Reason.NONE, None, False, None, 0, 1, 0),
        row("young", up, 5.0),
        Row("busy", up, up, Reason.NONE, 0.0, True, 9.0, 0, 1, 0, peer="192.0.2.9", bytes_in=7),
    ]
    assert names(Selection(order=order), rows)[0] == first


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["gw-*"], ["gw-10", "gw-2"]),
        (["gw-?"], ["gw-2"]),
        (["rw[*]"], ["rw[1]", "rw[12]"]),
        (["rw[1]"], ["rw[1]"]),
        (["lab", "*a*"], ["lab"]),
        (["*"], list(STATES)),
    ],
)
def test_names_and_patterns_choose_tunnels_each_once(given: list[str], found: list[str]) -> None:
    assert [r.name for r in pick(ROWS, given)] == found


def test_a_name_that_looks_like_a_pattern_is_a_name_first() -> None:
    rows = [row("a*", TunnelState.UP), row("ab", TunnelState.UP)]
    assert [r.name for r in pick(rows, ["a*"])] == ["a*"]


@pytest.mark.parametrize("given", ["gw", "GW-2", "x*", "rw[?]x", "\x1b[2J"])
def test_what_fits_nothing_is_an_error_of_one_line(given: str) -> None:
    with pytest.raises(Failure) as caught:
        pick(ROWS, [given])
    assert caught.value.code == EXIT_UNKNOWN
    assert caught.value.message.isprintable()
    assert caught.value.hint


def test_states_are_chosen_by_their_words() -> None:
    assert names(Selection(states=read_states("stuck, DOWN"))) == ["office", "lab"]
    assert read_states(None) is None
    with pytest.raises(Failure, match="no such state: dead") as caught:
        read_states("up,dead")
    assert caught.value.code == EXIT_USAGE


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "", True), ("a*", "a", True), ("*a", "ba", True), ("*a*a", "a", False),
        ("a*b*c", "a1b2c", True), ("a*b*c", "acb", False), ("ab*ba", "aba", False),
        ("a?c", "abc", True), ("a?*c", "ac", False), ("a.c", "abc", False), ("*a*", "bab", True),
        ("*ab*b", "abab", True), ("a\n*", "a\nb", True),
    ],
)  # fmt: skip
def test_patterns_fit_as_in_a_shell(pattern: str, name: str, fits: bool) -> None:
    assert matcher(pattern)(name) is fits


@pytest.mark.timeout(20)
def test_a_pattern_of_many_stars_is_read_in_time() -> None:
    assert not matcher("*" * 200 + "b")("a" * 256)
    assert not matcher("*a" * 8 + "b")("a" * 256)


def test_any_two_names_can_be_compared() -> None:
    odd = ["", "1", "a", "1a", "a1", "a01", "é2", "10", "9", "a10b2", "a10b", "²"]
    assert sorted(odd, key=natural)[:4] == ["", "1", "1a", "9"]


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("rw[3]", "rw"), ("a[b[12]", "a[b"), ("rw[3][2]", "rw"), ("rw", None), ("rw[x]", None),
        ("rw[]", None), ("[3]", None), ("rw3]", None), ("rw[3", None),
    ],
)  # fmt: skip
def test_a_clients_name_has_its_number_in_brackets(name: str, template: str | None) -> None:
    assert template_of(name) == template
