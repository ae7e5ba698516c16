# SPDX-License-Identifier: MIT
"""Tests of calls whose user the bus hasn't named yet, on a fake connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ipsecwatch.dbus.messages import Call
from ipsecwatch.service import admission
from ipsecwatch.service.admission import MAX_KEPT, Admission
from ipsecwatch.service.unread import MAX_REFUSALS
from tests.support.slow_bus import SlowBus
from tests.support.waiting import until

ANN = 1000


def call(serial: int = 1) -> Call:
    return Call(":1.9", serial, "/", None, "Ping", "", [], wants_reply=True, interactive=False)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "LOOKUP", (0.01, 0.02))


async def test_who_asked_is_not_given_up_because_the_bus_is_slow_to_say_who_he_is() -> None:
    bus: Any = SlowBus(ANN, late=0.2)
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asked = Admission()
    asked.use(bus)
    asked.admit(bus, call(), answered.set_result)
    async with asyncio.timeout(5):
        assert await answered == ANN
    assert bus.asked == 1, "to ask again makes a slow bus slower"


async def test_the_newest_connection_is_asked_who_a_caller_is() -> None:
    stuck: Any = SlowBus(ANN, late=1000.0)
    new: Any = SlowBus(ANN, late=0.0)
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asked = Admission()
    asked.use(stuck)
    asked.admit(stuck, call(), answered.set_result)
    await asyncio.sleep(0)
    asked.use(new)
    async with asyncio.timeout(5):
        assert await answered == ANN
    asked.forget()


async def test_a_caller_stays_known_of_when_the_connection_that_asked_first_is_lost() -> None:
    old: Any = SlowBus(ANN, late=1000.0)
    new: Any = SlowBus(ANN, late=0.2)
    answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asked = Admission()
    asked.use(old)
    asked.admit(old, call(), answered.set_result)
    await asyncio.sleep(0)
    asked.use(new)
    await until(lambda: new.asked)
    old.lost.set()
    async with asyncio.timeout(5):
        assert await answered == ANN


async def test_an_unknown_caller_is_sent_few_refusals_and_then_ignored() -> None:
    bus: Any = SlowBus(ANN, late=1000.0)
    asked = Admission()
    asked.use(bus)
    taken = 0
    for serial in range(10 * MAX_KEPT):
        if not asked.ignores(":1.9"):
            asked.admit(bus, call(serial + 1), lambda _: None)
            taken += 1
    assert taken == MAX_KEPT + MAX_REFUSALS
    assert len(bus.errors) == MAX_REFUSALS
    asked.forget()
