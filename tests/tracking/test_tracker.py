# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import Connection, LogLine, Pending, PlutoState, Poll, Role, Stage
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason, Transition, TunnelState
from tests.support.reports import START, child, connection, cut, ike, no_answer, poll

if TYPE_CHECKING:
    from collections.abc import Iterable

SITE = connection("site")
WANTED = connection("site", policy="IKEv2+UP")
UP = (ike(1, "site"), child(2, "site", 1))


def told(changes: Iterable[Transition]) -> list[str]:
    """Return transitions as ``old>new:reason``."""
    return [
        f"{c.old or '-'}>{c.new or 'gone'}"
        + (f":{c.reason}" if c.reason is not Reason.NONE else "")
        for c in changes
    ]


def history(*polls: Poll, tracker: Tracker | None = None) -> list[str]:
    tracker = tracker or Tracker()
    return [line for p in polls for line in told(tracker.observe(p))]


def test_the_first_look_is_silent_and_later_tunnels_come_from_down() -> None:
    tracker = Tracker()
    (first,) = tracker.observe(poll(0, [SITE], UP))
    assert (first.old, first.new, first.silent, first.announced) == (None, "up", True, False)
    later = connection("late")
    (second,) = tracker.observe(poll(5, [SITE, later], [*UP, ike(3, "late"), child(4, "late", 3)]))
    assert (second.old, second.new, second.announced, second.goes_up) == (None, "up", True, True)


def test_a_new_tunnel_that_is_down_is_not_announced() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE]))
    (change,) = tracker.observe(poll(5, [SITE, connection("late")]))
    assert change.old is None
    assert not change.announced


def test_timers_are_as_old_as_the_status_that_has_them() -> None:
    # Between two polls of the whole status, the service passes the last report again.
    tracker = Tracker()
    first = replace(poll(0, [SITE], UP), boot=1000.0)
    tracker.observe(first)
    tracker.add_log_line(LogLine(START + 20, '"site" #2: sent INFORMATIONAL request'))
    tracker.observe(replace(first, at=START + 30, mono=30.0, boot=1030.0))
    assert tracker.sa_times.answered == 1000.0


def test_an_ike_sa_alone_is_never_up() -> None:
    assert history(poll(0, [SITE]), poll(5, [SITE], [ike(1, "site")])) == [
        "->down",
        "down>connecting",
    ]


def test_an_ike_sa_that_was_there_before_us_is_no_sign_of_trying() -> None:
    assert history(poll(0, [SITE], [ike(1, "site")])) == ["->down"]


def test_an_ike_sa_whose_child_was_taken_down_is_no_sign_of_trying() -> None:
    assert history(
        poll(0, [SITE]), poll(5, [SITE], UP), poll(10, [SITE], [ike(1, "site")])
    ) == ["->down", "down>up", "up>down:other"]  # fmt: skip


def test_a_client_that_is_redirected_elsewhere_is_no_sign_of_trying() -> None:
    """5.2 as a client deletes its own IKE SA without a word: the gateway's is left."""
    gateway = connection("site", policy="IKEv2+PSK+SEND_REDIRECT_ALWAYS")
    tracker = Tracker(stuck_after=30)
    later = [poll(second, [gateway], [ike(1, "site")]) for second in (5, 20, 40)]
    assert history(poll(0, [gateway]), *later, tracker=tracker) == ["->down"]
    ours = [ike(1, "site", role=Role.INITIATOR)]  # 3.32 shows whose it is, also without a log
    assert history(poll(0, [gateway]), poll(5, [gateway], ours)) == ["->down", "down>connecting"]


def test_the_rekey_of_an_idle_ike_sa_is_no_sign_of_trying() -> None:
    assert history(
        poll(0, [SITE], UP), poll(5, [SITE], [ike(1, "site")]), poll(10, [SITE], [ike(9, "site")])
    ) == ["->up", "up>down:other"]  # fmt: skip


def test_a_half_open_responder_makes_nobody_connecting() -> None:
    knocking = ike(1, "site", stage=Stage.HALF_OPEN, role=Role.RESPONDER)
    assert history(poll(0, [SITE]), poll(5, [SITE], [knocking])) == ["->down"]


