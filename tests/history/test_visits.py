# SPDX-License-Identifier: MIT
"""Tests of which clients of a template came and went."""

from __future__ import annotations

import pytest

from ipsecwatch.history.visits import Visit, visits_of
from ipsecwatch.tunnel import Reason
from tests.support.diary import NOON, Diary


@pytest.fixture
def diary() -> Diary:
    made = Diary()
    made.began(0)
    return made


def visits(diary: Diary) -> list[Visit]:
    return visits_of(diary.timelines.values())


def came(diary: Diary, at: float, name: str, user: str) -> None:
    diary.change(at, "down", "up", name=name, listed="new", user=user)


def went(diary: Diary, at: float, name: str, reason: Reason = Reason.PEER_DELETED) -> None:
    diary.change(at, "up", "down", reason, name, listed="gone")


def test_a_client_is_there_from_when_it_came_until_it_went(diary: Diary) -> None:
    came(diary, 100, "rw[1]", "ann")
    came(diary, 110, "rw[2]", "bob")
    went(diary, 200, "rw[1]")
    came(diary, 250, "rw[1]", "cy")
    diary.ended(300)
    assert [(v.user, v.tunnel, v.came - NOON, v.went and v.went - NOON) for v in visits(diary)] == [
        ("ann", "rw[1]", 100, 200),
        ("bob", "rw[2]", 110, None),
        ("cy", "rw[1]", 250, None),
    ]
    ann, bob, _ = visits(diary)
    assert (ann.reason, ann.peer, ann.seconds) == (Reason.PEER_DELETED, "192.0.2.7", 100)
    assert bob.last == NOON + 300


def test_a_restart_of_the_service_ends_no_visit(diary: Diary) -> None:
    came(diary, 100, "rw[1]", "ann")
    diary.ended(200)
    diary.began(210, "2", "1")
    went(diary, 300, "rw[1]")
    diary.ended(400)
    (visit,) = visits(diary)
    assert (visit.went, visit.seconds) == (NOON + 300, 190)


def test_who_was_there_before_a_reboot_went_unseen(diary: Diary) -> None:
    came(diary, 100, "rw[1]", "ann")
    diary.boot_ends(200)
    diary.reboot("b", 1000)
    diary.began(10, "2")
    diary.found(10, "up", "rw[1]", "bob")
    diary.ended(100)
    ann, bob = visits(diary)
    assert (ann.went, ann.last, ann.came_seen) == (None, NOON + 200, True)
    assert (bob.user, bob.came_seen) == ("bob", False)


def test_a_tunnel_without_a_user_is_nobodys_visit(diary: Diary) -> None:
    diary.found(10, "up")
    diary.ended(100)
    assert visits(diary) == []
