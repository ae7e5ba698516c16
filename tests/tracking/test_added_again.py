# SPDX-License-Identifier: MIT
"""Tests of connections that are deleted and added again, as by managers and watchdog scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import LogLine, Pending, PlutoState, Poll, Role, Stage
from ipsecwatch.tracking.tracker import HOLD, Tracker
from tests.support.reports import START, child, connection, ike, no_answer, poll
from tests.tracking.test_tracker import UP, history, told

if TYPE_CHECKING:
    from ipsecwatch.report import SaState

ADDED = connection("site", serial=1)
TRIED = connection("site", policy="IKEv2+UP", serial=1)
AGAIN = connection("site", policy="IKEv2+UP", serial=2)
AGAIN_IDLE = connection("site", serial=2)


NOBODY = '"site" #1: STATE_V2_PARENT_I1: retransmission; will wait 8 seconds for response'
"""What pluto logs while no answer comes; it doesn't say that the attempt has failed."""


def half_open(serial: int) -> list[SaState]:
    return [ike(serial, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR)]


GAPS: dict[str, list[Poll]] = {
    "not listed": [poll(15, [])],
    "not listed at two polls": [poll(15, []), poll(16.5, [])],
    "not listed, then idle": [poll(15, []), poll(16, [AGAIN_IDLE])],
    "idle, with another serial": [poll(15, [AGAIN_IDLE])],
    "idle, with other serials at each poll": [
        poll(15, [AGAIN_IDLE]),
        poll(16, [connection("site", serial=3)]),
    ],
    "not seen": [],
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_tunnel_that_is_tried_and_added_again_is_the_same_with_its_time_of_trying(
    gap: str,
) -> None:
    tracker = Tracker(stuck_after=30)
    begin = [poll(0, [ADDED]), poll(1, [TRIED], half_open(1)), poll(14, [TRIED], half_open(1))]
    again = poll(17.5, [AGAIN], half_open(2))
    tracker.add_log_line(LogLine(START, NOBODY))
    assert history(*begin, *GAPS[gap], again, tracker=tracker) == ["->down", "down>connecting"]
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.attempts, tunnel.since) == (2, START + 1)
    assert tracker.due == 31
    assert history(poll(31, [AGAIN], half_open(2)), tracker=tracker) == [
        "connecting>stuck:no-answer"
    ]


@pytest.mark.parametrize("every", [15, 30])
@pytest.mark.parametrize("away", [1, 2])
@pytest.mark.parametrize("idle", [0, 1])
def test_a_script_that_adds_it_again_and_again_makes_it_stuck_once(
    every: int, away: int, idle: int
) -> None:
    polls = [poll(0, [ADDED])]
    for second in range(1, 200):
        serial, since = divmod(second, every)
        c = connection("site", policy="UP" if since >= away + idle else "PSK", serial=serial)
        listed = [] if since < away else [c]
        polls.append(poll(second, listed))
    assert history(*polls) == ["->down", "down>connecting", "connecting>stuck:other"]


def test_the_reason_stays_while_it_is_added_again() -> None:
    tracker = Tracker(stuck_after=30)
    tracker.observe(poll(0, [TRIED]))
    tracker.add_log_line(LogLine(START + 1, '"site" #1: initiating IKEv2 connection'))
    refusal = "IKE_AUTH response contained the error notification AUTHENTICATION_FAILED"
    tracker.add_log_line(LogLine(START + 2, f'"site" #1: {refusal}'))
    history(poll(2, [TRIED]), tracker=tracker)
    tracker.add_log_line(LogLine(START + 15, '"site": terminating SAs using this connection'))
    history(poll(15, []), poll(16, [AGAIN]), tracker=tracker)
    assert history(poll(31, [AGAIN]), tracker=tracker) == ["connecting>stuck:authentication"]


