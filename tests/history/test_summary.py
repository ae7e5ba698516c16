# SPDX-License-Identifier: MIT
"""Tests of uptime, outages and flaps, as they follow from a timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.history.entries import Sign
from ipsecwatch.history.summary import Summary, summarize, watched_of
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.diary import NOON, Diary

if TYPE_CHECKING:
    from collections.abc import Sequence

R = Reason

Change = tuple[float, str, Reason]

OUTAGES: list[tuple[str, Sequence[Change], list[tuple[float, float, str, bool]]]] = [
    ("lost and back", [(100, "up", R.NONE), (200, "down", R.PEER_DEAD), (500, "up", R.NONE)],
     [(200, 300, "peer-dead", True)]),
    ("lost, tried, stuck and back: one outage, for the reason of the loss",
     [(100, "up", R.NONE), (200, "connecting", R.PEER_DELETED), (230, "stuck", R.NO_ANSWER),
      (500, "up", R.NONE)],
     [(200, 300, "peer-deleted", True)]),
    ("half of it is back", [(100, "up", R.NONE), (200, "down", R.EXPIRED),
                            (300, "partial", R.NONE), (400, "up", R.NONE)],
     [(200, 100, "expired", True)]),
    ("half of it is lost, and something passes",
     [(100, "up", R.NONE), (200, "partial", R.EXPIRED)], []),
    ("taken down by hand",
     [(100, "up", R.NONE), (200, "down", R.OPERATOR), (300, "up", R.NONE)], []),
    ("it waits for traffic", [(100, "up", R.NONE), (200, "waiting", R.EXPIRED)], []),
    ("brought up by hand: nothing was lost",
     [(100, "connecting", R.NONE), (105, "up", R.NONE)], []),
    ("it never came up: from the first try on",
     [(100, "connecting", R.NONE), (130, "stuck", R.NO_ANSWER)],
     [(100, 900, "no-answer", False)]),
    ("lost, and then taken down by hand", [(100, "up", R.NONE), (200, "connecting", R.PEER_DEAD),
                                           (300, "down", R.OPERATOR)],
     [(200, 100, "peer-dead", False)]),
    ("unknown in between counts for nothing",
     [(100, "up", R.NONE), (200, "down", R.PEER_DEAD), (300, "unknown", R.PLUTO_UNREACHABLE),
      (400, "down", R.PEER_DEAD), (500, "up", R.NONE)],
     [(200, 200, "peer-dead", True)]),
    ("known again, and lost meanwhile", [(100, "up", R.NONE), (200, "unknown", R.BAD_OUTPUT),
                                         (300, "down", R.PLUTO_RESTARTED)],
     [(300, 700, "pluto-restarted", False)]),
    ("known again, and as it was", [(100, "up", R.NONE), (200, "unknown", R.BAD_OUTPUT),
                                    (300, "up", R.NONE)], []),
]  # fmt: skip


def summary(changes: Sequence[Change], since: float = 0, until: float = 1e6) -> Summary:
    diary = Diary()
    diary.began(0)
    diary.found(0, "down")
    old = "down"
    for at, new, reason in changes:
        diary.change(at, old, new, reason)
        old = new
    diary.ended(1000)
    return summarize(diary.timelines["site"], NOON + since, NOON + until)


@pytest.mark.parametrize(
    ("changes", "outages"), [o[1:] for o in OUTAGES], ids=[o[0] for o in OUTAGES]
)
def test_an_outage_is_a_loss_that_nobody_wanted(
    changes: Sequence[Change], outages: list[tuple[float, float, str, bool]]
) -> None:
    found = summary(changes).outages
    assert [(o.begin - NOON, o.seconds, o.reason, o.mended) for o in found] == outages


def test_a_flap_is_an_outage_that_was_over_at_once() -> None:
    s = summary(
        [(100, "up", R.NONE), (200, "down", R.PEER_DELETED), (202, "up", R.NONE),
         (300, "down", R.PEER_DEAD), (800, "up", R.NONE), (990, "down", R.PEER_DEAD)]
    )  # fmt: skip
    assert (len(s.outages), s.flaps) == (3, 1)


@pytest.mark.parametrize(("unknown", "flaps"), [(20, 1), (200, 0)])
def test_an_outage_is_no_flap_if_it_may_have_lasted_longer_than_that(
    unknown: float, flaps: int
) -> None:
    s = summary(
        [(100, "up", R.NONE), (200, "down", R.PEER_DEAD), (205, "unknown", R.BAD_OUTPUT),
         (205 + unknown, "up", R.NONE)]
    )  # fmt: skip
    assert [(o.seconds, o.mended) for o in s.outages] == [(5, True)]
    assert s.flaps == flaps


def test_an_outage_whose_end_the_service_did_not_watch_is_no_flap() -> None:
    diary = Diary()
    diary.began(0)
    diary.found(0, "up")
    diary.change(100, "up", "down", R.PEER_DEAD)
    diary.ended(110)
    diary.began(4000, "2")
    diary.found(4000, "up")
    diary.ended(5000)
    s = summarize(diary.timelines["site"], NOON, NOON + 1e6)
    assert [(o.seconds, o.mended, o.flap) for o in s.outages] == [(10, True, False)]


def test_the_per_cent_is_of_the_time_that_was_watched_and_is_known() -> None:
    s = summary([(200, "up", R.NONE), (600, "unknown", R.BAD_OUTPUT), (800, "up", R.NONE)])
    assert s.seconds == {
        TunnelState.DOWN: 200, TunnelState.UP: 600, TunnelState.UNKNOWN: 200,
    }  # fmt: skip
    assert (s.known, s.uptime) == (800, 0.75)


def test_of_a_time_in_which_nothing_is_known_there_is_no_per_cent() -> None:
    s = summary([(200, "unknown", R.BAD_OUTPUT)], since=300)
    assert (s.known, s.uptime, s.last) == (0, None, TunnelState.UNKNOWN)


def test_only_the_time_that_is_asked_for_counts() -> None:
    changes = [(100.0, "up", R.NONE), (400.0, "down", R.PEER_DEAD), (600.0, "up", R.NONE)]
    s = summary(changes, since=300, until=500)
    assert (s.known, s.uptime) == (200, 0.5)
    assert [o.seconds for o in s.outages] == [200], "an outage is as long as it was"
    assert [at - NOON for at, _ in s.transitions] == [400]
    assert not summary(changes, since=700, until=800).outages


def test_after_a_reboot_a_tunnel_that_is_not_tried_is_no_outage() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.boot_ends(200)
    diary.reboot("b", 1000)
    diary.began(10, "2")
    diary.found(10, "down")
    diary.ended(500)
    s = summarize(diary.timelines["site"], NOON, NOON + 1e6)
    assert not s.outages
    assert s.uptime == pytest.approx(100 / 590)


def test_of_a_tunnel_that_is_gone_after_a_reboot_it_is_not_known_how_it_is() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "stuck")
    diary.found(100, "up", "lab")
    diary.boot_ends(200)
    diary.reboot("b", 1000)
    diary.began(10, "2")
    diary.found(10, "up", "lab")
    diary.ended(500)
    watched = watched_of(diary.runs, NOON, NOON + 1e6)
    site, lab = (
        summarize(diary.timelines[name], NOON, NOON + 1e6, watched) for name in ("site", "lab")
    )
    assert (site.last, lab.last) == (None, TunnelState.UP)
    assert [(o.seconds, o.over) for o in site.outages] == [(100, False)]


def test_what_comes_from_down_after_a_reboot_is_no_outage() -> None:
    diary = Diary()
    diary.began(100)
    diary.found(100, "up")
    diary.boot_ends(200)
    diary.reboot("b", 1000)
    diary.began(10, "2")  # and saw pluto stopped
    diary.change(12, "down", "connecting", listed="new")
    diary.change(13, "connecting", "up")
    diary.ended(500)
    assert not summarize(diary.timelines["site"], NOON, NOON + 1e6).outages


def test_what_was_watched_is_told_run_by_run_without_sleep() -> None:
    diary = Diary()
    diary.began(100)
    diary.systemd(200, Sign.SLEEP)
    diary.up += 1000
    diary.systemd(201, Sign.WAKE)
    diary.systemd(300, Sign.OVER)
    diary.began(305, "2", "1")
    diary.ended(400)
    found = watched_of(diary.runs, NOON + 150, NOON + 1350)
    assert [(w.begin - NOON, w.end - NOON, w.run) for w in found] == [
        (150, 200, "1"),
        (1201, 1300, "1"),
        (1305, 1350, "2"),
    ]
