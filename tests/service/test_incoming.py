# SPDX-License-Identifier: MIT
"""Tests of how our name moves to a new connection while messages to us wait too long in the bus."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch import client
from ipsecwatch.client import Change, Snapshot
from ipsecwatch.service import bus as bus_module
from ipsecwatch.service import incoming
from ipsecwatch.service.incoming import LeftBehind, is_dbus_broker, overrun
from ipsecwatch.tunnel import TunnelState
from tests.support import dbus_broker
from tests.support.bus_service import MANAGER, NAME, ROOT, calling, serving
from tests.support.dbus_broker import PrivateBroker
from tests.support.following import assert_consistent, following
from tests.support.slow_bus import FakeLeftBehind, OvertakenBus
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.bus_service import Caller, Service
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN = TunnelState.UP, TunnelState.DOWN


@pytest.fixture(autouse=True)
def brokered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the service take every bus for a dbus-broker."""

    async def is_one(_: object) -> bool:
        return True

    monkeypatch.setattr(bus_module, "is_dbus_broker", is_one)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """An event that a test sets, so that the service concludes that too much waits in the bus."""
    event = asyncio.Event()

    async def is_full(*_: object) -> None:
        await event.wait()
        event.clear()

    monkeypatch.setattr(bus_module, "overrun", is_full)
    return event


async def owner(caller: Caller) -> str:
    """Return the unique name of the connection that has the service's name."""
    reply = await caller.connection.call_bus("GetNameOwner", "s", NAME)
    return str(reply.body[0])


async def nobody_has_the_name(caller: Caller) -> None:
    """Wait until nobody owns the service's name on the bus any more."""
    async with asyncio.timeout(5):
        has_owner = True
        while has_owner:
            reply = await caller.connection.call_bus("NameHasOwner", "s", NAME)
            has_owner = reply.body[0]
            await asyncio.sleep(0.01)


async def pass_on(service: Service, caller: Caller, full: asyncio.Event) -> None:
    """Make the service move its name to its spare connection, and wait until that is done."""
    before = await owner(caller)
    await until(lambda: service.bus._waiting)
    full.set()
    async with asyncio.timeout(10):
        while await owner(caller) == before:  # noqa: ASYNC110 - the bus is asked
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("system_bus")
async def test_a_follower_misses_nothing_when_the_name_passes_on(full: asyncio.Event) -> None:
    async with serving() as service, calling() as caller, following() as follow:
        await service.look(tunnel("office", UP))
        await follow.seen(Snapshot)
        for _ in range(5):
            await service.become(tunnel("office", DOWN))
            await pass_on(service, caller, full)
            await service.become(tunnel("office", UP))
        await until(lambda: [e.serial for e in follow.of(Change)][-1:] == [10])
    assert_consistent(follow.events)
    assert "Lost" not in follow.kinds()[:-1]  # the last one is the service's end


@pytest.mark.usefixtures("system_bus")
async def test_nobody_has_the_name_when_the_service_has_left(full: asyncio.Event) -> None:
    async with calling() as caller:
        async with serving() as service:
            await pass_on(service, caller, full)
            await until(lambda: service.bus._waiting)
        await nobody_has_the_name(caller)


@pytest.mark.usefixtures("system_bus")
async def test_a_service_that_leaves_while_it_prepares_for_that_leaves_nothing_behind() -> None:
    async with calling() as caller:
        for n in range(30):
            async with serving():
                await asyncio.sleep(n / 5000)
            await nobody_has_the_name(caller)


@pytest.mark.usefixtures("system_bus")
async def test_who_asked_before_is_answered_on_the_connection_left_behind(
    full: asyncio.Event,
) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office", UP))
        service.may_refresh.clear()
        asked = asyncio.create_task(
            caller.connection.call(NAME, ROOT, MANAGER, "Refresh", within=30.0)
        )
        before = await owner(caller)
        await asyncio.sleep(0.1)
        await pass_on(service, caller, full)
        service.bus._left.read(calm=True)
        service.may_refresh.set()
        assert (await asked).sender == before
        await until(lambda: not service.bus._left.names)