def test_a_stuck_tunnel_stays_stuck_while_it_is_added_again() -> None:
    tracker = Tracker()
    tracker.add_log_line(LogLine(START, NOBODY))
    assert history(
        poll(0, [TRIED]), poll(30, [TRIED], half_open(1)), poll(45, []), poll(46, [AGAIN_IDLE]),
        poll(47, [AGAIN], half_open(2)), poll(60, []), poll(61, [AGAIN]), tracker=tracker,
    ) == ["->connecting", "connecting>stuck:no-answer"]  # fmt: skip


def test_one_that_is_deleted_for_good_goes_after_a_while() -> None:
    tracker = Tracker()
    assert history(poll(0, [TRIED]), poll(5, []), tracker=tracker) == ["->connecting"]
    assert tracker.due == 5 + HOLD
    assert tracker.connecting  # the next poll comes soon
    assert history(poll(7, []), tracker=tracker) == []
    assert history(poll(8, []), tracker=tracker) == ["connecting>gone:unloaded"]
    assert tracker.tunnels == {}
    assert tracker.due is None


def test_one_that_is_added_again_and_left_alone_goes_down_after_a_while() -> None:
    tracker = Tracker()
    assert history(poll(0, [TRIED]), poll(5, []), poll(6, [AGAIN_IDLE]), tracker=tracker) == [
        "->connecting"
    ]
    assert tracker.due == 5 + HOLD
    assert history(poll(8, [AGAIN_IDLE]), poll(40, [AGAIN_IDLE]), tracker=tracker) == [
        "connecting>down"
    ]
    assert tracker.due is None


def test_one_that_nobody_tries_any_more_is_down_at_once_where_it_was_not_added_again() -> None:
    assert history(poll(0, [TRIED]), poll(5, [ADDED])) == ["->connecting", "connecting>down"]


def test_one_that_is_down_or_waits_may_be_added_again_without_a_word() -> None:
    trap = connection("site", routing="routed-ondemand")
    assert history(poll(0, [ADDED]), poll(5, []), poll(6, [AGAIN_IDLE])) == ["->down"]
    assert history(poll(0, [trap]), poll(5, []), poll(6, [trap])) == ["->waiting"]


def test_each_time_it_is_waited_for_anew() -> None:
    gaps = [poll(second, [ADDED] if second % 3 == 0 else []) for second in range(30)]
    assert history(*gaps) == ["->down"]


def test_the_loss_of_one_that_was_up_is_told_at_once() -> None:
    assert history(
        poll(0, [ADDED], UP), poll(5, []), poll(6, [AGAIN], half_open(3)), poll(36, [AGAIN])
    ) == ["->up", "up>gone:unloaded", "->connecting", "connecting>stuck:other"]


def test_one_that_comes_back_with_more_children_is_known_by_its_name() -> None:
    first = [connection("m", policy="UP", serial=1)]
    two = [connection(f"m/1x{n}", policy="UP", aliases=("m",), serial=n + 1) for n in (1, 2)]
    tracker = Tracker()
    assert history(poll(0, first), poll(5, []), poll(6, two), tracker=tracker) == ["->connecting"]
    (tunnel,) = tracker.tunnels.values()
    assert tunnel.children == 2


def test_one_that_was_unknown_is_as_it_was_last_known_while_it_is_waited_for() -> None:
    hangs = no_answer(5, PlutoState.UNREACHABLE)
    assert history(poll(0, [ADDED]), hangs, poll(10, []), poll(13, [])) == [
        "->down",
        "down>unknown:pluto-unreachable",
        "unknown>down",
        "down>gone:unloaded",
    ]


def test_a_pluto_that_comes_without_it_is_not_waited_for_twice() -> None:
    other = connection("other")
    tracker = Tracker()
    history(poll(0, [TRIED, other], pid=1), no_answer(5), poll(6, [other], pid=2), tracker=tracker)
    assert history(poll(9, [other], pid=2), tracker=tracker) == ["unknown>gone:unloaded"]


