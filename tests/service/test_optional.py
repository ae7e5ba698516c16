# SPDX-License-Identifier: MIT
"""Tests of parts that the service can do without, on a clock that jumps."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

from ipsecwatch.service.optional import PAUSES, STEADY, OptionalPart
from tests.support import virtual_clock

if TYPE_CHECKING:
    import pytest


def test_a_part_that_fails_is_opened_again_later_and_later() -> None:
    async def play() -> list[float]:
        loop = asyncio.get_running_loop()
        opened: list[float] = []

        def open_() -> None:
            opened.append(loop.time())
            raise RuntimeError("no")

        part = OptionalPart("this part", open_)
        part.start()
        await asyncio.sleep(2000)
        part.stop()
        await asyncio.sleep(2000)
        return opened

    opened = virtual_clock.run(play())
    pauses = [b - a for a, b in pairwise(opened)]
    assert pauses[: len(PAUSES)] == list(PAUSES)
    assert set(pauses[len(PAUSES) :]) == {PAUSES[-1]}
    assert opened[-1] <= 2000, "it was stopped"


def test_a_part_that_was_well_for_long_begins_with_the_first_pause() -> None:
    async def play() -> list[float]:
        loop = asyncio.get_running_loop()
        opened: list[float] = []
        part = OptionalPart("this part", lambda: opened.append(loop.time()))
        for at in (0.0, 100.0, 100.0 + 2 * STEADY):
            await asyncio.sleep(at - loop.time())
            part.failed(RuntimeError("no"))
        await asyncio.sleep(1000)
        return opened

    last = 100.0 + 2 * STEADY
    assert virtual_clock.run(play()) == [PAUSES[0], 100.0 + PAUSES[1], last + PAUSES[0]]


def test_the_trace_of_an_error_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        def open_() -> None:
            raise RuntimeError("no")

        part = OptionalPart("this part", open_)
        part.start()
        await asyncio.sleep(100)
        part.stop()

    virtual_clock.run(play())
    assert len(caplog.records) > 3
    assert [bool(r.exc_info) for r in caplog.records] == [True] + [False] * (
        len(caplog.records) - 1
    )
    assert caplog.messages[0] == "this part failed; trying again in 1 s"
