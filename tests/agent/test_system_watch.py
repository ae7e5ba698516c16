# SPDX-License-Identifier: MIT
"""Tests of what the agent learns about units and sleep from the system bus."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import system_watch
from ipsecwatch.agent.machine import MachineEvent, Sleep, Unit, UnitState
from ipsecwatch.agent.system_watch import watch_system
from ipsecwatch.dbus.connection import connect
from tests.support.dbus_daemon import PrivateBus
from tests.support.fake_machine import LOGIND, machine, unit_path
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

RUNS = ("active", "running", "success")


@pytest.fixture(autouse=True)
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A bus on which a test may own systemd's name; for this process it is the system bus."""
    with PrivateBus(system=False) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        monkeypatch.setattr(system_watch, "RETRY", (0.1,))
        yield bus


@asynccontextmanager
async def watching() -> AsyncGenerator[list[MachineEvent]]:
    told: list[MachineEvent] = []
    task = asyncio.create_task(watch_system(told.append))
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])


def state(unit: Unit, *, active: bool = False, failed: bool = False) -> UnitState:
    return UnitState(unit, active, failed)


async def test_units_are_told_as_they_are_and_as_they_change() -> None:
    crashed = ("failed", "failed", "exit-code")
    async with machine(ipsec=RUNS, ipsecwatch=crashed) as fake, watching() as told:
        await until(lambda: len(told) == 2)
        assert told == [state(Unit.IPSEC, active=True), state(Unit.OURS, failed=True)]
        await fake.subscribed.wait()
        fake.become("ipsecwatch.service", "activating", "auto-restart", "signal")
        fake.become("ipsec.service", "inactive", "dead", "success")
        await until(lambda: len(told) == 3)
        assert told[2] == state(Unit.IPSEC)  # the other one fails as before
        fake.become("ipsecwatch.service", "active", "running", "success")
        await until(lambda: told[-1] == state(Unit.OURS, active=True))


async def test_a_change_right_after_a_unit_was_read_is_told() -> None:
    async with machine(ipsec=RUNS) as fake:
        fake.after_reading[unit_path("ipsec.service")] = ("failed", "failed", "signal")
        async with watching() as told:
            await until(lambda: state(Unit.IPSEC, failed=True) in told)


async def test_sleep_is_told_and_nobody_else_can_say_so() -> None:
    async with machine() as fake, watching() as told:
        await asyncio.wait_for(fake.subscribed.wait(), 10)
        stranger = await connect("system")
        stranger.signal(
            "/org/freedesktop/login1", f"{LOGIND}.Manager", "PrepareForSleep", "b", [True]
        )
        await stranger.flush(1)
        await stranger.close()
        fake.sleep(begins=True)
        fake.sleep(begins=False)
        await until(lambda: Sleep(asleep=False) in told)
    assert [e for e in told if isinstance(e, Sleep)] == [Sleep(asleep=True), Sleep(asleep=False)]


async def test_without_systemd_or_a_bus_nothing_is_told_and_it_goes_on(bus: PrivateBus) -> None:
    async with watching() as told:
        await asyncio.sleep(0.2)
        bus.stop()
        await asyncio.sleep(0.2)
        assert told == []
        bus.start()
        async with machine(ipsec=RUNS) as fake:
            bus.stop()
            await asyncio.sleep(0.1)
            assert not fake.subscribed.is_set()
