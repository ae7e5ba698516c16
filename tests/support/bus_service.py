# SPDX-License-Identifier: MIT
"""The service's bus side, with a test in the place of tracker and poller; and a caller of it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.errors import ErrorReplyError
from ipsecwatch.dbus.messages import Signal, unpack_variants
from ipsecwatch.report import PlutoState
from ipsecwatch.service.bus import Bus, Publication
from ipsecwatch.tunnel import Reason, Transition, Tunnel
from tests.support.tunnels import becomes

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

NAME = "org.ipsecwatch1"
ROOT = "/org/ipsecwatch1"
MANAGER = "org.ipsecwatch1.Manager"
TUNNEL = "org.ipsecwatch1.Tunnel"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"

asks_for_details = pytest.mark.skipif(
    os.getuid() != 0, reason="only root may read details of tunnels, and there is no polkit to ask"
)


class Service:
    """The service's bus side. It publishes what a test asks for, with serial numbers."""

    def __init__(self, run_id: str = "run-1", instance: str = "", socket: str = "") -> None:
        self.bus = Bus(run_id, self._refresh, instance, socket)
        self.serial = 0
        self.tunnels: dict[str, Tunnel] = {}
        self.pluto = PlutoState.RUNNING
        self.refreshes = 0
        self.on_refresh: Callable[[], object] = lambda: None
        self.may_refresh = asyncio.Event()
        self.may_refresh.set()

    async def look(self, *tunnels: Tunnel) -> None:
        """Publish these tunnels, without transitions, as after the service's first poll."""
        self.tunnels = {t.name: t for t in tunnels}
        await self.publish([])

    async def become(
        self, *tunnels: Tunnel, gone: tuple[str, ...] = (), reason: Reason = Reason.NONE
    ) -> None:
        """Publish these tunnels in their new states, with the transitions to these.

        ``gone``: names of tunnels that aren't listed any more. ``reason``: of all transitions.
        """
        transitions = [becomes(self.tunnels.get(t.name), t, reason) for t in tunnels]
        transitions += [becomes(self.tunnels.pop(name), None, reason) for name in gone]
        self.tunnels.update({t.name: t for t in tunnels})
        await self.publish([t for t in transitions if t.announced])

    async def publish(self, transitions: list[Transition], **more: Any) -> None:  # noqa: ANN401
        """Publish the tunnels and these transitions; ``more``: other fields of the Publication."""
        counted = []
        for transition in transitions:
            self.serial += 1
            counted.append((self.serial, transition))
        news = Publication(
            tunnels=list(self.tunnels.values()),
            transitions=counted,
            pluto=self.pluto,
            pluto_version="4.10",
            complete=True,
            last_poll=1_700_000_000.0,
        )
        await asyncio.sleep(0)  # what it took to make all this up isn't the bus's
        await self.bus.publish(replace(news, **more))

    async def _refresh(self) -> None:
        await self.may_refresh.wait()
        self.refreshes += 1
        self.on_refresh()


@asynccontextmanager
async def serving(
    run_id: str = "run-1", instance: str = "", socket: str = ""
) -> AsyncGenerator[Service]:
    """Run the service's bus side while the context lasts; yield it."""
    service = Service(run_id, instance, socket)
    await service.bus.start(Publication())
    keeper = asyncio.create_task(service.bus.keep())
    try:
        yield service
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
        await service.bus.stop()


class Caller:
    """A client on the bus that calls the service's methods and receives its signals."""

    def __init__(self, connection: BusConnection) -> None:
        self.connection = connection
        self.heard: list[Signal] = []
        connection.on_signal = self._on_signal

    def _on_signal(self, signal: Signal) -> None:
        if signal.sender != "org.freedesktop.DBus":
            self.heard.append(signal)

    async def listen(self) -> None:
        await self.connection.call_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")

    def members(self) -> list[str]:
        return [s.member for s in self.heard]

    async def call(
        self,
        member: str,
        signature: str = "",
        *body: object,
        interface: str = MANAGER,
        path: str = ROOT,
    ) -> Any:  # noqa: ANN401
        """Call a method; return its value, or the list of its values, without variants."""
        reply = await self.connection.call(NAME, path, interface, member, signature, body)
        values = unpack_variants(reply.body)
        return values[0] if len(values) == 1 else values

    async def error(
        self,
        member: str,
        signature: str = "",
        *body: object,
        interface: str = MANAGER,
        path: str = ROOT,
    ) -> str:
        """Call a method that must fail; return the error's name.

        Assert that the error's text is printable, short, and no traceback.
        """
        with pytest.raises(ErrorReplyError) as caught:
            await self.call(member, signature, *body, interface=interface, path=path)
        text = str(caught.value)
        assert text.isprintable()
        assert len(text) < 1000
        assert "Traceback" not in text
        return caught.value.name.replace("org.freedesktop.DBus.Error.", "")


@asynccontextmanager
async def calling(*, listen: bool = False) -> AsyncGenerator[Caller]:
    """Connect a caller to the system bus while the context lasts; yield it."""
    connection = await connect("system")
    try:
        caller = Caller(connection)
        if listen:
            await caller.listen()
        yield caller
    finally:
        await connection.close()