SIGNS = {
    "initiator": poll(5, [SITE], [ike(1, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR)]),
    "child": poll(
        5,
        [SITE],
        [child(1, "site", None, stage=Stage.NEGOTIATING_CHILD, role=Role.INITIATOR)],
    ),
    "pending": poll(5, [SITE], pending=[Pending(1, "site", (), "Child SA")]),
    "UP": poll(5, [WANTED]),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_each_sign_of_trying_makes_a_tunnel_connecting(sign: str) -> None:
    assert history(poll(0, [SITE]), SIGNS[sign]) == ["->down", "down>connecting"]


@pytest.mark.parametrize("routing", ["prospective erouted", "routed-ondemand"])
def test_a_trap_policy_waits_unless_the_tunnel_is_wanted_up(routing: str) -> None:
    trap = connection("site", routing=routing)
    wanted = connection("site", routing=routing, policy="UP")
    assert history(poll(0, [trap]), poll(5, [wanted])) == ["->waiting", "waiting>connecting"]


@pytest.mark.parametrize("routing", ["erouted", "routed-tunnel"])
def test_routing_words_make_nothing_up(routing: str) -> None:
    assert history(poll(0, [connection("site", routing=routing)])) == ["->down"]


def test_a_clock_set_back_an_hour_changes_nothing() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    back = Poll(START - 3600, 5.0, poll(0, [SITE], UP).report)
    assert tracker.observe(back) == []
    lost = Poll(START - 3595, 10.0, poll(0, [SITE]).report)
    assert told(tracker.observe(lost)) == ["up>down:other"]


def test_a_rekey_is_no_transition() -> None:
    both = [*UP, child(3, "site", 1)]
    after = [ike(1, "site"), child(3, "site", 1)]
    assert history(
        poll(0, [SITE], UP), poll(5, [SITE], both), poll(10, [SITE], after),
        poll(15, [SITE], [ike(4, "site"), child(3, "site", 4)]),
    ) == ["->up"]  # fmt: skip


def test_a_rekey_between_two_polls_is_no_transition() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    for line in (
        '"site" #3: initiator rekeyed Child SA #2 using #1; IPsec tunnel [10.0.0.0/8===x]',
        '"site" #2: deleting IPsec SA (QUICK_I2) aged 40s and NOT sending notification',
    ):
        tracker.add_log_line(LogLine(START, line))
    assert history(poll(5, [SITE], [ike(1, "site"), child(3, "site", 1)]), tracker=tracker) == []


def test_a_loss_between_two_polls_that_the_log_shows_is_told() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    for line in (
        '"site": terminating SAs using this connection',
        '"site" #3: initiating IKEv2 connection',
        '"site" #4: initiator established Child SA using #3; IPsec tunnel',
    ):
        tracker.add_log_line(LogLine(START, line))
    assert history(poll(5, [SITE], [ike(3, "site"), child(4, "site", 3)]), tracker=tracker) == [
        "up>down:operator",
        "down>up",
    ]


def test_another_pluto_means_down_and_up() -> None:
    again = [ike(1, "site"), child(2, "site", 1)]
    assert history(poll(0, [SITE], UP, pid=7), poll(5, [SITE], again, pid=8)) == [
        "->up",
        "up>down:pluto-restarted",
        "down>up",
    ]


def test_serials_that_go_back_are_another_pluto() -> None:
    old = [ike(11, "site"), child(12, "site", 11)]
    assert history(poll(0, [SITE], old), poll(5, [SITE], UP)) == [
        "->up",
        "up>down:pluto-restarted",
        "down>up",
    ]


def test_what_cannot_be_asked_is_unknown_and_never_down() -> None:
    tracker = Tracker()
    assert history(
        poll(0, [SITE], UP), no_answer(5, PlutoState.UNREACHABLE),
        no_answer(500, PlutoState.UNREACHABLE), tracker=tracker,
    ) == ["->up", "up>unknown:pluto-unreachable"]  # fmt: skip
    (tunnel,) = tracker.tunnels.values()
    assert tunnel.last_state is TunnelState.UP
    (back,) = tracker.observe(poll(505, [SITE], UP))
    assert told([back]) == ["unknown>up"]
    assert not back.goes_up


def test_a_loss_behind_unknown_is_told_when_it_is_known() -> None:
    tracker = Tracker()
    history(poll(0, [SITE], UP), no_answer(5, PlutoState.UNREACHABLE), tracker=tracker)
    (change,) = tracker.observe(poll(10, [SITE]))
    assert change.goes_down
    assert told([change]) == ["unknown>down:other"]


def test_a_cut_answer_is_unknown_for_its_own_reason() -> None:
    tracker, cut_off = Tracker(), cut(poll(5, [SITE], UP))
    history(poll(0, [SITE], UP), tracker=tracker)
    (change,) = tracker.observe(cut_off)
    assert told([change]) == ["up>unknown:bad-output"]
    assert change.detail == "cut off"
    assert history(poll(6, [SITE], UP), tracker=tracker) == ["unknown>up"]
    broken_off = Poll(START + 7, 7.0, why="pluto broke off\x1b")
    (change,) = tracker.observe(broken_off)
    assert change.detail == "pluto broke off\\x1b"


def test_a_stopped_pluto_takes_its_tunnels_down_after_a_while() -> None:
    tracker = Tracker(stopped_after=15)
    assert history(
        poll(0, [SITE], UP), no_answer(5), no_answer(19.9), no_answer(20), tracker=tracker
    ) == ["->up", "up>unknown:pluto-stopped", "unknown>down:pluto-stopped"]
    assert tracker.tunnels.keys() == {"site"}


def test_a_unit_that_is_inactive_takes_its_tunnels_down_at_once() -> None:
    away = Poll(START + 5, 5.0, pluto=PlutoState.STOPPED, unit_inactive=True)
    assert history(poll(0, [SITE], UP), away) == ["->up", "up>down:pluto-stopped"]


def test_tunnels_of_a_pluto_that_is_gone_stay_down_while_its_unit_starts_again() -> None:
    away = Poll(START + 5, 5.0, pluto=PlutoState.STOPPED, unit_inactive=True)
    tracker = Tracker()
    assert history(
        poll(0, [SITE], UP), away, no_answer(6), poll(7, [SITE]), tracker=tracker
    ) == ["->up", "up>down:pluto-stopped"]  # fmt: skip
    # The next time, the tracker must wait again before it concludes that pluto is gone.
    assert history(no_answer(10), tracker=tracker) == ["down>unknown:pluto-stopped"]


def test_a_pluto_that_starts_and_does_not_answer_is_unknown_and_still_another_one() -> None:
    away = Poll(START + 5, 5.0, pluto=PlutoState.STOPPED, unit_inactive=True)
    hangs = no_answer(6, PlutoState.UNREACHABLE)
    assert history(poll(0, [SITE], UP), away, hangs, no_answer(7), poll(8, [SITE], UP)) == [
        "->up", "up>down:pluto-stopped", "down>unknown:pluto-unreachable",
        "unknown>down:pluto-stopped", "down>up",
    ]  # fmt: skip


def test_the_moments_are_told_at_which_time_alone_changes_a_state() -> None:
    tracker = Tracker(stuck_after=30, stopped_after=15)
    other = connection("other", policy="UP")
    polls = [
        poll(0, [SITE]), poll(5, [WANTED]), poll(9, [WANTED, other]), poll(35, [WANTED, other]),
        poll(39, [WANTED, other]), no_answer(50), no_answer(65),
    ]  # fmt: skip
    due = []
    for look in polls:
        tracker.observe(look)
        due.append(tracker.due)
    assert due == [None, 35, 35, 39, None, 65, None]


def test_the_moment_is_told_at_which_a_missing_connection_is_no_longer_waited_for() -> None:
    tracker = Tracker(stuck_after=30)
    other = connection("other")
    history(poll(0, [SITE, other], UP, pid=1), no_answer(5), tracker=tracker)
    assert history(poll(6, [WANTED], pid=2), tracker=tracker)[-1] == "down>connecting"
    assert tracker.due == 9  # and not the later time at which it becomes stuck
    assert history(poll(9, [WANTED], pid=2), tracker=tracker) == ["unknown>gone:unloaded"]


def test_an_empty_list_just_after_a_start_is_starting_and_later_the_truth() -> None:
    tracker = Tracker()
    history(poll(0, [SITE], UP), no_answer(5), tracker=tracker)
    assert history(poll(6, []), tracker=tracker) == []
    assert tracker.pluto is PlutoState.STARTING
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.state, tunnel.reason) == ("unknown", "pluto-starting")
    assert history(poll(7, [SITE]), tracker=tracker) == ["unknown>down:pluto-restarted"]
    history(no_answer(10), poll(11, []), tracker=tracker)
    assert history(poll(14.1, []), tracker=tracker) == ["unknown>gone:unloaded"]


