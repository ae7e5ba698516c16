# SPDX-License-Identifier: MIT
"""Tests of how each tunnel's state followed from one entry to the next, and what isn't known."""

from __future__ import annotations

from collections import defaultdict

import pytest

from ipsecwatch.history.entries import Sign
from ipsecwatch.tunnel import Reason
from tests.support.diary import Diary


def test_a_tunnel_is_as_its_last_entry_says_until_the_next() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "down")
    diary.change(150, "down", "up")
    diary.change(200, "up", "unknown", Reason.PLUTO_UNREACHABLE)
    diary.change(220, "unknown", "up")
    diary.ended(300)
    assert diary.spans() == [
        (100, 150, "down"),
        (150, 200, "up"),
        (200, 220, "unknown"),
        (220, 300, "up"),
    ]


def test_what_a_restarted_service_goes_on_from_stays_as_it_was() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.found(100, "down", "lab")
    diary.systemd(200, Sign.OVER)
    diary.began(210, "2", "1")
    diary.change(211, "up", "down", Reason.PEER_DEAD)
    diary.ended(300)
    assert diary.spans() == [(100, 200, "up"), (210, 211, "up"), (211, 300, "down")]
    assert diary.spans("lab") == [(100, 200, "down"), (210, 300, "down")]


def test_a_service_that_knew_nothing_tells_of_every_tunnel_there_is() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.found(100, "up", "lab")
    diary.boot_ends(200)
    diary.reboot("b", 1000)
    diary.began(10, "2")
    diary.found(10, "connecting")
    diary.ended(50)
    assert diary.spans() == [(100, 200, "up"), (1010, 1050, "connecting")]
    assert diary.spans("lab") == [(100, 200, "up")], "it isn't listed any more"


def test_a_run_that_another_one_came_after_is_not_gone_on_from() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.ended(200)
    diary.began(210, "2")
    diary.ended(220)
    diary.began(230, "3", "1")
    diary.ended(300)
    assert diary.spans() == [(100, 200, "up")]


def test_a_tunnel_is_there_from_when_it_is_listed_until_it_is_gone() -> None:
    diary = Diary()
    diary.began(100)
    diary.change(150, "down", "up", name="rw[1]", listed="new")
    diary.change(200, "up", "down", Reason.PEER_DELETED, "rw[1]", listed="gone")
    diary.found(120, "down", "lab")
    diary.unlisted(170, "lab")
    diary.ended(300)
    assert diary.spans("rw[1]") == [(150, 200, "up"), (200, 200, "gone")]
    assert diary.spans("lab") == [(120, 170, "down"), (170, 170, "gone")]


def test_a_run_of_which_the_journal_lost_the_beginning_is_known_from_there_on() -> None:
    diary = Diary()
    diary.said(100)
    diary.change(150, "up", "down", Reason.PEER_DEAD)
    diary.change(160, "down", "up", name="new", listed="new")
    diary.ended(200)
    assert diary.spans() == [(100, 150, "up"), (150, 200, "down")]
    assert diary.spans("new") == [(160, 200, "up")]


def test_where_entries_are_missing_nothing_is_claimed_of_that_time() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.found(100, "up", "lab")
    diary.found(100, "up", "quiet")
    diary.change(150, "up", "down", Reason.PEER_DEAD)
    diary.serial += 7  # journald dropped them
    diary.change(200, "down", "up", name="lab")
    diary.change(250, "connecting", "up")
    diary.ended(300)
    assert diary.spans() == [
        (100, 150, "up"),
        (150, 200, "unknown"),
        (200, 250, "connecting"),
        (250, 300, "up"),
    ]
    assert diary.spans("lab") == [(100, 150, "up"), (150, 200, "unknown"), (200, 300, "up")]
    assert diary.spans("quiet") == [(100, 150, "up"), (150, 200, "unknown"), (200, 300, "unknown")]


def test_where_two_entries_contradict_each_other_one_is_missing() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.change(200, "stuck", "up")
    diary.ended(300)
    assert diary.spans() == [(100, 200, "unknown"), (200, 300, "up")]


def jumping(jump: float, at: float) -> Diary:
    """Return entries of a machine whose clock jumps by ``jump`` s, while ``site`` is up."""
    diary = Diary()
    diary.began(1000)
    diary.found(1000, "up")
    diary.said(at - 1)
    diary.up += jump
    diary.said(at)
    diary.change(1300, "up", "down", Reason.PEER_DEAD)
    diary.ended(1400)
    return diary


@pytest.mark.parametrize("jump", [7200, -7200])
def test_lengths_are_those_of_the_monotonic_clock_whoever_sets_the_other(jump: float) -> None:
    seconds: dict[str, float] = defaultdict(float)
    for span in jumping(jump, 1200).timelines["site"].spans:
        seconds[str(span.state)] += span.seconds
    assert {s: round(t, 3) for s, t in seconds.items()} == {"up": 300, "down": 100}


def test_a_clock_that_was_set_back_was_wrong_before() -> None:
    ahead = -7200.0
    assert jumping(ahead, 1200).spans() == [
        (1000 + ahead, 1200 + ahead, "up"),
        (1200 + ahead, 1300 + ahead, "up"),
        (1300 + ahead, 1400 + ahead, "down"),
    ]


def test_a_clock_that_was_wrong_for_a_while_puts_nothing_into_the_future() -> None:
    diary = jumping(7200, 1200)
    diary.up -= 7200
    diary.began(1500, "2", "1")
    diary.ended(1600)
    assert [(begin, end) for begin, end, _ in diary.spans()][-2:] == [(1300, 1400), (1500, 1600)]


def test_a_clock_that_went_forward_may_be_a_machine_that_was_asleep() -> None:
    assert jumping(7200, 1200).spans() == [
        (1000, 1200, "up"),
        (8400, 8500, "up"),
        (8500, 8600, "down"),
    ]
