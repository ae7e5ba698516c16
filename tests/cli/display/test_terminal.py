# SPDX-License-Identifier: MIT
"""Tests of how times are printed, and how long lines are broken."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.tunnels import listing
from ipsecwatch.client import View
from ipsecwatch.tunnel import Reason, TunnelState


def view(seconds: float, *, known: bool = True) -> View:
    """Return the View of a tunnel that has been up for so many seconds.

    ``known``: whether the beginning is known exactly.
    """
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) - seconds
    up = TunnelState.UP
    return View(
        "/", "site", up, up, Reason.NONE, time.time() - seconds, time.monotonic() - seconds,
        since_boot=boot, since_known=known,
    )  # fmt: skip


def age(v: View) -> str:
    """Return what the column SINCE shows of a tunnel."""
    return listing.age(terminal.Row.of_view(v))


def test_an_age_is_counted_by_a_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    v = view(70)
    assert age(v) == "1m 10s"
    # The age doesn't change if the wall clock is set forward by eight days after the beginning.
    monkeypatch.setattr(time, "time", lambda: v.since + 70 + 8 * 86400)
    assert age(v) == "1m 10s"


def test_what_nobody_saw_come_has_been_so_for_longer() -> None:
    assert age(view(7200, known=False)) == "over 2h 00m"


def test_an_older_service_tells_the_wall_clock_alone() -> None:
    assert age(replace(view(70), since_boot=0.0)) == "1m 10s"


@pytest.mark.parametrize(("symbols", "says"), [(True, "up → down"), (False, "up -> down")])
def test_a_transition_is_printed_in_characters_that_the_terminal_can_show(
    symbols: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "can_show_symbols", lambda: symbols)
    paint = terminal.Paint(on=False)
    line = terminal.transition(0.0, "site", "up", TunnelState.DOWN, Reason.PEER_DEAD, paint)
    assert says in line
    assert line.isascii() is not symbols
    assert (
        max(
            map(
                len,
                terminal.transition(
                    0.0, "site", "up", TunnelState.DOWN, Reason.PEER_DEAD, paint, 40
                ).split("\n"),
            )
        )
        <= 40
    )


def test_of_a_file_no_age_is_known() -> None:
    row = replace(terminal.Row.of_view(view(1)), since=None, age=None)
    assert listing.age(row) == ""
    assert terminal.since(row) == ""


@pytest.mark.parametrize(
    ("line", "wide", "pieces"),
    [
        ("a tunnel is up", 20, ["a tunnel is up"]),
        ("a tunnel that is up", 10, ["a tunnel", "that is up"]),
        ("0123456789abc and more", 10, ["0123456789", "abc and", "more"]),
        ("  indented words here", 12, ["  indented", "words here"]),
        ("東京本社の接続 is up", 12, ["東京本社の接", "続 is up"]),
        ("東京 to 大阪 is up", 12, ["東京 to 大阪", "is up"]),
        ("e\u0301" * 12, 10, ["e\u0301" * 10, "e\u0301" * 2]),
        ("a tunnel that is up", 1, ["a tunnel", "that is up"]),
        ("uses AES_GCM_16_256-NONE now", 12, ["uses AES_GCM", "_16_256-NONE", "now"]),
        ("接続 東京本社の接続設定", 12, ["接続 東京本", "社の接続設定"]),
    ],
)
def test_a_line_is_broken_at_blanks_into_pieces_that_fit(
    line: str, wide: int, pieces: list[str]
) -> None:
    assert terminal.wrap(line, wide) == pieces
    assert all(terminal.width(piece) <= max(10, wide) for piece in pieces)


@given(st.text(st.sampled_from("ab 東\u0301"), max_size=60), st.integers(10, 30))
def test_wrapping_loses_no_character_but_blanks(line: str, wide: int) -> None:
    pieces = terminal.wrap(line, wide)
    assert "".join(pieces).replace(" ", "") == line.replace(" ", "")
    assert all(terminal.width(piece) <= wide for piece in pieces)