@pytest.mark.parametrize("second", ["site", "other"])  # from 5.0 on; 4.x
def test_one_that_waits_for_the_ike_sa_of_another_has_its_reason(second: str) -> None:
    # Several connections with one peer share an IKE SA, and only one of them negotiates it.
    other = connection("other", policy="UP")
    wish = [Pending(7, "other", (), "Child SA"), Pending(7, second, (), "Child SA")]
    asking = [ike(7, "other", stage=Stage.HALF_OPEN, role=Role.INITIATOR)]
    tracker = Tracker(stuck_after=30)
    history(poll(0, [TRIED, other], asking, pending=wish), tracker=tracker)
    tracker.add_log_line(LogLine(START, NOBODY.replace("site", "other")))
    stuck = tracker.observe(poll(30, [TRIED, other], asking, pending=wish))
    assert sorted(told(stuck)) == ["connecting>stuck:no-answer"] * 2


def test_one_with_another_peer_has_not_the_reason_of_an_unanswered_ike_sa() -> None:
    other = connection("other", policy="UP", peer="192.0.2.9")
    asking = [ike(7, "other", stage=Stage.HALF_OPEN, role=Role.INITIATOR)]
    tracker = Tracker(stuck_after=30)
    history(poll(0, [TRIED, other], asking), tracker=tracker)
    tracker.add_log_line(LogLine(START, NOBODY.replace("site", "other")))
    stuck = tracker.observe(poll(30, [TRIED, other], asking))
    assert {(c.tunnel.name, str(c.reason)) for c in stuck} == {
        ("site", "other"),
        ("other", "no-answer"),
    }


# --- What came and went between two polls -------------------------------------------------------


def test_sas_that_came_and_went_between_two_polls_are_counted_and_make_no_transition() -> None:
    tracker = Tracker()
    first = [ike(1, "site"), child(5, "site", 1)]
    tracker.observe(poll(0, [ADDED], first))
    assert tracker.missed == 0  # SAs from before the first poll don't count as missed
    assert history(poll(5, [ADDED], first), tracker=tracker) == []
    assert tracker.missed == 0
    rekeyed = [ike(1, "site"), child(9, "site", 1)]
    assert history(poll(10, [ADDED], rekeyed), tracker=tracker) == []
    assert tracker.missed == 3  # 6, 7 and 8
    assert history(poll(15, [ADDED], first[:1]), tracker=tracker) == ["up>down:other"]
    assert history(poll(20, [ADDED], [ike(10, "site")]), tracker=tracker) == []
    assert tracker.missed == 3  # 9 was seen
    tracker.observe(poll(25, [ADDED], [ike(10, "site"), ike(12, "site"), child(13, "site", 12)]))
    assert tracker.missed == 4


def test_those_of_another_pluto_are_counted_from_its_first_one_on() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [ADDED], UP, pid=1))
    tracker.observe(poll(5, [ADDED], [ike(3, "site"), child(4, "site", 3)], pid=2))
    assert tracker.missed == 2


def test_those_that_came_while_nobody_watched_are_not_counted() -> None:
    before = Tracker()
    before.observe(poll(0, [ADDED], UP, pid=1))
    tracker = Tracker()
    tracker.restore(before.save())
    tracker.observe(poll(60, [ADDED], [ike(11, "site"), child(12, "site", 11)], pid=1))
    assert tracker.missed == 0


def test_a_client_that_was_here_for_less_than_a_poll_makes_no_transition_whatever_is_logged() -> (
    None
):
    template = connection("rw", peer="%any", serial=1)
    tracker = Tracker()
    history(poll(0, [template], [ike(1, "site")]), tracker=tracker)
    for text in (
        '"rw"[3] 192.0.2.7 #2: responder established IKE SA; authenticated peer',
        '"rw"[3] 192.0.2.7 #3: responder established Child SA using #2; IPsec tunnel',
        '"rw"[3] 192.0.2.7 #3: ESP traffic information: in=0B out=0B',
        '"rw"[3] 192.0.2.7 #2: deleting IKE SA (established IKE SA)',
    ):
        tracker.add_log_line(LogLine(START + 3, text))
    assert history(poll(5, [template], [ike(1, "site")]), tracker=tracker) == []
    assert history(poll(10, [template], [ike(4, "site")]), tracker=tracker) == []
    assert tracker.missed == 2