def test_a_long_list_that_is_still_being_loaded_unloads_nothing() -> None:
    many = [connection(f"c{n}") for n in range(9)]
    tracker = Tracker()
    history(poll(0, many), no_answer(1), tracker=tracker)
    for second in range(2, 11):
        for line in history(poll(second, many[: second - 1]), tracker=tracker):
            assert "gone" not in line


def test_a_tunnel_that_is_no_longer_listed_goes_down_first() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    (change,) = tracker.observe(poll(5, []))
    assert (change.new, change.becomes, change.goes_down) == (None, "down", True)
    assert change.reason is Reason.UNLOADED
    assert tracker.tunnels == {}


def pairs(*up: int, wanted: bool = False) -> Poll:
    """Return the poll of a tunnel with four connections; ``up``: which ones are up, from 0."""
    names = ("m/1x1", "m/1x2", "m/2x1", "m/2x2")
    policy = "UP" if wanted else "PSK"
    listed = [connection(n, aliases=("m",), policy=policy) for n in names]
    return poll(0, listed, [ike(1, "m/1x1"), *(child(n + 2, names[n], 1) for n in up)])


def at(second: float, p: Poll) -> Poll:
    return Poll(START + second, second, p.report)


def test_subnet_pairs_are_one_tunnel_with_children() -> None:
    tracker = Tracker()
    history(pairs(0, 1), tracker=tracker)
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.name, tunnel.state, tunnel.children_up, tunnel.children) == (
        "m",
        "partial",
        2,
        4,
    )
    assert history(at(5, pairs(0, 1, 2, 3)), at(10, pairs(0)), tracker=tracker) == [
        "partial>up",
        "up>partial:other",
    ]


