# SPDX-License-Identifier: MIT
"""Tests of how long, and how often, a tunnel is tried."""

from __future__ import annotations

import pytest

from ipsecwatch.report import LogLine, Poll, Role, Stage
from ipsecwatch.tracking.tracker import Tracker
from tests.support.reports import START, ike, poll
from tests.tracking.test_tracker import SITE, UP, WANTED, history, told


def test_a_tunnel_gets_stuck_after_its_time_through_pauses_and_serials() -> None:
    larval = [
        ike(n, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR) for n in (1, 2, 3)
    ]  # fmt: skip
    tracker = Tracker(stuck_after=30)
    assert history(
        poll(0, [SITE]), poll(1, [WANTED], larval[:1]), poll(15, [WANTED]),
        poll(20, [WANTED], larval[1:2]), poll(30.9, [WANTED]), tracker=tracker,
    ) == ["->down", "down>connecting"]  # fmt: skip
    tracker.add_log_line(LogLine(START, '"site" #3: initiating IKEv2 connection'))
    (stuck,) = tracker.observe(poll(31, [WANTED], larval[2:]))
    assert (stuck.new, stuck.reason, stuck.gets_stuck) == ("stuck", "no-answer", True)
    assert stuck.tunnel.attempts == 3
    assert tracker.observe(poll(32, [WANTED])) == []
    assert told(tracker.observe(poll(33, [SITE]))) == ["stuck>down:operator"]


def test_time_spent_asleep_makes_nothing_stuck() -> None:
    tracker = Tracker(stuck_after=30)
    tracker.observe(poll(0, [WANTED]))
    asleep = Poll(START + 8 * 3600, 2.0, poll(0, [WANTED]).report)
    assert tracker.observe(asleep) == []


@pytest.mark.parametrize(
    ("tried", "stuck_at"),
    [
        (None, 40),  # nothing was logged: it counts from the poll that shows it
        (START + 7.5, 37.5),
        (START + 2, 35),  # before a poll that didn't show it: another attempt, or a set clock
        (START + 900, 40),
    ],
)
def test_the_time_of_trying_counts_from_what_the_log_tells(
    tried: float | None, stuck_at: float
) -> None:
    tracker = Tracker(stuck_after=30)
    history(poll(0, [SITE]), poll(5, [SITE]), tracker=tracker)
    if tried is not None:
        tracker.add_log_line(LogLine(tried, '"site" #1: initiating IKEv2 connection'))
    tracker.observe(poll(10, [WANTED]))
    assert tracker.due == stuck_at


def test_a_rekey_before_a_loss_is_no_try_of_what_comes_after_it() -> None:
    tracker = Tracker(stuck_after=30)
    history(poll(0, [WANTED], UP), poll(5, [WANTED], UP), tracker=tracker)
    line = '"site" #3: initiating Child SA using IKE SA #1'
    tracker.add_log_line(LogLine(START + 6, line))
    assert history(poll(30, [WANTED]), tracker=tracker) == ["up>connecting:other"]
    assert tracker.due == 60


def test_a_try_that_was_taken_back_is_none_of_the_next_one() -> None:
    tracker = Tracker(stuck_after=30)
    history(poll(0, [SITE]), poll(5, [SITE]), tracker=tracker)
    for at, what in ((6, " #1: initiating IKEv2 connection"),
                     (8, ": terminating SAs using this connection"),
                     (28, " #3: initiating IKEv2 connection")):  # fmt: skip
        tracker.add_log_line(LogLine(START + at, f'"site"{what}'))
    tracker.observe(poll(30, [WANTED]))
    assert tracker.due == 58
