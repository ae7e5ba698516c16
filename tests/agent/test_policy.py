# SPDX-License-Identifier: MIT
"""What the user is told, and when: events and a clock in, notices out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsecwatch.agent.notifications import Notification, Urgency
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.fake_events import Audience, Story, path, view

if TYPE_CHECKING:
    from ipsecwatch.client.events import Event

# Each row: the first look's state; what happens, as (second, state[, reason]); what is said, as
# (second, title). Losses wait for 3 s to settle; all that is told waits 0.3 s for company.
TABLE: list[tuple[str, str, list[tuple[float, str, str]], list[tuple[float, str]]]] = [
    ("a tunnel comes up", "down", [(10, "up", "none")], [(10.3, "site is up")]),
    (
        "it comes up on its way through connecting",
        "down",
        [(10, "connecting", "none"), (12, "up", "none")],
        [(12.3, "site is up")],
    ),
    ("a tunnel is lost", "up", [(10, "down", "peer-dead")], [(13, "site is down")]),
    (
        "it is lost and tried again: the loss is told, for its own reason",
        "up",
        [(10, "down", "peer-dead"), (11, "connecting", "none")],
        [(13, "site is down")],
    ),
    (
        "lost, tried in vain, and back",
        "up",
        [(10, "down", "peer-dead"), (11, "connecting", "none"), (41, "stuck", "no-answer"),
         (90, "up", "none")],
        [(13, "site is down"), (41.3, "site is stuck"), (90.3, "site is up")],
    ),
    (
        "back within the time to settle: one quiet line",
        "up",
        [(10, "down", "peer-deleted"), (12, "up", "none")],
        [(12.3, "site is up again")],
    ),
    (
        "back at once, in the same poll",
        "up",
        [(10, "down", "peer-deleted"), (10, "up", "none")],
        [(10.3, "site is up again")],
    ),
    ("a tunnel is stuck", "connecting", [(10, "stuck", "no-answer")], [(10.3, "site is stuck")]),
    ("nothing known is no loss", "up", [(10, "unknown", "pluto-unreachable")], []),
    (
        "known again, and as it was",
        "up",
        [(10, "unknown", "pluto-unreachable"), (50, "up", "none")],
        [],
    ),
    (
        "known again, and lost meanwhile",
        "up",
        [(10, "unknown", "pluto-unreachable"), (50, "down", "other")],
        [(53, "site is down")],
    ),
    ("a part is lost", "up", [(10, "partial", "peer-deleted")], [(13, "site is partly up")]),
    (
        "it comes up piece by piece: the pieces aren't told",
        "down",
        [(10, "partial", "none"), (11, "up", "none")],
        [(11.3, "site is up")],
    ),
    ("half of it stays away", "down", [(10, "partial", "none")], [(13, "site is partly up")]),
    ("waiting or down is all the same", "waiting", [(10, "down", "none")], []),
    ("trying is no news", "down", [(10, "connecting", "none"), (20, "down", "none")], []),
    (
        "taken down by hand while it was stuck: what was said of it isn't so any more",
        "connecting",
        [(10, "stuck", "no-answer"), (60, "down", "operator")],
        [(10.3, "site is stuck"), (60.3, "-site")],
    ),
    (
        "it gave up: it still doesn't work, as was said",
        "connecting",
        [(10, "stuck", "no-answer"), (60, "down", "no-answer")],
        [(10.3, "site is stuck")],
    ),
    (
        "stuck again for the same reason is no news, for another one it is",
        "connecting",
        [(10, "stuck", "no-answer"), (60, "waiting", "none"), (70, "connecting", "none"),
         (100, "stuck", "no-answer"), (160, "waiting", "none"), (200, "stuck", "proposal")],
        [(10.3, "site is stuck"), (200.3, "site is stuck")],
    ),
    (
        "stuck again much later is news",
        "connecting",
        [(10, "stuck", "no-answer"), (60, "waiting", "none"), (700, "stuck", "no-answer")],
        [(10.3, "site is stuck"), (700.3, "site is stuck")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "happens", "said"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_happens_to_one_tunnel_is_told_so(
    first: str, happens: list[tuple[float, str, str]], said: list[tuple[float, str]]
) -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site=first))
    for at, state, reason in happens:
        audience.hears(at, story.become("site", state, reason))
    assert audience.times() == said


def test_the_first_look_is_silent_whatever_it_shows() -> None:
    audience = Audience()
    audience.hears(0, Story().look(a="up", b="stuck", c="down", d="partial", e="connecting"))
    assert audience.said() == []


def test_a_tunnel_of_which_nothing_was_known_is_no_news_when_something_is() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="unknown"))
    audience.hears(5, story.become("site", "up"))
    audience.hears(9, story.become("site", "down", "peer-dead"))
    assert audience.times() == [(12, "site is down")]


def test_a_tunnel_that_appears_established_is_told_to_be_up() -> None:
    for order in (1, -1):
        story, audience = Story(), Audience()
        audience.hears(0, story.look(site="up"))
        events: list[Event] = [story.become("guest", "up"), story.listed("guest", "up")]
        audience.hears(5, *events[::order])
        assert audience.times() == [(5.3, "guest is up")]


def test_tunnels_that_a_service_lists_late_are_no_news() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look())
    audience.hears(2, *[story.listed(f"t{n}", "up") for n in range(9)])
    assert audience.said() == []


def test_a_tunnel_that_is_unloaded_is_told_to_be_down_though_it_is_gone() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(5, story.become("site", "down", "unloaded"), story.gone("site"))
    notice = audience.last()
    assert notice.title == "site is down"
    assert "removed" in notice.body
    assert notice.urgency is Urgency.LOW


def test_a_tunnel_that_is_loaded_again_at_once_was_only_away() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(5, story.become("site", "down", "unloaded"), story.gone("site"))
    audience.hears(6, story.listed("site"), story.become("site", "up"))
    assert audience.said() == ["site is up again"]


def test_a_part_that_stays_stuck_is_told_once() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(multi="up"))
    audience.hears(10, story.become("multi", "partial", "peer-deleted", children_up=1, children=2))
    audience.hears(40, story.become("multi", "partial", "no-answer", told="stuck"))
    audience.hears(80, story.look("run-2", multi="partial"))
    assert audience.times() == [(13, "multi is partly up"), (40.3, "multi is partly up")]
    assert audience.last().body.startswith("1 of 2 subnets is connected. The peer does not answer.")
    audience.hears(2000, story.become("multi", "up"))
    assert audience.said(3000)[2:] == ["multi is up"]


def test_up_says_how_long_it_was_down() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.become("site", "down", "peer-dead"))
    audience.hears(40, story.become("site", "stuck", "no-answer"))
    audience.hears(310, story.become("site", "up"))
    assert audience.last().body == "It was down for 5 min."


def test_a_loss_is_told_for_its_own_reason_and_not_for_what_came_of_it() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.become("site", "down", "peer-dead"))
    audience.hears(11, story.become("site", "connecting", "no-answer"))
    body = audience.last().body
    assert body.startswith("The peer stopped answering. It is being set up again.\n")


# --- Switches -----------------------------------------------------------------------------------


def test_what_is_switched_off_is_not_told() -> None:
    def said(**off: bool) -> list[str]:
        story, audience = Story(), Audience(**off)
        audience.hears(0, story.look(site="up"))
        audience.hears(10, story.become("site", "down", "peer-dead"))
        audience.hears(40, story.become("site", "stuck", "no-answer"))
        audience.hears(90, story.become("site", "up"))
        audience.hears(100, story.become("site", "down"))
        audience.hears(101, story.become("site", "up"))
        return audience.said()

    assert said() == ["site is down", "site is stuck", "site is up", "site is up again"]
    assert said(stuck=False) == ["site is down", "site is up", "site is up again"]
    # What stands on the screen isn't left there when it is no longer so.
    assert said(up=False) == ["site is down", "site is stuck", "-site", "site is up again"]
    assert said(down=False) == ["site is stuck", "site is up"]


@pytest.mark.parametrize("pattern", ["site", "s*", "s?te", "*"])
def test_an_ignored_tunnel_is_not_told_of(pattern: str) -> None:
    story, audience = Story(), Audience(ignore=("other", pattern))
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.become("site", "down"), story.become("SITE", "up"))
    assert audience.said() == (["SITE is up"] if pattern != "*" else [])


def test_ignored_tunnels_dont_count_for_a_burst() -> None:
    story, audience = Story(), Audience(ignore=("t*",), burst=2)
    audience.hears(0, story.look())
    audience.hears(5, *[story.become(n, "up") for n in ("t1", "t2", "t3", "a", "b")])
    assert audience.said() == ["a is up", "b is up"]


def test_network_managers_own_connections_are_its_own_to_tell() -> None:
    for managed, said in ((False, []), (True, ["nm is up"])):
        story, audience = Story(), Audience(managed=managed)
        audience.hears(0, story.look())
        audience.hears(5, story.become("nm", "up", managed="NetworkManager"))
        assert audience.said() == said


def test_losses_are_told_at_once_where_nothing_is_to_settle() -> None:
    story, audience = Story(), Audience(settle=0.0)
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.become("site", "down"))
    assert audience.times() == [(10.3, "site is down")]


# --- Many at once -------------------------------------------------------------------------------


def crowd(n: int) -> dict[str, str]:
    return {f"t{i}": "up" for i in range(n)}


def test_up_to_a_burst_each_tunnel_is_told_of() -> None:
    story, audience = Story(), Audience(burst=4)
    audience.hears(0, story.look(**crowd(4)))
    audience.hears(5, *[story.become(name, "down", "peer-dead") for name in crowd(4)])
    assert audience.said() == [f"t{i} is down" for i in range(4)]


def test_more_at_once_become_one_summary_with_their_common_reason() -> None:
    story, audience = Story(), Audience(burst=4)
    audience.hears(0, story.look(**crowd(500)))
    audience.hears(5, *[story.become(name, "down", "peer-dead") for name in crowd(500)])
    notice = audience.last()
    assert audience.said() == ["500 tunnels are down"]
    assert notice.body.startswith("t0, t1, t2, t3, t4 and 495 more.\nThe peer stopped answering.")


def test_what_comes_a_moment_later_is_told_together() -> None:
    story, audience = Story(), Audience(burst=1)
    audience.hears(0, story.look(a="down", b="down"))
    audience.hears(5, story.become("a", "up"))
    audience.hears(5.2, story.become("b", "up"))
    assert audience.times() == [(5.3, "2 tunnels are up")]


def test_tunnels_that_come_one_after_the_other_are_a_burst_too() -> None:
    story, audience = Story(), Audience(burst=3)
    audience.hears(0, story.look(**dict.fromkeys(crowd(20), "down")))
    for i in range(20):
        audience.hears(5 + i, story.become(f"t{i}", "up"))
    said = audience.said()
    assert said[:4] == ["t0 is up", "t1 is up", "t2 is up", "t3 is up"]
    assert said[-1] == "17 tunnels are up"
    assert len(said) <= 15  # some two seconds apart, all in one place
    keys = {n.key for _, n in audience.notices}
    assert keys == {path(f"t{i}") for i in range(4)} | {"summary"}


def test_a_tunnel_that_is_in_the_summary_has_no_notice_of_its_own_any_more() -> None:
    story, audience = Story(), Audience(burst=1)
    audience.hears(0, story.look(a="up", b="down"))
    audience.hears(5, story.become("a", "down", "peer-dead"))
    audience.hears(50, story.become("a", "up"), story.become("b", "up"))
    assert audience.said() == ["a is down", "-a", "2 tunnels are up"]


def test_a_summary_goes_when_each_of_its_tunnels_had_news_of_its_own() -> None:
    story, audience = Story(), Audience(burst=1)
    audience.hears(0, story.look(a="up", b="up"))
    audience.hears(5, story.become("a", "down"), story.become("b", "down"))
    audience.hears(50, story.become("a", "up"))
    audience.hears(80, story.become("b", "up"))
    assert audience.said() == ["2 tunnels are down", "a is up", "b is up", "-summary"]


def test_a_part_that_was_lost_for_a_moment_is_not_held_against_the_whole() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(multi="partial"))
    audience.hears(10, story.become("multi", "down", "peer-dead"))
    audience.hears(11, story.become("multi", "up"))
    audience.hears(100, story.become("multi", "down", "peer-dead"))
    assert audience.times() == [(11.3, "multi is up"), (103, "multi is down")]


def test_a_crowd_that_is_back_at_once_is_one_quiet_line() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**crowd(40)))
    audience.hears(5, *[story.become(name, "down") for name in crowd(40)])
    audience.hears(6, *[story.become(name, "up") for name in crowd(40)])
    assert audience.said() == ["40 tunnels are up again"]
    assert audience.last().urgency is Urgency.LOW


def test_a_tunnel_that_keeps_flapping_is_told_of_less_and_less() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    for n in range(60):
        audience.hears(10 + 20 * n, story.become("site", "down", "peer-dead"))
        audience.hears(15 + 20 * n, story.become("site", "up"))
    said = audience.said(2000)
    assert said[:2] == ["site is down", "site is up"]
    assert len(said) < 10
    # Calm for long enough: it is told as if nothing had been.
    audience.hears(3000, story.become("site", "down", "peer-dead"))
    assert audience.times(4000)[-1] == (3003, "site is down")


# --- Gaps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("run_id", ["run-1", "run-2"])
def test_what_changed_while_nobody_listened_is_told_once_and_folded(run_id: str) -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="up", b="up", c="up", d="down"))
    audience.hears(10, story.lost())
    audience.hears(12, story.look(run_id, a="down", b="up", c="stuck", d="up"))
    audience.hears(13, story.look(run_id, a="down", b="up", c="stuck", d="up"))
    assert audience.said() == ["1 tunnel is down, 1 stuck, 1 up"]
    one, audience = Story(), Audience()
    audience.hears(0, one.look(a="up", b="up"))
    audience.hears(10, one.lost())
    audience.hears(12, one.look(run_id, a="down", b="up"))
    assert audience.times() == [(15, "a is down")]


def test_after_a_gap_all_is_told_as_before() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="down", b="down"))
    audience.hears(10, story.lost())
    audience.hears(12, story.look("run-2", a="down", b="down"))
    audience.hears(100, story.become("a", "up"), story.become("b", "up"))
    assert audience.times() == [(100.3, "a is up"), (100.3, "b is up")]


def test_what_was_stuck_in_part_before_a_gap_may_be_up_after_it() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(multi="partial"))
    audience.hears(10, story.become("multi", "partial", "no-answer", told="stuck"))
    audience.hears(20, story.lost())
    audience.hears(22, story.look("run-2", multi="up"))
    assert audience.said() == ["multi is partly up", "multi is up"]


def test_what_got_stuck_in_a_gap_was_down_since_then() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.lost())
    audience.hears(12, story.look("run-2", site="stuck"))
    audience.hears(612, story.become("site", "up"))
    assert audience.times() == [(15, "site is stuck"), (612.3, "site is up")]
    assert audience.last().body == "It was down for 10 min."


def test_a_loss_keeps_its_reason_through_a_gap() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.become("site", "down", "peer-dead"))
    audience.hears(11, story.lost())
    story.views["site"] = view("site", "connecting", reason=Reason.NO_ANSWER)
    audience.hears(12, story.snapshot("run-2"))
    assert audience.last().body.startswith("The peer stopped answering.")


def test_a_service_that_knows_nothing_yet_has_not_lost_every_tunnel() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="up", b="up", c="up"))
    audience.hears(10, story.lost())
    story.pluto = PlutoState.UNREACHABLE
    audience.hears(11, story.look("run-2"))
    audience.hears(60, story.pluto_is("running"), story.listed("a", "up"), story.listed("b"))
    assert audience.times() == [(63, "2 tunnels are down")]


def test_a_service_that_lists_its_tunnels_soon_after_its_start_has_lost_none() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="up", b="up"))
    audience.hears(10, story.lost())
    audience.hears(11, story.look("run-2"))
    audience.hears(12, story.listed("a", "up"), story.listed("b", "up"))
    assert audience.said() == []


def test_the_service_may_be_away_for_a_moment() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    for n in range(20):
        audience.hears(10 + 30 * n, story.lost())
        audience.hears(13 + 30 * n, story.look(f"run-{n}", site="up"))
    assert audience.said() == []


def test_a_service_that_stays_away_is_one_quiet_notice_until_it_is_back() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.lost())
    audience.hears(15, story.lost())
    audience.hears(90, story.lost())
    assert audience.times(500) == [(20, "Tunnels are not watched")]
    assert audience.last().urgency is Urgency.LOW
    audience.hears(2000, story.snapshot("run-2"))
    assert audience.said(3000) == ["Tunnels are not watched", "-service"]


def test_a_service_that_never_ran_is_not_missed() -> None:
    audience = Audience()
    audience.hears(0, Story().lost())
    assert audience.said() == []


# --- pluto --------------------------------------------------------------------------------------


def test_the_end_of_pluto_is_told_once_for_all_tunnels() -> None:
    story, audience = Story(), Audience(burst=2)
    audience.hears(0, story.look(a="up", b="up", c="up", d="up", e="down"))
    downs = [story.become(n, "down", "pluto-stopped") for n in "abcd"]
    audience.hears(10, story.pluto_is("stopped"), *downs)
    notice = audience.last()
    assert audience.said() == ["The IPsec service stopped"]
    assert notice.body == "a, b, c and d are down.\nStart it: systemctl start ipsec"
    audience.hears(2000, story.pluto_is("running"), story.become("a", "up"))
    assert audience.said(3000)[1:] == ["-pluto", "a is up"]


def test_the_end_of_a_pluto_without_tunnels_bothers_nobody() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="down", b="waiting"))
    audience.hears(10, story.pluto_is("stopped"), story.become("b", "down", "pluto-stopped"))
    assert audience.said() == []


def test_a_pluto_that_was_restarted_is_not_told_to_be_stopped() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(site="up"))
    audience.hears(10, story.become("site", "down", "pluto-stopped"))
    assert audience.last().title == "site is down"
    assert audience.last().body.startswith("The IPsec service was restarted.")


def test_a_pluto_that_stopped_while_nobody_listened_took_its_tunnels_with_it() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(a="up", b="up"))
    audience.hears(10, story.lost())
    story.pluto = PlutoState.STOPPED
    audience.hears(12, story.look("run-2"))
    assert audience.said() == ["The IPsec service stopped"]


# --- Whatever comes -----------------------------------------------------------------------------

NAMES = ["a", "b", "c"]
EVENTS = st.one_of(
    st.tuples(st.just("become"), st.sampled_from(NAMES), st.sampled_from(list(TunnelState))),
    st.tuples(st.just("gone"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("lost"), st.none(), st.none()),
    st.tuples(st.just("again"), st.none(), st.none()),
    st.tuples(st.just("pluto"), st.sampled_from(list(PlutoState)), st.none()),
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 400), EVENTS), max_size=40), st.integers(1, 3))
def test_in_the_end_the_screen_says_nothing_that_isnt_so(
    happens: list[tuple[float, tuple[str, str, TunnelState | None]]], burst: int
) -> None:
    story, audience, now = Story(), Audience(burst=burst), 0.0
    audience.hears(0, story.look(a="up", b="down"))
    for pause, (what, which, state) in happens:
        now += pause
        if what == "become" and state is not None:
            audience.hears(now, story.become(which, state.value))
        elif what == "gone" and which in story.views:
            audience.hears(now, story.become(which, "down", "unloaded"), story.gone(which))
        elif what == "lost":
            audience.hears(now, story.lost(), story.snapshot())
        elif what == "again":
            audience.hears(now, story.snapshot())
        elif what == "pluto":
            audience.hears(now, story.pluto_is(which))
    audience.hears(now + 10, story.pluto_is("running"), story.snapshot())
    audience.waits(now + 1000)
    screen = {n.key: n for _, n in audience.notices}
    for name in NAMES:
        told = screen.get(path(name))
        if isinstance(told, Notification) and name in story.views:
            known = story.views[name].last_state
            up = told.title.endswith((" is up", " is up again"))
            assert not up or known is TunnelState.UP
            assert up or known is not TunnelState.UP


def test_guests_that_come_and_go_leave_nothing_behind() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look())
    for n in range(100):
        name = f"guest[{n}]"
        audience.hears(100 * n, story.listed(name), story.become(name, "up"))
        audience.hears(100 * n + 50, story.become(name, "down", "unloaded"), story.gone(name))
    assert len(audience.said(20_000)) == 200
    assert audience.policy._tunnels == {}
    assert audience.policy._batching._shown == set()


def test_ten_thousand_tunnels_that_flap_cost_little() -> None:
    story, audience = Story(), Audience()
    audience.hears(0, story.look(**crowd(10_000)))
    downs = [story.become(name, "down", "peer-dead") for name in crowd(10_000)]
    ups = [story.become(name, "up") for name in crowd(10_000)]
    began = time.process_time()
    for event in downs:
        audience.hears(5, event)
    audience.waits(20)
    for event in ups:
        audience.hears(30, event)
    assert audience.said() == ["10000 tunnels are down", "10000 tunnels are up"]
    assert time.process_time() - began < 3  # some 0.2 s on a slow machine
