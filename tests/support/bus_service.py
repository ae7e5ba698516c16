# SPDX-License-Identifier: MIT
"""The service's bus side, which a test controls as tracker and poller do; and a client of it."""

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
    """The service's real bus side. A test says which tunnels and transitions it publishes.

    It gives serial numbers to the transitions. ``refreshes`` counts the calls of Refresh, each of
    which waits until ``may_refresh`` is set.
    """

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
        """Publish exactly these tunnels, without transitions, as after the service's first poll."""
        self.tunnels = {t.name: t for t in tunnels}
        await self.publish([])

    async def become(
        self, *tunnels: Tunnel, gone: tuple[str, ...] = (), reason: Reason = Reason.NONE
    ) -> None:
        """Publish these tunnels in their new states, with a transition for each that has changed.

        Other tunnels stay as they are. ``gone`` has the names of tunnels that are no longer listed.
        ``reason`` is the reason of all these transitions.
        """
        transitions = [becomes(self.tunnels.get(t.name), t, reason) for t in tunnels]
        transitions += [becomes(self.tunnels.pop(name), None, reason) for name in gone]
        self.tunnels.update({t.name: t for t in tunnels})
        await self.publish([t for t in transitions if t.announced])

    async def publish(self, transitions: list[Transition], **more: Any) -> None:  # noqa: ANN401
        """Publish all tunnels, and these transitions; ``more``: other fields of the Publication."""
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
        await asyncio.sleep(0)  # so that the time to make all this isn't measured as the bus's
        await self.bus.publish(replace(news, **more))

    async def _refresh(self) -> None:
        await self.may_refresh.wait()
        self.refreshes += 1
        self.on_refresh()


@asynccontextmanager
async def serving(
    run_id: str = "run-1", instance: str = "", socket: str = ""
) -> AsyncGenerator[Service]:
    """Run the service's bus side on the system bus while the context lasts; yield it."""
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
    """A client on the bus: calls the service's methods, and keeps its signals in ``heard``."""

    def __init__(self, connection: BusConnection) -> None:
        self.connection = connection
        self.heard: list[Signal] = []
        connection.on_signal = self._on_signal

    def _on_signal(self, signal: Signal) -> None:
        if signal.sender != "org.freedesktop.DBus":
            self.heard.append(signal)

    async def listen(self) -> None:
        """Subscribe to all signals of the service."""
        await self.connection.call_bus("AddMatch", "s", f"type='signal',sender='{NAME}'")

    def members(self) -> list[str]:
        """Return the names of the received signals, oldest first."""
        return [s.member for s in self.heard]

    async def call(
        self,
        member: str,
        signature: str = "",
        *body: object,
        interface: str = MANAGER,
        path: str = ROOT,
    ) -> Any:  # noqa: ANN401
        """Call a method; return its value, with all variants unpacked.

        If the reply has no value or several, return a list of them. Raise ErrorReplyError if the
        reply is an error.
        """
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
        """Call a method that must fail, and return the error's name.

        The name is returned without ``org.freedesktop.DBus.Error.``. Assert that the error's text
        is printable, shorter than 1000 characters, and has no traceback.
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
    """Connect a Caller to the system bus while the context lasts; yield it.

    ``listen``: it is subscribed to the service's signals.
    """
    connection = await connect("system")
    try:
        caller = Caller(connection)
        if listen:
            await caller.listen()
        yield caller
    finally:
        await connection.close()