def test_an_alias_alone_folds_nothing() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [connection("a/1x1", aliases=("b",)), connection("b")]))
    assert set(tracker.tunnels) == {"a/1x1", "b"}


def test_a_partial_tunnel_whose_rest_is_tried_for_long_is_told_once() -> None:
    tracker = Tracker(stuck_after=30)
    history(pairs(0, 1, 2, 3, wanted=True), tracker=tracker)
    assert history(at(5, pairs(0, wanted=True)), tracker=tracker) == ["up>partial:other"]
    assert tracker.observe(at(30, pairs(0, wanted=True))) == []
    (stick,) = tracker.observe(at(36, pairs(0, wanted=True)))
    assert (stick.old, stick.new, stick.sticks, stick.gets_stuck) == (
        "partial", "partial", True, True,
    )  # fmt: skip
    assert stick.announced
    assert tracker.observe(at(40, pairs(0, wanted=True))) == []


def test_an_instance_of_a_template_with_a_fixed_peer_is_the_tunnel() -> None:
    template, copy = connection("cp", serial=1), connection("cp", instance=(1,), serial=2)
    up = [ike(1, "cp", instance=(1,)), child(2, "cp", 1, instance=(1,))]
    tracker = Tracker()
    assert history(
        poll(0, [template]), poll(5, [template, copy], up), poll(9, [template]), tracker=tracker
    ) == ["->down", "down>up", "up>down:other"]
    assert set(tracker.tunnels) == {"cp"}


def test_a_client_of_a_template_is_a_tunnel_once_it_had_a_child() -> None:
    template = connection("rw", peer="%any", serial=1)
    client = connection("rw", instance=(3,), serial=9)
    knock = [ike(1, "rw", instance=(3,), stage=Stage.HALF_OPEN, role=Role.RESPONDER)]
    up = [ike(1, "rw", instance=(3,)), child(2, "rw", 1, instance=(3,))]
    tracker = Tracker()
    assert history(poll(0, [template]), tracker=tracker) == ["->waiting"]
    assert history(poll(1, [template, client], knock), tracker=tracker) == []
    assert history(poll(2, [template, client], up), tracker=tracker) == ["->up"]
    shown = {t.name: (t.state.value, t.instances) for t in tracker.tunnels.values()}
    assert shown == {"rw": ("waiting", 1), "rw[3]": ("up", 0)}
    assert history(poll(3, [template, client], []), tracker=tracker) == ["up>down:other"]
    assert history(poll(4, [template]), tracker=tracker) == []
    assert history(poll(7, [template]), tracker=tracker) == ["down>gone:other"]


def test_an_instance_number_that_begins_again_is_another_tunnel() -> None:
    template = connection("rw", peer="%any")
    states = [ike(1, "rw", instance=(1,)), child(2, "rw", 1, instance=(1,))]
    later = [ike(3, "rw", instance=(1,)), child(4, "rw", 3, instance=(1,))]
    first, second = (connection("rw", instance=(1,), serial=n) for n in (5, 6))
    assert history(
        poll(0, [template, first], states),
        poll(5, [template, second], later),
    ) == ["->waiting", "->up", "up>gone:other", "->up"]  # fmt: skip


