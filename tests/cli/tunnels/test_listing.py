# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.display.terminal import Paint, Row
from ipsecwatch.cli.tunnels import listing
from ipsecwatch.tunnel import Reason, TunnelState

NOW = 1_700_000_000.0


def row(name: str = "site", losses: int = 0, state: TunnelState = TunnelState.UP) -> Row:
    return Row(name, state, state, Reason.NONE, 0.0, True, 5.0, 1, 1, 0, losses=losses)


def test_tunnels_that_are_not_shown_are_counted() -> None:
    assert listing.summary([row()], 1) == "1 tunnel: 1 up"
    assert listing.summary([row()], 5) == "1 tunnel: 1 up; 4 more not shown"
    assert listing.summary([], 5) == "no tunnel fits; 5 more not shown"


@pytest.mark.parametrize("wide", range(20, 130, 3))
def test_every_line_fits_from_20_columns_on(wide: int) -> None:
    rows = [
        row("a-rather-long-name-of-a-tunnel-0001"),
        Row("x", TunnelState.CONNECTING, TunnelState.DOWN, Reason.AUTHENTICATION, 0.0, False, 9e6,
            0, 4, 0, attempts=100, peer="2001:db8:1111:2222:3333:4444:5555:6666", bytes_in=1 << 60),
    ]  # fmt: skip
    lines = listing.lines(rows, Paint(on=False), wide)
    assert max(map(terminal.width, lines)) <= wide
    assert all("co" in lines[2] and "a-" in lines[1] for _ in lines)


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0K"),
        (1023, "1.0K"),
        (10 << 10, "10K"),
        (1023 << 10, "1.0M"),
        (999 << 20, "999M"),
        (1 << 40, "1.0T"),
        (1 << 64, "16384P"),
    ],
)
def test_amounts_are_short(count: int, written: str) -> None:
    assert terminal.amount(count) == written
