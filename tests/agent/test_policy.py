# SPDX-License-Identifier: MIT
"""Tests of what should be on the screen, and when: events and a clock in, notifications out.

Whole days pass here in no time. Defects that were seen on real desktops have numbers from D2 to
D18. Those that show without a notification server are tested here, the others in test_session.py.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsecwatch.agent import notifications
from ipsecwatch.agent.machine import Network, Sleep, Unit, UnitState
from ipsecwatch.agent.rules import Button, Urgency
from ipsecwatch.client.connection_names import L2TP, LIBRESWAN
from ipsecwatch.client.events import Lost, Update
from ipsecwatch.config import AgentSettings, TunnelSettings
from ipsecwatch.states import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.fake_events import Audience, Story, path, view
from tests.support.networkmanager import OFFICE

if TYPE_CHECKING:
    from ipsecwatch.agent.machine import MachineEvent
    from ipsecwatch.client.events import Event

UP, DOWN, BACK = "VPN site is connected", "VPN site is down", "VPN site is back"
STUCK, PART, ENDED = "VPN site can't connect", "VPN site works in part", "VPN site is disconnected"
UNSTABLE, UNKNOWN = "VPN site is unstable", "VPN status unknown"
STOPPED, OFFLINE = "The VPN service has stopped", "No network for the VPN"

IPSEC_FAILED = UnitState(Unit.IPSEC, active=False, failed=True)
OURS_FAILED = UnitState(Unit.OURS, active=False, failed=True)
CLEANLY_STOPPED = UnitState(Unit.IPSEC, active=False, failed=False)

# Each row: what it shows; the state in the first snapshot; what happens, as (second, state,
# reason); the notifications, as (second, title). Problems are reported after 15 s (GRACE). A loss
# waits for 3 s, and each notification for 0.3 s, so that several can be put together.
TABLE: list[tuple[str, str, list[tuple[float, str, str]], list[tuple[float, str]]]] = [
    ("a tunnel comes up", "down", [(20, "up", "none")], [(20.3, UP)]),
    ("it comes up in the first seconds", "down", [(5, "up", "none")], [(5.3, UP)]),
    (
        "on its way through connecting",
        "down",
        [(20, "connecting", "none"), (22, "up", "none")],
        [(22.3, UP)],
    ),
    ("it is lost", "up", [(20, "down", "peer-dead")], [(23, DOWN)]),
    (
        "it is lost and tried again",
        "up",
        [(20, "down", "peer-dead"), (21, "connecting", "none")],
        [(23, DOWN)],
    ),
    (
        "lost, tried in vain, and back",
        "up",
        [(20, "down", "peer-dead"), (21, "connecting", "none"), (51, "stuck", "no-answer"),
         (100, "up", "none")],
        [(23, DOWN), (51.3, STUCK), (100.3, BACK)],
    ),
    (
        "back within the time to settle: one quiet line",
        "up",
        [(20, "down", "peer-deleted"), (22, "up", "none")],
        [(22.3, BACK)],
    ),
    (
        "back at once, in the same poll",
        "up",
        [(20, "down", "peer-deleted"), (20, "up", "none")],
        [(20.3, BACK)],
    ),
    ("it is stuck", "connecting", [(20, "stuck", "no-answer")], [(20.3, STUCK)]),
    ("nothing known is no loss", "up", [(20, "unknown", "pluto-unreachable"),
                                        (30, "up", "none")], []),
    (
        "known again, and lost meanwhile",
        "up",
        [(20, "unknown", "pluto-unreachable"), (30, "down", "other")],
        [(33, DOWN)],
    ),
    ("a part is lost", "up", [(20, "partial", "peer-deleted")], [(23, PART)]),
    (
        "it comes up piece by piece: the pieces aren't told",
        "down",
        [(20, "partial", "none"), (21, "up", "none")],
        [(21.3, UP)],
    ),
    ("half of it stays away", "down", [(20, "partial", "none")], [(23, PART)]),
    ("waiting or down is all the same", "waiting", [(20, "down", "none")], []),
    ("trying is no news", "down", [(20, "connecting", "none"), (30, "down", "none")], []),
    ("D18: taken down by hand is a quiet line", "up", [(20, "down", "operator")], [(23, ENDED)]),
    ("so is an end on demand", "up", [(20, "waiting", "expired")], [(23, ENDED)]),
    (
        "it gave up: it still doesn't work, as was said",
        "connecting",
        [(20, "stuck", "no-answer"), (60, "down", "no-answer")],
        [(20.3, STUCK)],
    ),
    # D2: a bad state from before the start is notified once.
    ("stuck at login", "stuck", [], [(15, STUCK)]),
    ("down at login for nothing", "down", [], []),
    ("waiting at login", "waiting", [], []),
    ("connecting at login", "connecting", [], []),
    ("up at login", "up", [], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "happens", "told"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_happens_to_one_tunnel_is_told_so(
    first: str, happens: list[tuple[float, str, str]], told: list[tuple[float, str]]
) -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site=first))
    for at, state, reason in happens:
        audience.hears(at, story.become("site", state, reason))
    assert audience.told() == told


def test_d16_trouble_stays_and_good_news_goes_by_itself() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(20, story.become("site", "connecting", "peer-dead"))
    assert audience.titles(80000) == [DOWN]
    assert next(iter(audience.screen.values())).lasting
    audience.hears(80000, story.become("site", "up"))
    assert audience.titles(80001) == [BACK]
    assert audience.titles(80011) == []


def test_good_news_goes_at_once_where_it_is_no_longer_true() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="down"))
    audience.hears(20, story.become("site", "up"))
    audience.hears(22, story.become("site", "down", "peer-dead"))
    assert audience.titles(22.1) == []


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("down", "peer-dead", [DOWN]),
        ("down", "peer-deleted", [DOWN]),
        ("down", "unreachable", [STUCK]),  # such as a peer whose name doesn't resolve
        ("down", "authentication", [STUCK]),
        ("connecting", "peer-dead", [DOWN]),
        ("partial", "child-missing", [PART]),
        ("down", "operator", []),
        ("down", "unloaded", []),
        ("waiting", "peer-deleted", []),
        ("partial", "none", []),
    ],
)
def test_d2_what_was_wrong_before_login_is_told_and_what_was_meant_is_not(
    state: str, reason: str, told: list[str]
) -> None:
    story, audience = Story(), Audience()
    story.become("site", state, reason)
    audience.hears(0, story.snapshot())
    assert audience.titles(14) == []
    assert audience.titles(16) == told
    assert audience.titles(4000) == told


# --- Nobody knows, and pluto stopped --------------------------------------------------------------


def lost(**more: bool) -> Lost:
    return Lost("ipsecwatch isn't running", "Start it", **more)


def test_d3_a_pluto_that_hangs_is_told_in_the_place_of_what_is_no_longer_known() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up", office="stuck"))
    assert audience.titles(16) == ["VPN office can't connect"]
    audience.hears(20, story.pluto_is("unreachable"))
    audience.hears(20, *[story.become(n, "unknown", "pluto-unreachable") for n in story.views])
    assert audience.titles(39) == ["VPN office can't connect"]
    assert audience.titles(41) == [UNKNOWN]
    assert "doesn't answer" in audience.body(41)
    audience.hears(60, story.pluto_is("running"), story.become("site", "up"))
    audience.hears(60, story.become("office", "stuck", "no-answer"))
    assert audience.titles(61) == ["VPN office can't connect"]


def test_d4_a_service_that_failed_is_missed_at_login() -> None:
    audience = Audience()
    audience.hears(0, OURS_FAILED, lost())
    assert audience.titles(19) == []
    assert audience.titles(21) == [UNKNOWN]
    assert "isn't running" in audience.body(21)


@pytest.mark.parametrize(
    ("unit", "why", "told"),
    [
        (UnitState(Unit.OURS, active=False, failed=False), lost(), []),  # stopped, masked, disabled
        (None, lost(), []),  # without systemd, nobody knows whether the service is meant to run
        (UnitState(Unit.OURS, active=True, failed=False), lost(), [UNKNOWN]),  # it hangs
        (UnitState(Unit.OURS, active=True, failed=False), lost(denied=True), []),
    ],
)
def test_a_service_that_was_stopped_before_login_is_not_missed(
    unit: MachineEvent | None, why: Lost, told: list[str]
) -> None:
    audience = Audience()
    audience.hears(0, *[unit] if unit else [], why)
    assert audience.titles(1000) == told


def test_a_service_that_goes_in_this_session_is_missed_and_a_restart_is_not() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(20, lost())
    audience.hears(25, story.look("run-2", site="up"))
    audience.hears(50, lost())
    assert audience.told(69) == []
    audience.hears(90, story.look("run-3", site="up"))
    assert audience.told(200) == [(70, UNKNOWN)]
    assert audience.titles(200) == []


def test_what_happened_while_nobody_watched_is_told_after_a_grace() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up", office="up", home="down"))
    audience.hears(20, lost())
    audience.hears(25, story.look("run-2", site="down", office="up", home="up"))
    assert audience.told(200) == [(25.3, "VPN home is connected"), (40, DOWN)]


def test_d6_pluto_killed_after_losses_is_told_within_settle() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    for at in (20, 30, 40):
        audience.hears(at, story.become("site", "connecting", "peer-dead"))
        audience.hears(at + 1, story.become("site", "up"))
    audience.hears(60, story.pluto_is("stopped"))
    audience.hears(60, story.become("site", "unknown", "pluto-unreachable"))
    audience.hears(75, story.become("site", "down", "pluto-stopped"))
    assert audience.titles(74) == [UNSTABLE]
    assert audience.titles(78.1) == [STOPPED]
    assert "site" in audience.body(79)


def test_plutos_stop_is_one_notice_and_goes_when_it_runs() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**{f"t{n}": "up" for n in range(50)}))
    audience.hears(20, story.pluto_is("stopped"))
    audience.hears(35, *[story.become(f"t{n}", "down", "pluto-stopped") for n in range(50)])
    assert audience.told(39) == [(38, STOPPED)]
    assert audience.most == 1
    audience.hears(60, story.pluto_is("running"))
    audience.hears(62, *[story.become(f"t{n}", "up") for n in range(50)])
    assert audience.titles(63) == ["50 VPNs are back"]
    assert audience.titles(90) == []


@pytest.mark.parametrize(
    ("first", "told"), [(IPSEC_FAILED, [STOPPED]), (CLEANLY_STOPPED, []), (None, [])]
)
def test_a_pluto_that_was_stopped_before_login_is_told_only_where_its_unit_failed(
    first: MachineEvent | None, told: list[str]
) -> None:
    story, audience = Story(), Audience()
    story.pluto_is("stopped")
    audience.hears(0, *[first] if first else [], story.look(site="down"))
    assert audience.titles(100) == told


def test_the_ipsec_unit_says_nothing_where_pluto_runs() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, IPSEC_FAILED, story.look(site="up"))
    assert audience.titles(100) == []


def test_d12_while_pluto_starts_nothing_is_told_that_contradicts_itself() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    story.pluto_is("starting")
    story.become("site", "unknown", "pluto-starting")
    audience.hears(20, story.snapshot("run-2"))
    audience.hears(21, story.pluto_is("running"), story.become("site", "waiting"))
    assert audience.told(100) == [(35, ENDED)]
    said = next(n for at, n in audience.log if at == 35)
    assert said == ENDED


# --- Resume and the network -----------------------------------------------------------------------


def test_d17_what_a_resume_shakes_is_not_told() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="up", b="up", c="up", d="up"))
    audience.hears(100, Sleep(asleep=True), story.become("a", "down", "peer-dead"))
    audience.hears(102, Sleep(asleep=False))
    audience.hears(103, *[story.become(n, "connecting", "peer-dead") for n in "abcd"])
    audience.hears(110, *[story.become(n, "up") for n in "abc"])
    assert audience.told(200) == [(117, "VPN d is down")]


def test_what_was_closed_stays_closed_after_a_resume() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(20, story.become("site", "down", "peer-dead"))
    audience.closes(30, DOWN)
    audience.hears(40, Sleep(asleep=True), Sleep(asleep=False))
    audience.hears(41, story.become("site", "unknown", "pluto-unreachable"))
    audience.hears(44, story.become("site", "down", "peer-dead"))
    assert audience.titles(1000) == []


def test_without_a_route_one_quiet_notice_and_no_other_until_there_is_one() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up", office="up"))
    audience.hears(20, Network(online=False))
    audience.hears(30, story.become("site", "connecting", "peer-dead"))
    assert audience.titles(34) == [OFFLINE]
    (notification,) = audience.screen.values()
    assert notification.urgency is Urgency.LOW
    audience.hears(60, story.become("site", "stuck", "unreachable"))
    audience.hears(61, story.become("office", "stuck", "unreachable"))
    audience.closes(70, OFFLINE)
    assert audience.titles(500) == []
    audience.hears(500, Network(online=True), story.become("office", "up"))
    assert audience.titles(514) == []
    assert audience.titles(516) == [STUCK]


def test_a_route_that_is_away_for_a_moment_changes_nothing() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="stuck"))
    audience.hears(20, Network(online=False))
    audience.hears(22, Network(online=True))
    assert audience.titles(100) == [STUCK]
    assert audience.log == [(15, STUCK)]


def test_a_laptop_without_network_at_login_is_told_so_once_and_only_if_something_is_wrong() -> None:
    for state, told in (("stuck", [OFFLINE]), ("waiting", [])):
        audience = Audience()
        audience.hears(0, Network(online=False), Story().look(site=state))
        assert audience.titles(100) == told


# --- Damping --------------------------------------------------------------------------------------


def flap(story: Story, audience: Audience, times: int, start: float = 20, step: float = 4) -> float:
    """Make the tunnel ``site`` go down and up several times; return when it came up last."""
    at = start
    for n in range(times):
        at = start + n * step
        audience.hears(at, story.become("site", "connecting", "peer-dead"))
        audience.hears(at + 0.5, story.become("site", "up"))
    return at + 0.5


def test_d7_the_third_loss_is_unstable_counted_in_place_and_gone_when_calm() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    last = flap(story, audience, 15)
    told = audience.told(last + 59)
    assert told == [(20.8, BACK), (24.8, BACK), (28.3, UNSTABLE)]
    assert audience.titles(last + 59) == [UNSTABLE]
    assert "Lost 15 times within 2 min." in audience.body(last + 59)
    changes = [at for at, what in audience.log if what == f"={UNSTABLE}"]
    assert len(changes) <= 4  # not one for each loss
    assert audience.titles(last + 62) == []
    assert audience.told(1000) == told


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (("down", "peer-deleted"), (103, DOWN)),
        (("stuck", "authentication"), (100.3, STUCK)),
        (("down", "no-answer"), (103, DOWN)),
    ],
)
def test_d6_what_is_certain_is_told_within_settle_in_the_same_notification(
    happens: tuple[str, str], told: tuple[float, str]
) -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    flap(story, audience, 15)
    audience.hears(100, story.become("site", *happens))
    assert audience.told(300)[-1] == told
    assert audience.titles(300) == [told[1]]
    assert list(audience.screen) == [path("site")]
    # Up again, and not yet calm.
    audience.hears(301, story.become("site", "up"))
    assert audience.titles(302) == [BACK]


def test_a_loss_that_is_not_set_to_come_back_is_no_flap() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    flap(story, audience, 2)
    audience.hears(60, story.become("site", "down", "peer-deleted"))
    assert audience.told(100)[-1] == (63, DOWN)


def test_while_it_is_unstable_trying_again_changes_nothing() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    flap(story, audience, 5)
    audience.hears(60, story.become("site", "connecting", "peer-dead"))
    assert audience.titles(85) == [UNSTABLE]
    audience.hears(90, story.become("site", "stuck", "no-answer"))
    assert audience.titles(91) == [STUCK]


def test_taken_down_by_hand_ends_what_was_unstable() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    last = flap(story, audience, 5)
    audience.hears(last + 1, story.become("site", "down", "operator"))
    audience.waits(last + 20)
    assert audience.titles(last + 20) == []


def test_d8_never_more_than_three_notices_and_a_summary_replaces_its_singles() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**dict.fromkeys("abcdef", "up")))
    for at, name in enumerate("abc"):
        audience.hears(20 + at, story.become(name, "down", "peer-dead"))
    assert len(audience.titles(30)) == 3
    audience.hears(30, story.become("d", "down", "peer-dead"))
    assert audience.titles(34) == ["4 VPNs are down"]
    assert "a, b, c, d" in audience.body(34)
    audience.hears(40, story.become("a", "up"))
    assert audience.titles(43) == ["3 VPNs are down"]
    assert "Back: a." in audience.body(43)
    audience.hears(60, *[story.become(n, "up") for n in "bc"])
    assert audience.titles(80) == ["VPN d is down"]
    assert audience.most == 3


def test_200_at_once_are_one_notice_and_200_in_20_s_are_few() -> None:
    story, audience = Story(), Audience()
    names = [f"t{n}" for n in range(200)]
    audience.hears(0, story.look(**dict.fromkeys(names, "up")))
    audience.hears(20, *[story.become(n, "down", "peer-dead") for n in names])
    assert audience.told(90) == [(23, "200 VPNs are down")]
    began = len(audience.log)
    for n, name in enumerate(names):
        audience.hears(100 + n / 10, story.become(name, "up"))
    audience.waits(300)
    assert len(audience.log) - began <= 16
    assert audience.titles(300) == []
    assert audience.most <= 3


def test_settings_pluto_and_tunnels_are_three_at_most() -> None:
    story, audience = Story(), Audience()
    audience.policy.configure(AgentSettings(), 0, "agent.toml:1: what?")
    audience.hears(0, story.look(**dict.fromkeys("abc", "stuck")))
    titles = audience.titles(20)
    assert titles == ["VPN notifications: mistake in the settings", "3 VPNs can't connect"]
    audience.policy.configure(AgentSettings(), 30)
    assert audience.titles(40) == ["3 VPNs can't connect"]


def test_instances_of_a_template_are_told_together_and_seldom() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(rw="waiting"))
    for n in range(100):
        audience.hears(20 + n / 10, story.become(f"rw[{n}]", "up"))
    audience.hears(40, *[story.become(f"rw[{n}]", "down", "peer-dead") for n in range(90)])
    audience.hears(41, *[story.gone(f"rw[{n}]") for n in range(90)])
    assert [what for _, what in audience.told(500)] == ["VPN rw serves other devices"] * 2
    assert audience.most == 1
    assert audience.titles(500) == []


def test_devices_that_connect_after_a_snapshot_without_any_are_reported() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**{"rw": "waiting", "rw[1]": "up", "rw[2]": "up"}))
    audience.hears(100, story.look("run-2", rw="waiting"))  # both left while it didn't run
    audience.hears(200, story.become("rw[3]", "up"))
    audience.hears(200, story.become("rw[4]", "up"))
    assert audience.told(500) == [(203, "VPN rw serves other devices")]


def test_devices_whose_state_is_unknown_in_a_snapshot_are_no_news_when_it_is_known() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**{"rw": "waiting", "rw[1]": "up", "rw[2]": "up"}))
    for name in list(story.views):
        story.become(name, "unknown", "pluto-unreachable")
    audience.hears(100, story.snapshot())
    for n, name in enumerate(("rw[1]", "rw[2]")):
        audience.hears(101 + 5 * n, story.become(name, "up"))
    assert "VPN rw serves other devices" not in [what for _, what in audience.told(500)]


# --- What the user closed, and what he wants ------------------------------------------------------


def test_what_was_closed_comes_back_only_as_something_worse_or_another_time() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(20, story.become("site", "connecting", "peer-dead"))
    audience.closes(30, DOWN)
    audience.hears(31, story.become("site", "connecting", "unreachable"))
    assert audience.titles(49) == []
    audience.hears(50, story.become("site", "stuck", "no-answer"))
    assert audience.titles(51) == [STUCK]
    audience.closes(60, STUCK)
    audience.hears(61, story.become("site", "down", "peer-deleted"))
    audience.hears(100, story.become("site", "stuck", "authentication"))
    assert audience.titles(500) == []
    audience.hears(600, story.become("site", "up"))
    audience.hears(700, story.become("site", "down", "peer-dead"))
    assert audience.titles(704) == [DOWN]


def test_a_closed_summary_closes_what_it_summed_up() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**dict.fromkeys("abcd", "stuck"), e="up"))
    audience.closes(20, "4 VPNs can't connect")
    audience.hears(30, story.become("e", "stuck", "no-answer"))
    assert audience.titles(40) == ["VPN e can't connect"]


def test_d11_a_changed_reason_changes_the_text() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="connecting"))
    audience.hears(20, story.become("site", "stuck", "no-answer"))
    assert "doesn't answer" in audience.body(21)
    audience.hears(30, story.listed("site", "stuck", reason=Reason.AUTHENTICATION))
    assert "certificate" in audience.body(31)
    assert audience.log[1:] == [(30.3, f"={STUCK}")]


@pytest.mark.parametrize(
    ("switches", "told"),
    [
        ({}, [UP, DOWN, STUCK, BACK]),
        ({"up": False}, [DOWN, STUCK]),
        ({"down": False}, [UP, STUCK, UP]),
        ({"stuck": False}, [UP, DOWN, BACK]),
        ({"ignore": ("si*",)}, []),
        ({"tunnels": (("si*", TunnelSettings(up=False, stuck=False)),)}, [DOWN]),
        ({"tunnels": (("lab", TunnelSettings(up=False)),)}, [UP, DOWN, STUCK, BACK]),
    ],
)
def test_what_the_user_does_not_want_is_not_told(
    switches: dict[str, object], told: list[str]
) -> None:
    story, audience = Story(), Audience(**switches)
    audience.hears(0, story.look(site="down"))
    audience.hears(20, story.become("site", "up"))
    audience.hears(40, story.become("site", "connecting", "peer-dead"))
    audience.hears(70, story.become("site", "stuck", "no-answer"))
    audience.hears(90, story.become("site", "up"))
    assert [what for _, what in audience.told()] == told


def test_a_tunnel_may_have_a_delay_of_its_own() -> None:
    story = Story()
    audience = Audience(tunnels=(("lab-*", TunnelSettings(settle=20.0)),))
    audience.hears(0, story.look(**{"lab-1": "up", "site": "up"}))
    audience.hears(20, *[story.become(n, "down", "peer-dead") for n in ("lab-1", "site")])
    assert audience.told() == [(23, DOWN), (40, "VPN lab-1 is down")]


# Notifications about a connection of NetworkManager with managed = "losses", after it came up at 20
# s (which NetworkManager reports itself). Each row: what it shows, what happens, the notifications.
MANAGED: list[tuple[str, list[tuple[float, str, str]], list[tuple[float, str]]]] = [
    ("it comes up", [], []),
    ("it is lost", [(60, "down", "peer-dead")], [(63, DOWN)]),
    ("lost and back", [(60, "down", "peer-dead"), (90, "up", "none")], [(63, DOWN), (90.3, BACK)]),
    ("lost for a moment", [(60, "down", "peer-deleted"), (61, "up", "none")], [(61.3, BACK)]),
    (
        "lost and stuck",
        [(60, "connecting", "peer-dead"), (92, "stuck", "no-answer")],
        [(63, DOWN), (92.3, STUCK)],
    ),
    ("the user disconnects", [(60, "down", "operator")], []),
    ("and connects again at once", [(60, "down", "operator"), (61, "up", "none")], []),
    ("and connects again", [(60, "down", "operator"), (90, "up", "none")], []),
    ("it is removed", [(60, "down", "unloaded")], []),
    ("a part is lost", [(60, "partial", "peer-deleted")], [(63, PART)]),
    ("it ends until it is used", [(60, "waiting", "expired")], []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("happens", "told"), [row[1:] for row in MANAGED], ids=[row[0] for row in MANAGED]
)
def test_of_networkmanagers_tunnels_is_told_what_it_does_not_tell_itself(
    happens: list[tuple[float, str, str]], told: list[tuple[float, str]]
) -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look())
    audience.hears(19, story.listed("site", "connecting", managed="NetworkManager"))
    for at, state, reason in [(20.0, "up", "none"), *happens]:
        audience.hears(at, story.become("site", state, reason))
    assert audience.told() == told


@pytest.mark.parametrize(
    ("managed", "setting", "told"),
    [
        ("NetworkManager", "all", [UP, DOWN]),
        ("NetworkManager", "losses", [DOWN]),
        ("NetworkManager", "none", []),
        (L2TP, "all", [UP, DOWN]),
        (L2TP, "losses", []),
        (L2TP, "none", []),
        (LIBRESWAN, "losses", [DOWN]),
        ("", "none", [UP, DOWN]),
    ],
)
def test_what_is_told_of_networkmanagers_tunnels_is_a_setting(
    managed: str, setting: str, told: list[str]
) -> None:
    story, audience = Story(), Audience(managed=setting)
    audience.hears(0, story.look())
    audience.hears(20, story.listed("site", "down", managed=managed), story.become("site", "up"))
    audience.hears(60, story.become("site", "down", "peer-dead"))
    assert [what for _, what in audience.told()] == told


# The unit that runs pluto, and the notifications when the user disconnects pluto's only connection,
# and pluto ends 1 s later.
@pytest.mark.parametrize(("unit", "told"), [("", []), ("ipsec.service", [STOPPED])])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("reason", ["operator", "pluto-stopped", "other"])
def test_the_end_of_a_pluto_that_networkmanager_has_started_follows_from_what_its_user_did(
    unit: str, told: list[str], listed: bool, reason: str
) -> None:
    story, audience = Story(), Audience()
    story.listed("site", "up", managed="NetworkManager")
    audience.hears(0, replace(story.snapshot(), unit=unit))
    stopped = replace(story.pluto_is("stopped"), unit="ipsec.service")
    if reason == "pluto-stopped":
        audience.hears(60, stopped, story.become("site", "unknown", "pluto-stopped"))
        audience.hears(75, story.become("site", "down", reason))
    else:
        audience.hears(60, story.become("site", "down", reason))
        audience.hears(61, stopped)
    if not listed:
        audience.hears(76, story.gone("site"))
    titles = [what for _, what in audience.told() if what != DOWN]
    assert titles == told
    assert audience.titles(200) == told
    if not unit:
        assert [what for _, what in audience.log] == []


def test_it_is_told_that_nobody_knows_how_networkmanagers_tunnels_are() -> None:
    story, audience = Story(), Audience()
    story.listed("site", "up", managed="NetworkManager")
    audience.hears(0, replace(story.snapshot(), unit=""))
    audience.hears(
        60, story.pluto_is("unreachable"), story.become("site", "unknown", "pluto-unreachable")
    )
    audience.hears(120, story.pluto_is("running"), story.become("site", "up"))
    assert [what for _, what in audience.told()] == [UNKNOWN]


@pytest.mark.parametrize("unit", ["", "pluto-acme.service"])
def test_details_of_a_pluto_that_stopped_name_the_unit_that_runs_it_or_none(unit: str) -> None:
    story, audience = Story(), Audience()
    story.pluto = PlutoState.STOPPED
    story.views["site"] = view("site", "down", reason=Reason.PLUTO_STOPPED)
    audience.hears(0, replace(story.snapshot(), unit=unit))
    audience.hears(30, replace(story.pluto_is("running"), unit=unit), story.become("site", "up"))
    audience.hears(60, replace(story.pluto_is("stopped"), unit=unit))
    audience.hears(61, story.become("site", "down", "pluto-stopped"))
    audience.waits(100)
    (notification,) = audience.screen.values()
    assert "ipsec" not in notification.details
    assert unit.removesuffix(".service") in notification.details


def test_a_loss_that_was_told_goes_with_the_disconnection() -> None:
    story, audience = Story(), Audience()
    story.listed("site", "up", managed="NetworkManager")
    audience.hears(0, replace(story.snapshot(), unit=""))
    audience.hears(60, story.become("site", "down", "peer-dead"))
    assert audience.titles(70) == [DOWN]
    audience.hears(80, replace(story.pluto_is("stopped"), unit=""))
    assert audience.titles(200) == []


def test_a_pluto_that_ends_with_other_tunnels_in_it_is_told() -> None:
    story, audience = Story(), Audience()
    story.listed("site", "up")
    story.listed("office", "up", managed="NetworkManager")
    audience.hears(0, replace(story.snapshot(), unit=""))
    audience.hears(60, replace(story.pluto_is("stopped"), unit=""))
    audience.hears(75, *[story.become(n, "down", "pluto-stopped") for n in ("site", "office")])
    assert [what for _, what in audience.told()] == [STOPPED]


@pytest.mark.parametrize("name", ["rw[3]", "<b>x</b>", "{name}", "*", "%s"])
def test_a_name_of_networkmanagers_is_a_name_and_nothing_else(name: str) -> None:
    story, audience = Story(), Audience()
    story.views["uuid"] = replace(view("uuid", "up", managed=LIBRESWAN), name=name)
    audience.hears(0, story.snapshot())
    audience.hears(20, story.become("uuid", "down", "peer-dead"))
    assert audience.told(30) == [(23, f"VPN {name} is down")]


def test_a_name_that_comes_late_has_its_own_settings() -> None:
    settings_of = (("Office", TunnelSettings(up=False)),)
    story, audience = Story(), Audience(managed="all", tunnels=settings_of)
    audience.hears(0, story.look(uuid="down"))
    named = replace(story.views["uuid"], name="Office", managed=LIBRESWAN)
    audience.hears(20, Update(named.path, named))
    audience.hears(
        21, replace(story.become("uuid", "up"), view=replace(named, state=TunnelState.UP))
    )
    assert audience.told(30) == []
    down = replace(named, state=TunnelState.DOWN, reason=Reason.PEER_DEAD)
    audience.hears(40, replace(story.become("uuid", "down", "peer-dead"), view=down))
    assert audience.told() == [(43, "VPN Office is down")]


@pytest.mark.parametrize("wanted", ["Office", "Off*", OFFICE, f"{OFFICE[:8]}*"])
@pytest.mark.parametrize("late", [False, True])
def test_settings_and_mutes_fit_both_names_of_a_tunnel_of_networkmanagers(
    wanted: str, late: bool
) -> None:
    """``late``: the tunnel gets its name before the settings come, else after that."""
    unnamed = view(OFFICE, "up")
    named = replace(unnamed, name="Office", managed=LIBRESWAN, uuid=OFFICE)
    down = replace(named, state=TunnelState.DOWN, reason=Reason.PEER_DEAD)
    told = []
    for left_out in ({"ignore": (wanted,)}, {"tunnels": ((wanted, TunnelSettings(down=False)),)}):
        story, audience = Story(), Audience(**({} if late else left_out))
        story.views[OFFICE] = unnamed
        audience.hears(0, story.snapshot())
        audience.hears(10, Update(named.path, named))
        if late:
            audience.policy.configure(replace(AgentSettings(), **left_out), 15)
        audience.hears(20, replace(story.become(OFFICE, "down", "peer-dead"), view=down))
        told += audience.told(30)
    assert told == []
    audience = Audience()
    audience.hears(0, replace(story.look(), tunnels={named.path: named}))
    audience.hears(20, Update(named.path, down))
    assert audience.told(30) == [(23, "VPN Office is down")]
    if "*" not in wanted:
        audience.policy.mute({wanted: 100.0}, 31)
        assert audience.titles(31) == []


# --- Lists, orders and life -----------------------------------------------------------------------


def test_a_tunnel_that_appears_established_is_told_to_be_up_in_either_order() -> None:
    for order in (1, -1):
        story, audience = Story(), Audience()
        audience.hears(0, story.look(site="up"))
        events: list[Event] = [story.become("guest", "up"), story.listed("guest", "up")]
        audience.hears(5, *events[::order])
        assert audience.told() == [(5.3, "VPN guest is connected")]


def test_tunnels_that_a_service_lists_late_are_no_news() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look())
    audience.hears(2, *[story.listed(f"t{n}", "up") for n in range(9)])
    assert audience.told() == []


def test_a_tunnel_that_is_removed_takes_its_notice_along() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="stuck"))
    assert audience.titles(16) == [STUCK]
    audience.hears(20, story.gone("site"))
    assert audience.titles(21) == []
    assert audience.policy.due is None


def test_what_an_agent_before_left_stays_until_it_is_known_whether_it_is_so() -> None:
    story, audience = Story(), Audience()
    audience.policy.restore({path("c"): 3}, [path("a"), path("b"), path("c")])
    assert audience.policy.held == {path("a"), path("b"), path("c")}
    audience.hears(1, story.look(a="up", b="stuck", c="stuck"))
    assert audience.policy.held == {path("b"), path("c")}
    assert audience.titles(20) == ["VPN b can't connect"]
    assert audience.policy.held == frozenset()


def test_what_an_agent_before_left_may_be_closed_before_anything_is_known() -> None:
    story, audience = Story(), Audience()
    audience.policy.restore({}, [path("a")])
    audience.policy.close(path("a"))
    audience.hears(1, story.look(a="stuck"))
    assert audience.titles(500) == []


def test_at_rest_nothing_is_due() -> None:
    for state in ("up", "stuck", "down"):
        audience = Audience()
        audience.hears(0, Story().look(site=state))
        audience.waits(100)
        assert audience.policy.due is None


NAMES = ("a", "b", "c", "d", "rw[1]", "rw[2]")
STATES = st.sampled_from([s.value for s in TunnelState])
REASONS = st.sampled_from([r.value for r in Reason])
STEPS = st.one_of(
    st.tuples(st.just("become"), st.sampled_from(NAMES), STATES, REASONS),
    st.tuples(st.just("gone"), st.sampled_from(NAMES)),
    st.tuples(st.just("pluto"), st.sampled_from(["running", "stopped", "starting", "unreachable"])),
    st.tuples(st.sampled_from(["lost", "look", "sleep", "wake", "offline", "online", "close"])),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), STEPS), max_size=40))
def test_whatever_happens_the_screen_is_small_ends_up_true_and_comes_to_rest(
    steps: list[tuple[float, tuple[str, ...]]],
) -> None:
    story, audience, now = Story(), Audience(), 0.0
    audience.hears(0, story.look(**dict.fromkeys(NAMES[:4], "up")))
    for wait, (what, *more) in steps:
        now += wait
        audience.waits(now)
        audience.policy_hears_step(story, what, *more)
    final = now + 1
    audience.hears(final, story.pluto_is("running"), Network(online=True), Sleep(asleep=False))
    for name in list(story.views):
        audience.hears(final, story.become(name, "up"))
    audience.hears(final, story.snapshot())
    audience.waits(final + 400)
    assert audience.most <= 3
    assert audience.screen == {}
    assert audience.policy.due is None


def test_5000_tunnels_that_go_down_at_once_take_no_second() -> None:
    story, audience = Story(), Audience()
    names = [f"t{n}" for n in range(5000)]
    audience.hears(0, story.look(**dict.fromkeys(names, "up")))
    audience.waits(20)
    events = [story.become(n, "down", "peer-dead") for n in names]
    began = time.process_time()
    audience.hears(20, *events)
    audience.waits(60)
    assert time.process_time() - began < 1
    assert audience.titles(60) == ["5000 VPNs are down"]


def test_a_mute_hides_a_tunnel_until_it_is_over_and_then_what_is_wrong_is_told() -> None:
    story, user = Story(), Audience()
    user.hears(0, story.look(a="up", b="up"))
    user.hears(20, story.become("a", "down", "peer-dead"), story.become("b", "down", "peer-dead"))
    assert user.titles(30) == ["VPN a is down", "VPN b is down"]
    user.policy.mute({"a": 100.0, "elsewhere": 50.0}, 30.0)
    assert user.titles(31) == ["VPN b is down"]
    user.hears(40, story.become("a", "up"), story.become("a", "stuck", "no-answer"))
    assert user.titles(99) == ["VPN b is down"]
    assert user.titles(102) == ["VPN b is down", "VPN a can't connect"]


def test_where_all_tunnels_are_muted_the_service_is_no_news_either() -> None:
    story, user = Story(), Audience()
    user.hears(0, story.look(a="up"))
    user.policy.mute({"a": math.inf}, 20.0)
    user.hears(30, story.become("a", "down", "pluto-stopped"), story.pluto_is("stopped"))
    assert user.titles(100) == []


def test_what_a_button_brought_goes_by_itself_and_never_makes_four() -> None:
    story, user = Story(), Audience(burst=3)
    user.hears(0, story.look(a="up", b="up", c="up"))
    for name in "abc":
        user.hears(20, story.become(name, "down", "peer-dead"))
    assert len(user.titles(30)) == 3
    pressed = user.policy.press(story.views["a"].path, Button.DETAILS)
    assert pressed is not None
    assert user.policy.press(story.views["a"].path, Button.TERMINAL) is None
    user.policy.answer(notifications.details_of(pressed, terminal=True), 30.0)
    assert user.titles(31) == ["VPN a: details", "VPN b is down", "VPN c is down"]
    user.hears(40, story.become("d", "stuck", "no-answer"))
    assert user.titles(45) == ["VPN a: details", "3 VPNs are down"]
    assert user.most == 3
    assert user.titles(95) == ["3 VPNs are down"]