def test_pass_and_drop_rules_are_no_tunnels() -> None:
    rule = connection("clear", policy="AUTH_NEVER+PASS+NEVER_NEGOTIATE")
    assert history(poll(0, [rule])) == []


def test_opportunistic_groups_are_one_tunnel_with_a_count() -> None:
    policy = "OPPORTUNISTIC+GROUPINSTANCE+ROUTE"
    listed = [
        connection("private", peer="%opportunisticgroup", policy="OPPORTUNISTIC+GROUP"),
        connection("private#10.0.0.0/8", peer="%opportunistic", policy=policy),
        connection("private#10.0.0.0/8", instance=(1,), policy="OPPORTUNISTIC"),
        connection("private#10.0.0.0/8", instance=(2,), policy="OPPORTUNISTIC"),
    ]
    tracker = Tracker()
    tracker.observe(poll(0, listed))
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.name, tunnel.state, tunnel.instances) == ("private", "waiting", 2)


def test_losing_the_last_child_is_told_at_once_though_it_is_wanted_up() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [WANTED], UP))
    (change,) = tracker.observe(poll(1, [WANTED]))
    assert change.goes_down
    assert change.new is TunnelState.CONNECTING


def test_names_that_clean_alike_do_not_become_one_tunnel() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [connection("a\x1b"), connection("a\\x1b")]))
    assert len({t.name for t in tracker.tunnels.values()}) == 2


def test_an_alias_group_that_grows_is_partly_up_and_not_lost() -> None:
    tracker = Tracker()
    names = ("m/1x1", "m/1x2", "m/1x3")
    listed = [connection(n, aliases=("m",)) for n in names]
    up = [ike(1, names[0]), child(2, names[0], 1), child(3, names[1], 1)]
    tracker.observe(poll(0, listed[:2], up))
    (change,) = tracker.observe(poll(5, listed, up))
    assert (change.old, change.new, change.goes_down) == ("up", "partial", False)


def test_two_children_of_one_connection_are_one_tunnel() -> None:
    crossing = [ike(1, "site"), ike(2, "site"), child(3, "site", 1), child(4, "site", 2)]
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], crossing))
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.state, tunnel.children_up, tunnel.children) == ("up", 1, 1)
    assert history(poll(5, [SITE], [crossing[1], crossing[3]]), tracker=tracker) == []


def test_a_connection_that_is_replaced_goes_and_comes() -> None:
    tracker = Tracker()
    assert history(
        poll(0, [SITE], UP, pid=7), poll(1, [], pid=7), poll(2, [SITE], pid=7), tracker=tracker
    ) == ["->up", "up>gone:unloaded", "->down"]  # fmt: skip


def test_a_connection_that_is_renamed_is_another_one() -> None:
    renamed = connection("office")
    states = [ike(3, "office"), child(4, "office", 3)]
    assert history(poll(0, [SITE], UP), poll(5, [renamed], states)) == [
        "->up",
        "up>gone:unloaded",
        "->up",
    ]


def test_a_pluto_that_was_upgraded_under_our_feet_is_known_by_its_pid() -> None:
    tracker = Tracker()
    old, new = poll(0, [SITE], UP, pid=7), poll(5, [SITE], UP, pid=8)
    assert old.report is not None
    assert new.report is not None
    tracker.observe(replace(old, report=replace(old.report, version="4.10")))
    history(replace(new, report=replace(new.report, version="5.2")), tracker=tracker)
    assert tracker.version == "5.2"


def test_a_wanted_tunnel_without_an_address_of_ours_cannot_reach_its_peer() -> None:
    lost = replace(connection("site", policy="UP"), oriented=False)
    tracker = Tracker(stuck_after=30)
    assert history(poll(0, [lost]), poll(31, [lost]), tracker=tracker) == [
        "->connecting",
        "connecting>stuck:unreachable",
    ]


# --- A log that comes late ---------------------------------------------------------------------


CAUSE = LogLine(START, '"site": terminating SAs using this connection')


