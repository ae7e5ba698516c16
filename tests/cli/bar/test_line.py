# SPDX-License-Identifier: MIT
"""Tests of what a status bar shows for many tunnels: one state, a text and a tooltip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.bar.line import ONE, BarState, Line, Picture
from ipsecwatch.client import Lost
from ipsecwatch.states import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.fake_events import Story

if TYPE_CHECKING:
    from ipsecwatch.client import Event


def picture(*events: Event, wanted: str = "") -> Line:
    made = Picture(lambda name: not wanted or name == wanted)
    for event in events:
        made.record(event)
    return made.line()


# The states of tunnels, with a reason after a colon; then the state, text and percentage in the
# bar.
STATES = [
    ("up", "up", "VPN a", 100),
    ("up up", "up", "VPN 2/2", 100),
    ("up waiting", "up", "VPN 1/2", 50),
    ("waiting", "waiting", "VPN a waiting", 0),
    ("waiting:expired waiting", "waiting", "VPN 0/2", 0),
    ("up down", "up", "VPN 1/2", 50),
    ("up down:operator", "up", "VPN 1/2", 50),
    ("down", "down", "VPN a down", 0),
    ("down waiting", "waiting", "VPN 0/2", 0),
    ("up down:peer-dead", "down", "VPN b down", 50),
    ("down:peer-dead up down:no-answer", "down", "VPN 1/3", 33),
    ("up up connecting", "connecting", "VPN c connecting", 66),
    ("connecting stuck:no-answer up", "stuck", "VPN 1/3", 33),
    ("partial:peer-deleted up", "partial", "VPN a in part", 50),
    ("partial:operator", "partial", "VPN a in part", 0),
    ("unknown up", "unknown", "VPN a unknown", 50),
    ("unknown stuck", "stuck", "VPN 0/2", 0),
]  # fmt: skip


@pytest.mark.parametrize(("states", "state", "text", "percentage"), STATES)
def test_what_is_not_well_decides_and_what_is_meant_to_be_down_does_not(
    states: str, state: str, text: str, percentage: int
) -> None:
    story = Story()
    for name, told in zip("abc", states.split(), strict=False):
        word, _, reason = told.partition(":")
        story.listed(name, word, reason=Reason(reason or "none"))
    line = picture(story.snapshot())
    assert (line.state, line.text, line.percentage) == (state, text, percentage)


def test_no_tunnel_is_nothing_that_is_well() -> None:
    line = picture(Story().snapshot())
    assert (line.state, line.state.is_well, line.percentage) == (BarState.NONE, False, 0)
    assert line.tooltip


@pytest.mark.parametrize(
    ("pluto", "state"), [("unreachable", "unknown"), ("starting", "unknown"), ("stopped", "none")]
)
def test_without_tunnels_it_says_how_pluto_is(pluto: str, state: str) -> None:
    story = Story()
    story.pluto = PlutoState(pluto)
    line = picture(story.snapshot())
    assert line.state == state
    assert line.tooltip.startswith("The VPN service")


def test_a_loss_without_a_reason_is_one_where_it_was_seen_up() -> None:
    story = Story()
    assert picture(story.look(a="up", b="up"), story.become("b", "down")).state is BarState.DOWN
    assert picture(story.look(a="up", b="down")).state is BarState.UP
    by_hand = story.become("a", "down", "operator"), story.become("a", "down")
    assert picture(story.look(a="up", b="waiting"), *by_hand).state is BarState.WAITING


def test_a_tooltip_names_the_worst_first_with_the_reason_and_counts_the_rest() -> None:
    story = Story()
    story.look(**{f"gw-{n}": "up" for n in range(30)})
    lines = picture(
        story.snapshot(), story.become("gw-7", "stuck", "no-answer")
    ).tooltip.splitlines()
    assert lines[:3] == [
        "gw-7: can't connect",
        "    The VPN server doesn't answer.",
        "gw-0: connected",
    ]
    assert lines[-1] == "11 more"


def test_of_named_tunnels_the_others_do_not_matter() -> None:
    events = Story().look(a="up", b="stuck")
    assert picture(events, wanted="a").state is BarState.UP
    assert picture(events, wanted="c").state is BarState.NONE


def test_a_service_that_is_not_heard_is_neither_well_nor_the_last_word() -> None:
    story = Story()
    lost = picture(story.look(a="up"), Lost("ipsecwatch isn't running", "Start it"))
    assert (lost.state, lost.state.is_well) == (BarState.LOST, False)
    assert lost.tooltip == "ipsecwatch isn't running. Start it"
    assert picture(Lost("gone"), story.snapshot()).state is BarState.UP


def test_each_state_that_tunnels_can_have_is_told_of_one() -> None:
    assert set(ONE) == {BarState(state.value) for state in TunnelState}
