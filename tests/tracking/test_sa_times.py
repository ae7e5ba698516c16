# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipsecwatch.report import SaLine
from ipsecwatch.tracking.sa_times import SaTimes, SaWatch
from tests.support.reports import child, ike, poll

if TYPE_CHECKING:
    from ipsecwatch.report import SaState

SITE = ("site", ())


def carrying(serial: int, count: int, name: str = "site") -> SaState:
    """Return a Child SA that has carried this number of bytes."""
    line = f'#{serial}: "{name}" Traffic: ESPin={count}B ESPout=0B'
    return replace(child(serial, name, 1), sa_text=line, sa=SaLine(bytes_in=count, bytes_out=0))


def look(watch: SaWatch, second: float, *states: SaState) -> SaTimes:
    seen = replace(poll(second, states=states), boot=1000.0 + second)
    assert seen.report is not None
    watch.note(seen.report, seen)
    return watch.times


def test_an_sa_that_was_seen_to_come_has_been_there_since_then() -> None:
    watch = SaWatch()
    look(watch, 0, ike(1, "site"))
    look(watch, 5, ike(1, "site"), carrying(2, 0))
    times = look(watch, 9, ike(1, "site"), carrying(2, 0))
    assert (times.sas[2].boot, times.sas[2].known) == (1005.0, True)
    assert (times.sas[1].boot, times.sas[1].known) == (1000.0, False)
    assert times.answered == 1009.0


def test_what_came_while_pluto_could_not_be_asked_is_older_than_its_first_sight() -> None:
    watch = SaWatch()
    look(watch, 0)
    watch.interrupt()
    assert not look(watch, 60, carrying(2, 0)).sas[2].known


def test_another_plutos_serials_are_others() -> None:
    watch = SaWatch()
    look(watch, 0, carrying(2, 0))
    watch.interrupt(another_pluto=True)
    assert look(watch, 60, carrying(2, 0)).sas[2].boot == 1060.0


def test_idle_is_since_the_last_answer_in_which_the_counters_had_moved() -> None:
    watch = SaWatch()
    look(watch, 0)
    assert look(watch, 5, carrying(2, 0)).idle[SITE].boot == 1005.0
    assert look(watch, 10, carrying(2, 84)).idle[SITE].boot == 1010.0
    idle = look(watch, 15, carrying(2, 84)).idle[SITE]
    assert (idle.boot, idle.known) == (1010.0, True)


def test_a_rekey_is_no_traffic() -> None:
    watch = SaWatch()
    look(watch, 0)
    look(watch, 5, carrying(2, 84))
    look(watch, 50, carrying(2, 84), carrying(3, 0))
    assert look(watch, 55, carrying(3, 0)).idle[SITE].boot == 1005.0
    assert look(watch, 60, carrying(3, 84)).idle[SITE].boot == 1060.0


def test_since_when_what_is_found_at_the_first_look_is_idle_is_not_known() -> None:
    watch = SaWatch()
    for count in (0, 84):
        idle = look(watch, 0, carrying(2, count)).idle[SITE]
        assert (idle.boot, idle.known) == (1000.0, False)
        watch = SaWatch()


def test_after_an_interruption_traffic_may_be_older_than_it_was_seen() -> None:
    watch = SaWatch()
    look(watch, 0)
    look(watch, 5, carrying(2, 84))
    watch.interrupt()
    idle = look(watch, 300, carrying(2, 168)).idle[SITE]
    assert (idle.boot, idle.known) == (1300.0, False)


def test_of_many_sas_only_those_that_moved_are_less_idle() -> None:
    watch = SaWatch()
    look(watch, 0, ike(1, "site"), carrying(2, 0), carrying(3, 0, "other"))
    times = look(watch, 5, ike(1, "site"), carrying(2, 84), carrying(3, 0, "other"))
    assert (times.idle[SITE].boot, times.idle["other", ()].boot) == (1005.0, 1000.0)
    assert look(watch, 9, ike(1, "site"), carrying(2, 84), carrying(3, 0, "other")).sas is times.sas


def test_an_sa_that_another_connection_has_now_counts_for_that_one_alone() -> None:
    watch = SaWatch()
    look(watch, 0, carrying(2, 0))
    times = look(watch, 5, carrying(2, 0, "other"))
    assert set(times.idle) == {("other", ())}


def test_where_nothing_moves_nothing_is_compared_again() -> None:
    watch = SaWatch()
    before = look(watch, 0, ike(1, "site"), carrying(2, 84))
    after = look(watch, 5, ike(1, "site"), carrying(2, 84))
    assert (after.sas, after.idle) == (before.sas, before.idle)
    assert after.idle is before.idle
    assert after.answered == 1005.0