def test_a_cause_that_comes_before_the_loss_is_told_is_told_with_it() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE, connection("other")], UP))
    changes = tracker.observe(poll(5, [SITE, connection("other")]))
    assert tracker.explain(changes) == changes
    tracker.add_log_line(CAUSE)
    (change,) = tracker.explain(changes)
    assert (change.reason, change.tunnel.reason) == (Reason.OPERATOR, Reason.OPERATOR)
    assert change.detail == change.tunnel.detail == CAUSE.text
    assert tracker.observe(poll(6, [SITE, connection("other")])) == []
    assert tracker.tunnels["site"].reason is Reason.OPERATOR


def test_so_is_that_of_a_tunnel_that_is_gone() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    changes = tracker.observe(poll(5))
    assert told(changes) == ["up>gone:unloaded"]
    tracker.add_log_line(CAUSE)
    assert told(tracker.explain(changes)) == ["up>gone:operator"]


@pytest.mark.parametrize("after", [[SITE], [WANTED]], ids=["down", "connecting"])
@pytest.mark.parametrize(("second", "reason"), [(7.9, "operator"), (8.1, "other")])
def test_a_cause_that_comes_later_is_news_for_a_while_and_no_transition(
    second: float, reason: str, after: list[Connection]
) -> None:
    tracker = Tracker()
    tracker.observe(poll(0, after, UP))
    (change,) = tracker.observe(poll(5, after))
    assert change.reason is Reason.OTHER
    tracker.observe(poll(5.5, after))
    assert tracker.observe(poll(second - 0.05, after)) == []
    tracker.add_log_line(CAUSE)
    assert tracker.observe(poll(second, after)) == []
    assert tracker.tunnels["site"].reason == reason


def test_a_cause_that_comes_late_is_none_for_what_happened_since() -> None:
    tracker = Tracker()
    history(poll(0, [SITE], UP), poll(5, [SITE]), tracker=tracker)
    again = (ike(3, "site"), child(4, "site", 3))
    assert history(poll(6, [SITE], again), tracker=tracker) == ["down>up"]
    tracker.add_log_line(LogLine(START, '"site" #2: ESP traffic information: in=0B out=0B'))
    assert history(poll(7, [SITE], again), tracker=tracker) == []
    assert tracker.tunnels["site"].reason is Reason.NONE


# --- Since when -------------------------------------------------------------------------------


def since(tracker: Tracker) -> tuple[float, bool]:
    (tunnel,) = tracker.tunnels.values()
    return tunnel.since_boot, tunnel.since_known


def booted(p: Poll) -> Poll:
    """Return the same poll of a machine that has slept for 1,000 s."""
    return replace(p, boot=p.mono + 1000)


def test_what_was_so_at_the_first_look_has_been_so_for_longer() -> None:
    tracker = Tracker()
    tracker.observe(booted(poll(0, [SITE], UP)))
    assert since(tracker) == (1000, False)
    tracker.observe(booted(poll(5, [SITE])))
    assert since(tracker) == (1005, True)


def test_what_changed_while_nobody_could_ask_has_been_so_for_longer() -> None:
    tracker = Tracker()
    for p in (poll(0, [SITE], UP), no_answer(5, PlutoState.UNREACHABLE)):
        tracker.observe(booted(p))
    assert since(tracker) == (1005, True)
    tracker.observe(booted(poll(60, [SITE])))
    assert since(tracker) == (1060, False)


def test_what_changed_while_the_service_was_away_has_been_so_for_longer() -> None:
    tracker, after = Tracker(), Tracker()
    tracker.observe(booted(poll(0, [SITE])))
    tracker.observe(booted(poll(5, [SITE], UP)))
    assert since(tracker) == (1005, True)
    after.restore(tracker.save())
    after.observe(booted(poll(20, [SITE], UP)))
    assert since(after) == (1005, True)  # as before: nothing happened
    later = Tracker()
    later.restore(tracker.save())
    later.observe(booted(poll(20, [SITE])))
    assert since(later) == (1020, False)


def test_a_tunnel_that_comes_while_we_look_is_known_from_its_begin() -> None:
    tracker = Tracker()
    tracker.observe(booted(poll(0)))
    tracker.observe(booted(poll(5)))
    tracker.observe(booted(poll(10, [SITE], UP)))
    assert since(tracker) == (1010, True)


def test_a_tunnel_that_goes_is_down_from_then_on_by_each_clock() -> None:
    tracker = Tracker()
    tracker.observe(booted(poll(0, [SITE], UP)))
    (change,) = tracker.observe(booted(poll(5, [])))
    gone = change.tunnel
    assert (gone.state, gone.since, gone.since_mono) == ("down", START + 5, 5)
    assert (gone.since_boot, gone.since_known) == (1005, True)
