# SPDX-License-Identifier: MIT
"""Tests of how a change of policy shows that a tunnel was taken down by hand, without the log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import IkeVersion, LogLine, Role, Stage
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason
from tests.support.reports import START, child, connection, ike, poll

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, Poll

WANTED = replace(connection("site", policy="IKEv2+UP"), ike_version=IkeVersion.V2, oriented=True)
LEFT = replace(WANTED, policy=frozenset({"IKEv2"}))
UP = (ike(1, "site"), child(2, "site", 1))
TRIED = (ike(1, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR),)


def reason(*polls: Poll, version: str = "5.4") -> Reason:
    """Return the tunnel's reason after these polls of a pluto of this release."""
    tracker = Tracker()
    for p in polls:
        assert p.report is not None
        tracker.observe(replace(p, report=replace(p.report, version=version)))
    (tunnel,) = tracker.tunnels.values()
    return tunnel.reason


def test_what_loses_up_with_its_sas_was_taken_down() -> None:
    assert reason(poll(0, [WANTED], UP, pid=7), poll(5, [LEFT], pid=7)) is Reason.OPERATOR


def test_it_may_take_long() -> None:
    waits = [poll(second, [LEFT], UP, pid=7) for second in range(5, 60, 5)]
    end = poll(60, [LEFT], pid=7)
    assert reason(poll(0, [WANTED], UP, pid=7), *waits, end) is Reason.OPERATOR


def test_what_loses_up_while_it_is_tried_was_taken_down() -> None:
    tried = [poll(second, [WANTED], TRIED, pid=7) for second in (1, 20, 40)]
    for polls in (tried[:1], tried):  # connecting, and stuck
        assert reason(poll(0, [LEFT], pid=7), *polls, poll(50, [LEFT], pid=7)) is Reason.OPERATOR


def test_what_is_wanted_again_was_lost_by_something_else() -> None:
    again = [poll(5, [LEFT], UP, pid=7), poll(10, [WANTED], UP, pid=7)]
    assert reason(poll(0, [WANTED], UP, pid=7), *again, poll(15, [WANTED], pid=7)) is Reason.OTHER


def test_what_came_up_anew_was_lost_by_something_else() -> None:
    later = (ike(3, "site"), child(4, "site", 3))
    again = [poll(5, [LEFT], pid=7), poll(10, [LEFT], later, pid=7)]
    assert reason(poll(0, [WANTED], UP, pid=7), *again, poll(15, [LEFT], pid=7)) is Reason.OTHER


AWAY = replace(LEFT, oriented=False)
OLD = replace(LEFT, ike_version=IkeVersion.V1)


@pytest.mark.parametrize(
    ("after", "version"),
    [
        (AWAY, "5.4"),  # our address was removed
        (OLD, "4.10"),  # in this release, the peer's Delete may remove UP
        (replace(OLD, ike_version=IkeVersion.BOTH), "3.20"),
    ],
)
def test_up_may_be_lost_by_something_else(after: Connection, version: str) -> None:
    before = replace(WANTED, ike_version=after.ike_version)
    polls = poll(0, [before], UP, pid=7), poll(5, [after], pid=7)
    assert reason(*polls, version=version) is Reason.OTHER


def test_another_pluto_has_forgotten_what_was_wanted() -> None:
    polls = poll(0, [WANTED], UP, pid=7), poll(5, [LEFT], pid=8)
    assert reason(*polls) is Reason.PLUTO_RESTARTED


def test_where_nobody_knows_which_pluto_answers_nothing_is_concluded() -> None:
    assert reason(poll(0, [WANTED], UP), poll(5, [LEFT])) is Reason.OTHER
    other = connection("other"), ike(8, "other")
    polls = poll(0, [WANTED, other[0]], [*UP, other[1]]), poll(5, [LEFT, other[0]], [other[1]])
    tracker = Tracker()
    for p in polls:
        tracker.observe(p)
    assert tracker.tunnels["site"].reason is Reason.OPERATOR


def test_a_log_that_only_the_service_before_read_shows_no_restart() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [WANTED], UP))
    tracker.add_log_line(LogLine(START + 1, '"site" #2: established Child SA'))
    tracker.observe(poll(5, [WANTED], UP))
    other = Tracker()
    other.restore(tracker.save())
    (change,) = other.observe(poll(30, [LEFT]))
    assert change.reason is Reason.OTHER


def test_an_address_that_goes_makes_the_peer_unreachable_at_once() -> None:
    away = replace(WANTED, oriented=False)
    assert reason(poll(0, [WANTED], UP), poll(5, [away])) is Reason.UNREACHABLE


def test_the_log_knows_better_whose_address_went() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [WANTED], UP, pid=7))
    for text in (
        "shutting down interface eth1 10.0.0.1:4500",
        '"site": terminating SAs using this connection',
    ):
        tracker.add_log_line(LogLine(START + 3, text))
    (change,) = tracker.observe(poll(5, [LEFT], pid=7))
    assert change.reason is Reason.UNREACHABLE
