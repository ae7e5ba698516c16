# SPDX-License-Identifier: MIT
"""Tests of follow-up polls: polls that come without a new event, on a clock that jumps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto.followups import Followups
from tests.support import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable

Act = tuple[float, str]


def played(*acts: Act) -> list[float]:
    """Call a method at each of these times, such as "wake"; return the times of follow-up polls."""
    looks: list[float] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        followups = Followups(lambda: looks.append(round(loop.time() - begun, 3)))
        do: dict[str, Callable[[], None]] = {
            "wake": followups.wake, "logged": followups.logged, "seen": followups.seen,
            "close": followups.close, "due at 9": lambda: followups.set_alarm(begun + 9),
            "nothing is due": lambda: followups.set_alarm(None),
            "was due at 1": lambda: followups.set_alarm(begun + 1),
        }  # fmt: skip
        for at, what in acts:
            await asyncio.sleep(begun + at - loop.time())
            do[what]()
        await asyncio.sleep(60)

    virtual_clock.run(play())
    return looks


@pytest.mark.parametrize("waker", ["wake", "logged"])
def test_a_waker_has_it_look_at_once_and_three_times_soon(waker: str) -> None:
    assert played((1, waker)) == [1, 1.25, 1.5, 2]


def test_a_waker_late_in_the_looks_after_another_has_its_own() -> None:
    assert played((0, "wake"), (0.9, "wake")) == [0, 0.25, 0.5, 0.9, 1.15, 1.4, 1.9]


def test_what_was_logged_is_looked_for_until_it_is_seen() -> None:
    assert played((0, "logged"), (0.3, "seen")) == [0, 0.25]
    assert played((0, "logged"), (0.3, "seen"), (5, "logged")) == [0, 0.25, 5, 5.25, 5.5, 6]


def test_of_the_kernels_word_only_a_part_may_have_been_seen() -> None:
    assert played((0, "wake"), (0.3, "seen")) == [0, 0.25, 0.5, 1]
    assert played((0, "wake"), (0.1, "logged"), (0.3, "seen")) == [0, 0.1, 0.35, 0.6, 1.1]
    # It is over then.
    assert played((0, "wake"), (5, "logged"), (5.1, "seen")) == [0, 0.25, 0.5, 1, 5]


def test_it_looks_when_something_is_due_and_once() -> None:
    assert played((0, "due at 9"), (3, "due at 9")) == [9]
    assert played((0, "due at 9"), (3, "nothing is due")) == []


def test_what_is_overdue_brings_no_look_forward() -> None:
    assert played((3, "was due at 1")) == []


def test_what_is_closed_looks_no_more() -> None:
    assert played((0, "wake"), (0, "due at 9"), (0.3, "close")) == [0, 0.25]