@pytest.mark.usefixtures("system_bus")
async def test_who_waits_for_a_snapshot_asks_again_when_the_name_passes_on(
    full: asyncio.Event,
) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office", UP))
        await until(lambda: service.bus._waiting)
        assert service.bus._connection is not None
        service.bus._connection.pause()  # as if thousands of calls came before
        asked = asyncio.create_task(client.snapshot(within=30.0))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await pass_on(service, caller, full)
        async with asyncio.timeout(5):
            assert (await asked).tunnels


@pytest.mark.usefixtures("system_bus")
async def test_a_follower_asks_again_when_the_name_passes_on(full: asyncio.Event) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office", UP))
        await until(lambda: service.bus._waiting)
        assert service.bus._connection is not None
        service.bus._connection.pause()
        async with following() as follow:
            await asyncio.sleep(0.2)
            assert not follow.events
            await pass_on(service, caller, full)
            async with asyncio.timeout(5):
                await follow.seen(Snapshot)


async def test_a_dbus_broker_is_told_from_a_dbus_daemon(system_bus: PrivateBus) -> None:
    async with calling() as caller:
        assert not await is_dbus_broker(caller.connection)
    if why := dbus_broker.missing():
        pytest.skip(why)
    system_bus.stop()
    with PrivateBroker() as broker, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", broker.address)
        async with calling() as caller:
            assert await is_dbus_broker(caller.connection)


async def decided(bus: Any, quiet: Any = None, left: Any = None) -> bool:  # noqa: ANN401
    """Return whether overrun() decides within 0.5 s that too much waits."""
    try:
        async with asyncio.timeout(0.5):
            spare: Any = quiet or OvertakenBus()
            await overrun(bus, lambda: spare, left or LeftBehind(lambda _: False))
    except TimeoutError:
        return False
    return True


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAG", "EVERY"):
        monkeypatch.setattr(incoming, name, 0.01)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("answers", "others_send", "quiet_answers", "ready", "expected"),
    [
        (True, True, True, 0, False),
        (False, False, True, 0, False),
        (False, True, False, 0, False),
        (False, True, True, 100_000, False),
        (False, True, True, 0, True),
    ],
    ids=["quick", "silent", "slow for all", "faster than we read", "with a queue for us"],
)
async def test_a_bus_with_a_queue_for_us_is_told_from_others(
    answers: bool, others_send: bool, quiet_answers: bool, ready: int, expected: bool
) -> None:
    bus, quiet = OvertakenBus(), OvertakenBus()
    bus.answers, bus.others_send, bus.ready = answers, others_send, ready
    quiet.answers = quiet_answers
    assert await decided(bus, quiet) is expected
    assert bus.asked


@pytest.mark.usefixtures("quick")
async def test_a_question_that_stands_behind_our_own_answers_says_nothing() -> None:
    bus = OvertakenBus()
    bus.answers, bus.in_flight = False, 1 << 20
    assert not await decided(bus)


@pytest.mark.usefixtures("quick")
async def test_a_connection_that_is_lost_ends_the_watch() -> None:
    bus = OvertakenBus()
    bus.lost = True
    assert await decided(bus)


@pytest.mark.usefixtures("quick")
async def test_what_was_left_behind_is_read_where_there_is_time() -> None:
    bus, left = OvertakenBus(), FakeLeftBehind(full=False)
    assert not await decided(bus, left=left)
    assert set(left.calm) == {True}
    bus.answers, left.calm = False, []
    assert await decided(bus, left=left)
    assert left.calm == [False]


@pytest.mark.usefixtures("quick")
async def test_no_more_than_so_many_connections_are_left_behind() -> None:
    bus = OvertakenBus()
    bus.answers = False
    assert not await decided(bus, left=FakeLeftBehind(full=True))
