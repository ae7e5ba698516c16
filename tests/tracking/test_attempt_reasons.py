# SPDX-License-Identifier: MIT
"""Tests of why a tunnel isn't up after its attempts have ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import LogLine, Role, Stage
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.reports import START, child, connection, ike, no_answer, poll

if TYPE_CHECKING:
    from ipsecwatch.tunnel import Transition

ON_DEMAND = connection("site", routing="routed-ondemand")
BEGUN = ike(1, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR)
OURS = '"site" #1: initiating IKEv2 connection'
GIVEN_UP = '"site" #1: STATE_V2_PARENT_I1: 20 second timeout exceeded after 6 retransmits.  No resp'
REFUSED = '"site" #1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED'
BY_HAND = '"site": terminating SAs using this connection'


def ended(*lines: str) -> Transition:
    """Return the transition at the end of an on-demand attempt, with these lines logged before."""
    tracker = Tracker()
    tracker.observe(poll(0, [ON_DEMAND]))
    tracker.add_log_line(LogLine(START + 1, OURS))
    tracker.observe(poll(5, [ON_DEMAND], [BEGUN]))
    for line in lines:
        tracker.add_log_line(LogLine(START + 7, line))
    (change,) = tracker.observe(poll(10, [ON_DEMAND]))
    return change


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((GIVEN_UP,), Reason.NO_ANSWER),
        ((REFUSED,), Reason.AUTHENTICATION),
        ((GIVEN_UP, BY_HAND), Reason.OPERATOR),
        ((), Reason.NONE),
    ],
)
def test_an_attempt_that_ends_has_the_reason_that_was_logged(
    lines: tuple[str, ...], reason: Reason
) -> None:
    change = ended(*lines)
    assert (change.new, change.reason) == (TunnelState.WAITING, reason)


def test_an_attempt_that_ended_with_pluto_has_failed_by_nothing_else() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [ON_DEMAND]))
    tracker.add_log_line(LogLine(START + 1, OURS))
    tracker.observe(poll(5, [ON_DEMAND], [BEGUN]))
    tracker.add_log_line(LogLine(START + 6, REFUSED))
    tracker.observe(no_answer(10))
    told = tracker.observe(poll(15, [ON_DEMAND]))
    assert [(c.new, c.reason) for c in told] == [(TunnelState.WAITING, Reason.PLUTO_RESTARTED)]


def test_an_attempt_that_came_and_went_between_two_polls_is_the_reason_all_the_same() -> None:
    """A peer refuses within milliseconds: both polls show the tunnel as waiting."""
    tracker = Tracker()
    tracker.observe(poll(0, [ON_DEMAND]))
    tracker.add_log_line(LogLine(START + 1, OURS))
    tracker.add_log_line(LogLine(START + 1.01, REFUSED))
    assert tracker.observe(poll(5, [ON_DEMAND])) == []
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.state, tunnel.reason) == (TunnelState.WAITING, Reason.AUTHENTICATION)
    assert tunnel.detail == REFUSED
    tracker.observe(poll(10, [ON_DEMAND]))
    assert tracker.tunnels["site"].reason is Reason.AUTHENTICATION
    (up,) = tracker.observe(poll(15, [ON_DEMAND], [ike(3, "site"), child(4, "site", 3)]))
    assert up.reason is Reason.NONE


@pytest.mark.parametrize(
    "later",
    [
        ('"site" #3: initiator established Child SA using #2; IPsec tunnel',
         '"site" #3: ESP traffic information: in=0B out=0B'),
        ("Pluto is shutting down", "Starting Pluto (Libreswan Version 5.2) pid:2"),
    ],
    ids=["came up and went again", "pluto was restarted"],
)  # fmt: skip
def test_an_attempt_between_two_polls_is_no_reason_for_what_came_after_it(
    later: tuple[str, ...],
) -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [ON_DEMAND]))
    for line in (OURS, REFUSED, *later):
        tracker.add_log_line(LogLine(START + 1, line))
    tracker.observe(poll(5, [ON_DEMAND]))
    assert tracker.tunnels["site"].reason is Reason.NONE


WANTED = connection("site", policy="IKEv1+PSK+UP")
V1 = '"site" #1: initiating IKEv1 Main Mode connection'
QUICK = '"site" #2: initiating Quick Mode IKEv1+PSK+UP {using isakmp#1 msgid:f4c8ab88 proposal=def}'
DELETED = '"site" #1: received Delete SA payload: self-deleting ISAKMP State #1'


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((V1, DELETED), Reason.PEER_DELETED),  # for example because the peer had no free address
        ((V1, QUICK, DELETED), Reason.NONE),  # the Child SA outlives the IKE SA
        ((DELETED,), Reason.NONE),
    ],
)
def test_a_peer_that_ends_phase_1_before_there_is_a_phase_2_has_refused_the_attempt(
    lines: tuple[str, ...], reason: Reason
) -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [WANTED]))
    for line in lines:
        tracker.add_log_line(LogLine(START + 1, line))
    tracker.observe(poll(5, [WANTED]))
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.state, tunnel.reason) == (TunnelState.CONNECTING, reason)


def test_a_phase_1_that_only_replaced_another_one_is_no_attempt_that_failed() -> None:
    """The peer goes away with all SAs, and answers no more."""
    tracker = Tracker(stuck_after=30)
    tracker.observe(poll(0, [WANTED], [ike(1, "site"), child(2, "site", 1)]))
    tracker.add_log_line(LogLine(START + 1, V1.replace("#1", "#3")))
    tracker.observe(poll(5, [WANTED], [ike(3, "site"), child(2, "site", 3)]))
    for line in (
        '"site" #3: received Delete SA(0x1234) payload: deleting IPsec State #2',
        DELETED.replace("#1", "#3"),
        V1.replace("#1", "#4"),
    ):
        tracker.add_log_line(LogLine(START + 6, line))
    again = ike(4, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR)
    (lost,) = tracker.observe(poll(7, [WANTED], [again]))
    assert (lost.new, lost.reason) == (TunnelState.CONNECTING, Reason.PEER_DELETED)
    (stuck,) = tracker.observe(poll(40, [WANTED], [again]))
    assert (stuck.new, stuck.reason) == (TunnelState.STUCK, Reason.NO_ANSWER)


def test_one_that_was_taken_down_by_hand_stays_so_if_pluto_tries_once_more() -> None:
    """5.2 does, where it had been about to revive the connection."""
    tracker = Tracker()
    tracker.observe(poll(0, [WANTED]))
    tracker.add_log_line(LogLine(START + 4, BY_HAND))
    (down,) = tracker.observe(poll(5, [connection("site")]))
    assert down.reason is Reason.OPERATOR
    tracker.add_log_line(LogLine(START + 6, OURS))
    tracker.add_log_line(LogLine(START + 6.01, REFUSED))
    tracker.observe(poll(10, [connection("site")]))
    assert tracker.tunnels["site"].reason is Reason.OPERATOR


def test_what_failed_before_a_tunnel_was_up_is_no_reason_for_its_loss() -> None:
    tracker = Tracker()
    up = [ike(3, "site"), child(4, "site", 3)]
    tracker.observe(poll(0, [ON_DEMAND]))
    tracker.add_log_line(LogLine(START + 1, OURS))
    tracker.add_log_line(LogLine(START + 1.01, REFUSED))
    tracker.observe(poll(5, [ON_DEMAND], up))
    assert tracker.tunnels["site"].reason is Reason.NONE
    (lost,) = tracker.observe(poll(10, [ON_DEMAND]))
    assert lost.reason is Reason.OTHER
