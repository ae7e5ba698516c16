# SPDX-License-Identifier: MIT
"""Tests of what a new snapshot, or an event, changes in what was known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.cli.monitor.catching_up import KnownTunnels
from ipsecwatch.client import Lost
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import TunnelState
from tests.support.fake_events import Story

STATES = [state.value for state in TunnelState]


def told(known: KnownTunnels, story: Story, run_id: str, **states: str) -> list[tuple[str, ...]]:
    found = known.apply(story.look(run_id, **states), 5.0)
    return [(t.name, t.old.value, t.new.value, t.told or "") for t in found]


def test_the_first_picture_is_no_news() -> None:
    assert told(KnownTunnels(), Story(), "one", a="up", b="stuck") == []


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        ("up", "up", []),
        ("up", "down", [("a", "up", "down", "down")]),
        ("up", "stuck", [("a", "up", "stuck", "down")]),
        ("up", "partial", [("a", "up", "partial", "")]),
        ("partial", "connecting", [("a", "partial", "connecting", "down")]),
        ("connecting", "stuck", [("a", "connecting", "stuck", "stuck")]),
        ("waiting", "up", [("a", "waiting", "up", "up")]),
        ("up", "unknown", [("a", "up", "unknown", "")]),
    ],
)
def test_a_later_picture_tells_what_is_another_way(
    before: str, after: str, news: list[tuple[str, ...]]
) -> None:
    known, story = KnownTunnels(), Story()
    told(known, story, "one", a=before)
    known.apply(Lost("gone"), 1.0)
    assert told(known, story, "two", a=after) == news
    assert told(known, story, "three", a=after) == []


def test_unknown_comes_between_without_hiding_what_was_lost() -> None:
    known, story = KnownTunnels(), Story()
    told(known, story, "one", a="up")
    known.apply(story.become("a", "unknown"), 1.0)
    assert told(known, story, "two", a="down") == [("a", "unknown", "down", "down")]


def test_what_comes_and_goes_between_two_pictures_is_told() -> None:
    known, story = KnownTunnels(), Story()
    told(known, story, "one", a="up", b="down")
    assert told(known, story, "two", c="up") == [
        ("a", "up", "down", "down"), ("c", "down", "up", "up"),
    ]  # fmt: skip
    assert known.gone == {"a", "b"}


def test_transitions_that_nobody_saw_are_counted() -> None:
    known, story = KnownTunnels(), Story()
    told(known, story, "one", a="up", b="up")
    story.serial = 7
    told(known, story, "one", a="up", b="down")
    assert known.missed == 6
    known.apply(story.become("a", "down"), 1.0)
    story.serial = 2
    told(known, story, "two", a="down", b="down")
    assert known.missed == 2


def test_without_pluto_what_is_not_listed_is_unknown() -> None:
    known, story = KnownTunnels(), Story()
    told(known, story, "one", a="up")
    story.pluto = PlutoState.UNREACHABLE
    assert told(known, story, "two") == [("a", "up", "unknown", "")]
    assert known.views["a"].state is TunnelState.UNKNOWN
    story.pluto = PlutoState.RUNNING
    assert told(known, story, "three", a="down") == [("a", "unknown", "down", "down")]


PICTURES = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(STATES)), min_size=1, max_size=8
)


@given(PICTURES)
def test_who_adds_up_what_is_told_knows_the_last_picture(pictures: list[dict[str, str]]) -> None:
    known, story = KnownTunnels(), Story()
    told(known, story, "run-0", **pictures[0])
    sum_ = dict(pictures[0])
    for number, picture in enumerate(pictures[1:], 1):
        for name, old, new, _ in told(known, story, f"run-{number}", **picture):
            assert sum_.get(name, "down") == old
            sum_[name] = new
    last = pictures[-1]
    assert {n: s for n, s in sum_.items() if s != "down"} == {
        n: s for n, s in last.items() if s != "down"
    }
