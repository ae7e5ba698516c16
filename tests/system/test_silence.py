# SPDX-License-Identifier: MIT
"""Tests that a local user can neither silence the service for others nor make them wait.

Unread answers to a user's calls fill the bus's limit for the service: unread.py prevents that.
Messages that take long to unpack aren't unpacked (frames.py).
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import client
from ipsecwatch.client.events import Change
from ipsecwatch.client.views import Snapshot
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.service import bus as bus_module
from ipsecwatch.service import unread
from ipsecwatch.tunnel import TunnelState
from tests.support import attacks, dbus_broker, dbus_daemon
from tests.support.bus_process import BusProcess
from tests.support.bus_service import MANAGER, NAME, ROOT, calling
from tests.support.dbus_broker import PrivateBroker
from tests.support.dbus_daemon import PrivateBus
from tests.support.following import Following, following
from tests.support.other_user import NOBODY, OtherUser
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

UP, DOWN = TunnelState.UP, TunnelState.DOWN
TUNNELS = 100
BYSTANDER = 1
"""The id of another user (daemon), who does nothing wrong. The bus accepts only users in passwd."""
LEARNT = 10.0
"""After how many seconds each subscriber must know a transition."""

pytestmark = [
    pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user"),
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.timeout(900),  # an attack of ten minutes, and what is around it
]


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """How many seconds one attack lasts: with --bed=full, ten minutes."""
    return 600.0 if request.config.getoption("--bed") == "full" else 15.0


@pytest.fixture(params=["dbus-daemon", "dbus-broker"])
def bus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    brokered = request.param == "dbus-broker"
    if why := dbus_broker.missing() if brokered else dbus_daemon.missing():
        pytest.skip(why)
    # This bus allows less unread data than usual (127 MiB): else it would take a minute to silence
    # us.
    limits = {"max_incoming_bytes": 16 << 20}
    with PrivateBroker() if brokered else PrivateBus(system=True, limits=limits) as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        yield made


async def wait_of_a_bystander() -> float:
    """Return how many seconds a user waits for a snapshot, on a connection of its own."""
    began = time.monotonic()
    while True:
        try:
            await client.snapshot(within=30.0)
        except client.ServiceUnavailableError:  # the service is connecting to the bus again
            if time.monotonic() - began > 30:
                raise
            await asyncio.sleep(0.1)
        else:
            return time.monotonic() - began


@asynccontextmanager
async def life(waits: dict[str, list[float]]) -> AsyncIterator[BusProcess]:
    """Make tunnels go down and up; measure how long a subscriber, root and a bystander wait."""
    with BusProcess() as service, OtherUser(BYSTANDER) as bystander:
        await service.look(TUNNELS)
        async with following() as follow:
            await follow.seen(Snapshot)

            over = asyncio.Event()

            async def live() -> None:
                while not over.is_set():
                    for state in (DOWN, UP):
                        began = time.monotonic()
                        told = await service.become(state, 1)
                        await until(lambda: newest(follow) >= told.serial)  # noqa: B023
                        waits["learnt"].append(time.monotonic() - began)
                        began = time.monotonic()
                        await answered_to_root()
                        waits["root"].append(time.monotonic() - began)
                        waits["bystander"].append(await bystander.run(wait_of_a_bystander))
                        await asyncio.sleep(0.2)

            living = asyncio.create_task(live())
            try:
                yield service
            finally:
                over.set()
                await living  # so that the last waits are measured, too


def newest(follow: Following) -> int:
    changes, snapshots = follow.of(Change), follow.of(Snapshot)
    serials: list[int] = [e.serial for e in (*changes[-1:], *snapshots[-1:])]
    return max(serials, default=0)


async def answered_to_root() -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                # A bus with so many busy clients reads only some kilobytes a second from each.
                async with calling() as caller:
                    await caller.connection.call(NAME, ROOT, MANAGER, "GetSnapshot", within=30.0)
                    return
            except BusError:
                await asyncio.sleep(0.1)


def report(what: str, count: int, seconds: float, waits: dict[str, list[float]]) -> None:
    told = ", ".join(f"{who} {max(w):.2f} s of {len(w)}" for who, w in waits.items())
    print(f"{what}: {count} messages in {seconds:.0f} s; longest waits: {told}")


@pytest.mark.parametrize("connections", [2, 120])
async def test_whoever_asks_and_never_reads_silences_nobody(
    bus: PrivateBus, connections: int, seconds: float
) -> None:
    waits: dict[str, list[float]] = {"learnt": [], "root": [], "bystander": []}
    with OtherUser(NOBODY) as attacker:
        async with life(waits) as service:
            before = await service.figures()
            count = await attacker.run(attacks.introspect_and_never_read, "", connections, seconds)
            after = await service.figures()
    report(f"{connections} connections that never read", count, seconds, waits)
    assert max(waits["learnt"]) < LEARNT
    # A bus with so many busy clients needs some time to deliver a snapshot, whoever sends it. And a
    # client of dbus-broker whose call came before the name moved, and who doesn't call again, as
    # root does here, waits until the attackers are disconnected.
    answered = LEARNT if connections == 2 else 3 * LEARNT
    assert max(waits["root"] + waits["bystander"]) < answered
    if isinstance(bus, PrivateBroker):
        assert max(waits["bystander"]) < 2.0
    assert after.memory - before.memory < 20 << 20


async def test_bodies_that_take_long_to_unpack_make_nobody_wait(bus: PrivateBus) -> None:
    waits: dict[str, list[float]] = {"learnt": [], "root": [], "bystander": []}
    with OtherUser(NOBODY) as attacker:
        async with life(waits) as service:
            count = await attacker.run(attacks.send_costly_bodies, "", 5.0)
            figures = await service.figures()
    report("costly bodies", count, 5.0, waits)
    assert count > 20
    # The bus needs up to 3 s for megabytes of others in its own queue, however fast the service
    # reads.
    assert max(waits["root"] + waits["bystander"]) < 6.0
    assert max(waits["learnt"]) < 1.0
    assert figures.busy < 0.2


async def test_a_bus_that_reads_nothing_any_more_is_left_for_a_new_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the service answers everybody, whatever is unread: so it could be silenced before."""
    if why := dbus_daemon.missing():
        pytest.skip(why)
    monkeypatch.setattr(unread, "LARGEST_DEBT", 1 << 30)
    monkeypatch.setattr(unread, "MAX_TOTAL", 1 << 60)
    monkeypatch.setattr(unread, "MAX_REFUSALS", 1 << 30)
    monkeypatch.setattr(bus_module, "STALLED", 1.0)
    waits: dict[str, list[float]] = {"learnt": [], "root": [], "bystander": []}
    with PrivateBus(system=True, limits={"max_incoming_bytes": 4 << 20}) as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        with OtherUser(NOBODY) as attacker:
            async with life(waits) as service:
                count = await attacker.run(attacks.introspect_and_never_read, "", 2, 8.0)
                blocked = (await service.figures()).blamed
    report("without an account of what is unread", count, 8.0, waits)
    assert NOBODY in blocked
    assert max(waits["learnt"]) < LEARNT
