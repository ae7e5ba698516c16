# SPDX-License-Identifier: MIT
"""Tests of NetworkManager's names for connections: with a fake one, none, and one that hangs."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.client import connection_names
from ipsecwatch.client.connection_names import (
    L2TP,
    LIBRESWAN,
    ConnectionNames,
    Known,
    called,
    is_uuid,
    names_of,
)
from tests.support import networkmanager
from tests.support.networkmanager import HOME, OFFICE, NetworkManager
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 20.0
"""A time limit in seconds that is enough on a busy machine."""


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkManager]:
    if why := networkmanager.missing():
        pytest.skip(why)
    with networkmanager.networkmanager(monkeypatch) as manager:
        yield manager


@pytest.mark.parametrize(
    ("name", "answer"),
    [(OFFICE, True), (OFFICE.upper(), True), ("office", False), (f"{OFFICE}[1]", False),
     (f"{OFFICE}\n", False), ("3c0cd0f46a394a5e9b0f5a1d0d1f0a01", False), ("", False)],
)  # fmt: skip
def test_names_that_may_be_networkmanagers_are_told_by_their_form(name: str, answer: bool) -> None:
    assert is_uuid(name) is answer


async def test_it_is_asked_for_uuids_and_its_plugins_are_told_apart(
    manager: NetworkManager,
) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    await manager.add(HOME, "<b>Zuhause</b>\n\x1b[2J", networkmanager.L2TP)
    other = "00000000-0000-4000-8000-000000000001"
    await manager.add(other, "Café", kind="802-11-wireless")
    nobodys = "00000000-0000-4000-8000-000000000002"
    assert await names_of([OFFICE, "site", nobodys, HOME, other], LONG) == {
        OFFICE: Known(OFFICE, "Office", LIBRESWAN),
        HOME: Known(HOME, r"<b>Zuhause</b>\x0a\x1b[2J", L2TP),
        other: Known(other, "Café", ""),
    }
    # Only VPNs are found by name.
    assert await called(["Café"], LONG) == []
    await manager.add("00000000-0000-4000-8000-000000000003", "Office", networkmanager.L2TP)
    assert [known.uuid for known in await called(["Office"], LONG)] == [
        "00000000-0000-4000-8000-000000000003",
        OFFICE,
    ]


async def test_each_is_asked_for_once_until_it_is_gone(manager: NetworkManager) -> None:
    found: list[Known] = []
    names = ConnectionNames(found.extend)
    await manager.runs()
    await manager.add(OFFICE, "Office")
    names.keep([OFFICE, "site"])
    await until(lambda: bool(found))
    names.keep([OFFICE])
    names.keep([])
    assert names.known == {}
    names.keep([OFFICE])
    await until(lambda: len(found) == 2)
    assert names.known == {OFFICE: Known(OFFICE, "Office", LIBRESWAN)}
    await names.aclose()


async def test_one_that_hangs_is_not_waited_for(manager: NetworkManager) -> None:
    await manager.runs()
    manager.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    assert await names_of([OFFICE]) == {}
    assert await called(["Office"]) == []
    assert time.monotonic() - began < 10 * connection_names.BRIEF
    names = ConnectionNames(lambda _: None)
    names.keep([OFFICE])
    await asyncio.sleep(0.1)
    await names.aclose()


@pytest.mark.usefixtures("system_bus")
async def test_without_networkmanager_there_are_no_names() -> None:
    assert await names_of([OFFICE], LONG) == {}
    assert await called(["Office"], LONG) == []


async def test_without_a_bus_there_are_no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    assert await names_of([OFFICE], LONG) == {}
