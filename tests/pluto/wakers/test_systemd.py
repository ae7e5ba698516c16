# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.pluto.wakers.systemd import SystemdWatch
from tests.support.fake_systemd import SYSTEMD, UNIT_PATH, systemd
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus


@pytest.fixture
def bus(session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch) -> PrivateBus:
    """A bus on which everybody may own systemd's name; for this process it is the system bus."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", session_bus.address)
    return session_bus


async def test_a_unit_that_stops_or_starts_wakes_and_is_known(bus: PrivateBus) -> None:
    woken: list[int] = []
    async with systemd() as manager:
        watch = SystemdWatch("ipsec.service", lambda: woken.append(1))
        watch.open()
        await until(lambda: watch.inactive is False)
        assert woken == []
        for state, inactive in (("deactivating", False), ("inactive", True), ("active", False)):
            manager.become(state)
            await until(lambda inactive=inactive: watch.inactive is inactive)  # type: ignore[misc]
        assert len(woken) == 2
        watch.close()
        await watch.wait_closed()


async def test_a_unit_that_was_inactive_for_a_moment_is_known_to_have_been(
    bus: PrivateBus,
) -> None:
    clock = asyncio.get_running_loop().time
    woken: list[int] = []
    async with systemd() as manager:
        watch = SystemdWatch("ipsec.service", lambda: woken.append(1))
        watch.open()
        await until(lambda: watch.inactive is False)
        before = clock()
        assert not watch.was_inactive(before)
        for state in ("failed", "activating"):
            manager.become(state)
        await until(lambda: len(woken) == 2)
        assert watch.inactive is False
        assert watch.was_inactive(before)
        assert not watch.was_inactive(clock())
        manager.become("inactive")
        await until(lambda: watch.was_inactive(clock()))
        watch.close()
        await watch.wait_closed()


async def test_a_unit_that_there_is_not_is_not_inactive(bus: PrivateBus) -> None:
    async with systemd("") as manager:
        watch = SystemdWatch("ipsec.service", lambda: None)
        watch.open()
        await asyncio.wait_for(manager.subscribed.wait(), 30)
        manager.become("activating")  # it is installed now
        await until(lambda: watch.inactive is False)
        assert not watch.was_inactive(float("-inf"))
        watch.close()
        await watch.wait_closed()


async def test_a_unit_that_is_inactive_while_pluto_answers_says_nothing(bus: PrivateBus) -> None:
    watch = SystemdWatch("ipsec.service", lambda: None)
    clock = asyncio.get_running_loop().time
    asked_before = clock()
    async with systemd("inactive") as manager:
        watch.open()
        await until(lambda: watch.inactive)
        watch.answered(asked_before)  # it may have stopped since
        assert watch.was_inactive(clock())
        watch.answered(clock())
        assert not watch.was_inactive(float("-inf"))
        manager.become("active")
        await until(lambda: watch.runs_pluto)
        manager.become("inactive")
        await until(lambda: watch.was_inactive(clock()))
        watch.close()
        await watch.wait_closed()


WHOSE: dict[str, tuple[str, int, str]] = {
    "the unit's own": ("ipsec.service", 40, "ipsec.service"),
    "the unit's, behind a script": ("ipsec.service", 30, "ipsec.service"),
    "another unit's own": ("vpn@red.service", 40, "vpn@red.service"),
    "NetworkManager's": ("NetworkManager.service", 30, ""),
    "a container's": ("docker-0123.scope", 0, ""),
}


@pytest.mark.parametrize("whose", WHOSE)
async def test_the_unit_that_runs_pluto_is_known_by_its_process(
    bus: PrivateBus, whose: str
) -> None:
    name, main, unit = WHOSE[whose]
    clock = asyncio.get_running_loop().time
    async with systemd() as manager:
        manager.units[40] = name, main
        watch = SystemdWatch("ipsec.service", lambda: None)
        assert watch.unit == ""
        watch.open()
        await watch.known(30)
        assert watch.unit == "ipsec.service"
        watch.answered(clock(), [39, 40])
        await until(lambda: watch._looking is not None and watch._looking.done())
        assert watch.unit == unit
        # If pluto runs in another unit, the end of ipsec.service means nothing.
        manager.become("inactive")
        await until(lambda: watch.inactive)
        assert watch.was_inactive(float("-inf")) is (name == "ipsec.service")
        manager.become("active")  # as systemctl start ipsec, which may take its place
        await until(lambda: watch.unit == "ipsec.service")
        watch.answered(clock(), [41])  # this process id belongs to no unit
        await until(lambda: watch._looking is not None and watch._looking.done())
        assert watch.unit == "ipsec.service"
        watch.close()
        await watch.wait_closed()


@pytest.mark.parametrize("load", ["not-found", "masked", "loaded"])
async def test_a_unit_that_can_not_be_started_is_not_named(bus: PrivateBus, load: str) -> None:
    async with systemd("inactive") as manager:
        manager.load = load
        watch = SystemdWatch("ipsec.service", lambda: None)
        watch.open()
        await watch.known(30)
        assert watch.unit == ("ipsec.service" if load == "loaded" else "")
        watch.close()
        await watch.wait_closed()


async def test_where_there_is_no_bus_nobody_waits_and_no_unit_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    watch = SystemdWatch("ipsec.service", lambda: None)
    watch.open()
    async with asyncio.timeout(20):
        await watch.known(30)
    assert watch.unit == ""
    watch.close()
    await watch.wait_closed()


async def test_a_unit_that_is_inactive_when_it_is_first_seen_wakes(bus: PrivateBus) -> None:
    woken: list[int] = []
    async with systemd("inactive"):
        watch = SystemdWatch("ipsec.service", lambda: woken.append(1))
        watch.open()
        await until(lambda: woken)
        watch.close()
        await watch.wait_closed()


async def test_the_end_of_sleep_wakes_and_its_begin_does_not(bus: PrivateBus) -> None:
    woken: list[int] = []
    async with systemd() as manager:
        watch = SystemdWatch("ipsec.service", lambda: woken.append(1))
        watch.open()
        await until(lambda: watch.inactive is False)
        manager.sleep(begins=True)
        manager.sleep(begins=False)
        await until(lambda: woken)
        assert woken == [1]
        watch.close()
        await watch.wait_closed()


async def test_a_signal_that_is_not_systemds_is_not_believed(bus: PrivateBus) -> None:
    woken: list[int] = []
    async with systemd() as manager:
        watch = SystemdWatch("ipsec.service", lambda: woken.append(1))
        watch.open()
        await until(lambda: watch.inactive is False)
        forger = await connect("system")
        forger.signal(
            UNIT_PATH,
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
            "sa{sv}as",
            [f"{SYSTEMD}.Unit", {"ActiveState": Variant("s", "failed")}, []],
        )
        await forger.flush(1.0)
        manager.sleep(begins=False)
        await until(lambda: woken)
        assert watch.inactive is False
        await forger.close()
        watch.close()
        await watch.wait_closed()


async def test_a_bus_that_is_lost_is_found_again(bus: PrivateBus) -> None:
    watch = SystemdWatch("ipsec.service", lambda: None)
    watch.open()
    async with systemd("inactive"):
        await until(lambda: watch.inactive is True, within=20)
    bus.stop()
    await until(lambda: watch.inactive is None)
    bus.start()
    async with systemd("active"):
        await until(lambda: watch.inactive is False, within=20)
    watch.close()
    await watch.wait_closed()
    assert len(asyncio.all_tasks()) == 1
