# SPDX-License-Identifier: MIT
"""Tests of when the service watched, whatever happened to service, machine and clock."""

from __future__ import annotations

import pytest

from ipsecwatch.history.entries import Sign
from ipsecwatch.history.watches import End
from tests.support.diary import NOON, Diary


def watched(diary: Diary) -> list[tuple[str, float, float, str]]:
    return [(r.id, r.begin, r.end, r.ended_by) for r in diary.runs]


@pytest.fixture
def diary() -> Diary:
    made = Diary()
    made.began(100)
    made.change(200, "down", "up")
    return made


def test_a_service_that_was_stopped_wrote_when(diary: Diary) -> None:
    diary.ended(300)
    diary.systemd(301, Sign.OVER)
    diary.boot_ends(9000)
    assert watched(diary) == [("1", 100, 300, End.WRITTEN)]


def test_what_runs_now_watches_until_now(diary: Diary) -> None:
    diary.boot_ends(450)
    diary.look(500, "1")
    assert watched(diary) == [("1", 100, 500, End.GOES_ON)]


def test_another_run_that_watches_now_says_nothing_of_this_one(diary: Diary) -> None:
    diary.began(400, "2")
    diary.look(500, "2")
    assert watched(diary) == [("1", 100, 200, End.LAST_ENTRY), ("2", 400, 500, End.GOES_ON)]


SIGNS = [
    ([(300, Sign.OVER)], 300, End.SYSTEMD, "it was killed"),
    ([(250, Sign.RUNS), (300, Sign.OVER), (301, Sign.OVER)], 300, End.SYSTEMD, "at the first word"),
    ([(250, Sign.RUNS)], 250, End.LAST_ENTRY, "it was seen to run, and then another one began"),
    ([], 200, End.LAST_ENTRY, "nobody wrote anything"),
    ([(50, Sign.OVER)], 200, End.LAST_ENTRY, "that was the end of one before"),
    ([(300, Sign.OVER), (300.1, Sign.HUNG)], 200, End.LAST_ENTRY, "it ran and watched nothing"),
    ([(250, Sign.RUNS), (300, Sign.OVER), (300.1, Sign.HUNG)], 250, End.LAST_ENTRY, "reloaded"),
    ([(450, Sign.OVER)], 200, End.LAST_ENTRY, "that is the end of the next one"),
]


@pytest.mark.parametrize(("signs", "end", "by", "why"), SIGNS, ids=[why for *_, why in SIGNS])
def test_a_service_that_wrote_no_end_ended_where_an_entry_shows_it(
    diary: Diary, signs: list[tuple[float, Sign]], end: float, by: End, why: str
) -> None:
    assert why
    for at, sign in signs:
        diary.systemd(at, sign)
    diary.began(400, "2", "1")
    diary.ended(500)
    diary.boot_ends(9000)
    assert watched(diary)[0] == ("1", 100, end, by)


def test_where_the_power_failed_the_boots_last_entry_shows_until_when_it_ran(diary: Diary) -> None:
    diary.boot_ends(900)
    diary.reboot("b", 2000)
    diary.began(10, "2")
    diary.ended(20)
    assert watched(diary)[0] == ("1", 100, 900, End.BOOT)


def test_after_its_end_the_boot_went_on_without_it(diary: Diary) -> None:
    diary.systemd(300, Sign.OVER)
    diary.boot_ends(900)
    assert watched(diary) == [("1", 100, 300, End.SYSTEMD)]


def test_of_a_service_that_is_no_unit_systemd_would_not_have_told() -> None:
    diary = Diary(unit="session-1.scope")
    diary.began(100)
    diary.said(150)
    diary.boot_ends(900)
    assert watched(diary) == [("1", 100, 150, End.LAST_ENTRY)]


def test_a_unit_that_has_more_in_it_tells_nothing_of_the_service() -> None:
    diary = Diary(unit="docker.service")
    diary.began(100)
    diary.systemd(300, Sign.OVER, "docker.service")
    diary.boot_ends(900)
    assert watched(diary) == [("1", 100, 100, End.LAST_ENTRY)]


def test_another_units_end_is_not_ours(diary: Diary) -> None:
    diary.systemd(250, Sign.OVER, "ipsecwatch@lab.service")
    diary.systemd(300, Sign.OVER)
    assert watched(diary) == [("1", 100, 300, End.SYSTEMD)]


def test_boots_follow_each_other_though_a_clock_began_at_1970(diary: Diary) -> None:
    diary.ended(300)
    diary.boot, diary.up = "b", 0.0
    diary.began(10, "2")
    diary.up = NOON + 5000  # NTP has set it
    diary.said(20)
    diary.ended(300)
    first, second = diary.runs
    assert (first.id, second.id) == ("1", "2")
    assert next(iter(second.spans(10, 300)))[0] == NOON + 5010
    assert sum(end - begin for begin, end in second.spans(10, 300)) == 290


def test_a_machine_that_sleeps_is_not_watched(diary: Diary) -> None:
    diary.systemd(300, Sign.SLEEP)
    diary.up += 3600
    diary.systemd(300.5, Sign.WAKE)
    diary.ended(400)
    (run,) = diary.runs
    assert list(run.spans(100, 400)) == [
        (NOON + 100, NOON + 300),
        (NOON + 3900.5, NOON + 4000),
    ]


def test_a_machine_that_never_woke_up_was_watched_until_it_slept(diary: Diary) -> None:
    diary.systemd(300, Sign.SLEEP)
    diary.boot_ends(300.2)
    assert watched(diary) == [("1", 100, 300, End.BOOT)]


def test_that_it_woke_up_is_clear_from_what_it_wrote_then(diary: Diary) -> None:
    diary.systemd(300, Sign.SLEEP)
    diary.said(400)
    diary.ended(500)
    assert watched(diary) == [("1", 100, 500, End.WRITTEN)]
    assert not diary.runs[0].asleep
