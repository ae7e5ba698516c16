# SPDX-License-Identifier: MIT
"""Tests of how many unread bytes a user may have, and how its debt becomes smaller."""

from __future__ import annotations

from ipsecwatch.service.unread import (
    FLOOR,
    FORGIVE_EVERY,
    LARGEST_DEBT,
    MAX_REFUSALS,
    MAX_TOTAL,
    Unread,
)

ANN, BOB = 1000, 1001


def owing(snapshots: float, *, uid: int = ANN, connection: str = ":1.1") -> Unread:
    unread = Unread()
    unread.sent(uid, connection, int(snapshots * FLOOR), 0.0)
    return unread


def test_a_user_may_owe_eight_snapshots() -> None:
    assert LARGEST_DEBT == 8
    assert owing(7.9).may_answer(ANN, 0.0)
    assert not owing(8).may_answer(ANN, 0.0)
    assert owing(8).may_answer(BOB, 0.0)


def test_a_snapshot_counts_for_its_present_size() -> None:
    unread = owing(8)
    unread.snapshot = 2 * FLOOR
    assert unread.may_answer(ANN, 0.0)


def test_connections_of_one_user_count_together() -> None:
    unread = owing(4)
    unread.sent(ANN, ":1.2", 4 * FLOOR, 0.0)
    assert not unread.may_answer(ANN, 0.0)


def test_who_answers_has_read_what_he_was_sent_before_and_nothing_else() -> None:
    unread = owing(5)
    unread.sent(ANN, ":1.2", 3 * FLOOR, 0.0)
    assert unread.to_ask(ANN) == ":1.1"
    assert unread.to_ask(ANN) is None, "one question at a time"
    unread.sent(ANN, ":1.1", 2 * FLOOR, 0.0)
    unread.answered(ANN)
    assert unread.to_ask(ANN) == ":1.2"
    unread.answered(ANN, gone=True)
    assert unread.to_ask(ANN) == ":1.1"
    unread.answered(ANN)
    assert unread.worst() is None


def test_who_owes_little_is_not_asked() -> None:
    assert owing(0.5).to_ask(ANN) is None


def test_a_question_that_was_lost_is_asked_again() -> None:
    unread = owing(2)
    unread.to_ask(ANN)
    unread.not_asked(ANN)
    assert unread.to_ask(ANN) == ":1.1"


def test_only_so_many_refusals_are_sent() -> None:
    unread = owing(8)
    assert sum(unread.may_refuse(ANN, 0.0) for _ in range(1000)) == MAX_REFUSALS
    unread.to_ask(ANN)
    unread.answered(ANN)
    unread.sent(ANN, ":1.1", FLOOR, 0.0)
    assert unread.may_refuse(ANN, 0.0)


def test_refusals_alone_are_a_reason_to_ask() -> None:
    unread = owing(0.1)
    for _ in range(MAX_REFUSALS):
        unread.may_refuse(ANN, 0.0)
    assert unread.to_ask(ANN) == ":1.1"


def test_time_forgives_a_snapshot_a_minute() -> None:
    unread = owing(8)
    assert not unread.may_answer(ANN, FORGIVE_EVERY - 1)
    assert unread.may_answer(ANN, FORGIVE_EVERY)
    unread.sent(ANN, ":1.1", FLOOR, FORGIVE_EVERY)
    assert not unread.may_answer(ANN, FORGIVE_EVERY + 1)
    assert unread.may_answer(ANN, 100 * FORGIVE_EVERY)


def test_all_users_together_may_owe_half_of_what_a_bus_bears() -> None:
    unread = Unread()
    unread.snapshot = 8 << 20
    for uid in range(9):
        unread.sent(uid, f":1.{uid}", MAX_TOTAL // 8, 0.0)
    assert not unread.may_answer(0, 0.0)
    assert unread.may_answer(77, 0.0), "one who owes nothing is answered all the same"


def test_the_worst_reader_is_who_owes_most() -> None:
    unread = owing(1)
    unread.sent(BOB, ":1.9", 2 * FLOOR, 0.0)
    assert unread.worst() == BOB
    unread.clear()
    assert unread.worst() is None


def test_who_owes_nothing_any_more_is_not_the_worst_reader() -> None:
    unread = owing(1)
    unread.may_refuse(BOB, 0.0)
    assert unread.worst() == ANN
    assert unread.may_answer(ANN, 2 * FORGIVE_EVERY)
    assert unread.worst() is None
