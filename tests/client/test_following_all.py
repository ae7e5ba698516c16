# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch import client
from ipsecwatch.client import Change, Lost, Snapshot, following_all
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.names import request_name
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import serving
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.client import Event
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN = TunnelState.UP, TunnelState.DOWN

pytestmark = pytest.mark.usefixtures("system_bus")


class Seen:
    """All events that a follower of all services has received, by instance."""

    def __init__(self) -> None:
        self.events: dict[str, list[Event]] = {}

    async def run(self) -> None:
        async with aclosing(client.follow_all()) as events:
            async for told in events:
                self.events.setdefault(told.instance, []).append(told.event)

    def last(self, instance: str) -> Any:  # noqa: ANN401
        return self.events.get(instance, [None])[-1]

    async def until(self, instance: str, kind: type[Event]) -> None:
        await until(lambda: isinstance(self.last(instance), kind))


@asynccontextmanager
async def following_all_services() -> AsyncGenerator[Seen]:
    seen = Seen()
    task = asyncio.create_task(seen.run())
    try:
        yield seen
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5.0)
        assert done, "the follower didn't end"
        if not task.cancelled() and (error := task.exception()):
            raise error


async def test_those_that_are_there_are_followed_and_those_that_come_and_go() -> None:
    async with serving("run-1", "acme") as acme, following_all_services() as seen:
        await seen.until("acme", Snapshot)
        await seen.until("", Lost)
        async with serving("run-2") as plain, serving("run-3", "other") as other:
            for service in acme, plain, other:
                await service.look(tunnel("office"))
            for instance, run in (("", "run-2"), ("other", "run-3")):
                await seen.until(instance, Snapshot)
                assert seen.last(instance).run_id == run
            await other.become(tunnel("office", UP))
            await seen.until("other", Change)
            assert (seen.last("other").name, seen.last("other").new) == ("office", UP)
            assert not isinstance(seen.last("acme"), Change)
        await seen.until("other", Lost)
        assert seen.last("other").why == "ipsecwatch@other isn't running"
        async with serving("run-4", "other"):
            await seen.until("other", Snapshot)
    assert set(seen.events) == {"", "acme", "other"}


async def test_other_names_below_ours_are_no_services() -> None:
    connection = await connect("system")
    async with following_all_services() as seen, serving("run-1", "acme"):
        for name in ("socket.s1", "Agent", "acme.more"):
            assert await request_name(connection, f"org.ipsecwatch1.{name}")
        await seen.until("acme", Snapshot)
    await connection.close()
    assert set(seen.events) == {"", "acme"}


async def test_all_are_followed_again_after_the_bus_has_gone(system_bus: PrivateBus) -> None:
    async with following_all_services() as seen:
        async with serving("run-1", "acme"):
            await seen.until("acme", Snapshot)
        system_bus.stop()
        await seen.until("acme", Lost)
        system_bus.start()
        async with serving("run-2", "acme"), serving("run-3", "new"):
            await seen.until("acme", Snapshot)
            await seen.until("new", Snapshot)


async def all_events() -> list[client.InstanceEvent]:
    async with aclosing(client.follow_all()) as events:
        return [event async for event in events]


async def test_a_fault_of_ours_ends_the_follower_instead_of_silencing_one_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(instance: str = "") -> AsyncGenerator[Event]:
        yield Lost(instance)
        raise ZeroDivisionError

    monkeypatch.setattr(following_all, "follow", fails)
    with pytest.raises(ZeroDivisionError):
        await all_events()
