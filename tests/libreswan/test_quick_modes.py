# SPDX-License-Identifier: MIT
"""Tests of what a peer refuses under an IKEv1 SA that several connections share."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.quick_modes import MAX_WAITING
from ipsecwatch.report import LogLine, Report
from ipsecwatch.tracking.log_evidence import LogEvidence
from ipsecwatch.tunnel import Reason
from tests.support.reports import WHOLE, child, ike

PHASE_1 = (
    '"first" #1: initiating IKEv1 Main Mode connection',
    '"first" #1: IKE SA established {auth=PRESHARED_KEY}',
)
FIRST = '"first" #2: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:f4c8ab88}'
FIRST_UP = '"first" #2: IPsec SA established tunnel mode {ESP=>0x1 <0x2}'
SECOND = '"second" #3: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:f4c8ab89}'
SECOND_AGAIN = (
    '"second" #3: STATE_QUICK_I1: 60 second timeout exceeded after 7 retransmits.  No acceptable x',
    '"second" #5: initiating Quick Mode IKEv1+PSK to replace #3 {using isakmp#1 msgid:1}',
)
THIRD = '"third" #4: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:f4c8ab90}'
REFUSED = '"first" #1: ignoring informational payload INVALID_ID_INFORMATION, msgid=0, length=12'
LIKES_NO_PROPOSAL = REFUSED.replace("INVALID_ID_INFORMATION", "NO_PROPOSAL_CHOSEN")


def reasons(*lines: str) -> list[Reason]:
    """Return why each of three connections failed, as far as these lines show."""
    log = LogEvidence()
    for line in (*PHASE_1, *lines):
        log.add_log_line(LogLine(0.0, line))
    return [log.attempts.failure({name}, 0)[0] for name in ("first", "second", "third")]


TS, NONE = Reason.TRAFFIC_SELECTORS, Reason.NONE


@pytest.mark.parametrize(
    ("lines", "whose"),
    [
        ((FIRST, REFUSED), [TS, NONE, NONE]),
        ((FIRST, FIRST_UP, SECOND, REFUSED), [NONE, TS, NONE]),
        ((FIRST, FIRST_UP, SECOND, *SECOND_AGAIN, REFUSED), [NONE, TS, NONE]),
        ((FIRST, FIRST_UP, SECOND, LIKES_NO_PROPOSAL), [NONE, Reason.PROPOSAL, NONE]),
        # The line doesn't say which attempt is refused: it counts for the connection that it names.
        ((FIRST, SECOND, REFUSED), [TS, NONE, NONE]),
        ((FIRST, FIRST_UP, SECOND, THIRD, REFUSED), [TS, NONE, NONE]),
    ],
)
def test_a_notification_is_about_the_one_quick_mode_that_waits(
    lines: tuple[str, ...], whose: list[Reason]
) -> None:
    assert reasons(*lines) == whose


def test_one_that_a_report_shows_no_more_is_not_waited_for() -> None:
    log = LogEvidence()
    for line in (*PHASE_1, FIRST, FIRST_UP, SECOND):
        log.add_log_line(LogLine(0.0, line))
    states = (ike(1, "first"), child(2, "first", 1), ike(6, "elsewhere"))
    log.compare(Report(command="status", complete=True, states=states, knowledge=WHOLE), 0.0)
    log.add_log_line(LogLine(0.0, REFUSED))
    assert log.attempts.failure({"second"}, 0)[0] is NONE


def test_one_that_no_report_can_show_yet_is_waited_for() -> None:
    log = LogEvidence()
    for line in (*PHASE_1, FIRST, FIRST_UP, SECOND):
        log.add_log_line(LogLine(0.0, line))
    states = (ike(1, "first"), child(2, "first", 1))
    log.compare(Report(command="status", complete=True, states=states, knowledge=WHOLE), 0.0)
    log.add_log_line(LogLine(0.0, REFUSED))
    assert log.attempts.failure({"second"}, 0)[0] is TS


def test_those_that_are_kept_are_bounded() -> None:
    log = LogEvidence()
    for n in range(MAX_WAITING + 10):
        log.add_log_line(LogLine(0.0, SECOND.replace("#3", f"#{n}")))
    assert len(log._quick_modes._waiting) == MAX_WAITING
