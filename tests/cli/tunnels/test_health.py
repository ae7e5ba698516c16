# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.cli.tunnels import health
from ipsecwatch.cli.tunnels.found import Found
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState

NOW = 1_700_000_000.0


def row(name: str = "site", losses: int = 0, state: TunnelState = TunnelState.UP) -> Row:
    return Row(name, state, state, Reason.NONE, 0.0, True, 5.0, 1, 1, 0, losses=losses)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Found([row()], "service", PlutoState.RUNNING, last_poll=NOW - 59), []),
        (
            Found([row()], "service", PlutoState.RUNNING, last_poll=NOW - 61),
            ["The IPsec service last answered 1m 01s ago."],
        ),
        (
            Found([row()], "service", PlutoState.STOPPED, "It is off.", last_poll=NOW - 999),
            ["It is off."],
        ),
        (
            Found([row()], "service", PlutoState.RUNNING, unrecognised=1),
            ["1 line was not recognised."],
        ),
        (
            Found([row()], "service", PlutoState.RUNNING, complete=False),
            ["pluto's last answer was incomplete: some states are the last known ones."],
        ),
        (
            Found([row("a", 3), row("b", 9), row("c", 2), row("d", 4), row("e", 3)], "service"),
            ["Went down within the last hour: b 9 times, d 4 times, a 3 times, and 1 more."],
        ),
    ],
)
def test_what_is_not_well_is_said(found: Found, said: list[str]) -> None:
    assert health.remarks(found, NOW) == said
    assert health.troubles(found, NOW) == said


@pytest.mark.parametrize(
    ("log", "well"),
    [
        (LogState.JOURNAL, True),
        (LogState.FILE, True),
        (LogState.NONE, False),
        (LogState.CUT, False),
    ],
)
def test_reasons_that_are_guesses_are_not_well(log: LogState, well: bool) -> None:
    assert (not health.troubles(Found([row()], "service", log=log), NOW)) == well


def test_where_reasons_are_read_is_no_trouble_beside_one() -> None:
    found = Found([row()], "service", unrecognised=1, log=LogState.JOURNAL)
    assert health.troubles(found, NOW) == ["1 line was not recognised."]
