# SPDX-License-Identifier: MIT
"""A fake service on the bus; a test sets what it answers and which signals it sends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Call, Variant
from tests.support.bus_service import MANAGER, NAME, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

OFFICE = f"{ROOT}/tunnel/office"


class OddService:
    """A fake service.

    Its snapshot has the ``manager``, ``serial`` and ``tunnels`` that a test sets. ``refuse`` is the
    name of the error with which it answers each call, None for none. With ``late`` it answers after
    so many seconds. With ``silent``, and without ``late``, it doesn't answer.
    """

    def __init__(self, connection: BusConnection) -> None:
        self.connection = connection
        self.serial = 0
        self.manager: dict[str, Variant] = {"PlutoState": Variant("s", "running")}
        self.tunnels: dict[str, dict[str, Variant]] = {}
        self.refuse: str | None = None
        self.silent = False
        self.late = 0.0
        self.asked = 0
        """How many calls it has received."""
        connection.on_call = self._answer

    def _answer(self, connection: BusConnection, call: Call) -> None:
        """Reply to a call at once, later or not at all, as the test has set."""
        self.asked += 1
        if self.late:
            asyncio.get_running_loop().call_later(self.late, self._reply, connection, call)
        elif not self.silent:
            self._reply(connection, call)

    def _reply(self, connection: BusConnection, call: Call) -> None:
        if self.refuse:
            connection.error(call, self.refuse, "no,\x1b[2J no")
        elif call.member == "GetAll":
            connection.reply(call, "a{sv}", [self.manager])
        else:
            connection.reply(call, "sta{oa{sv}}", ["odd", self.serial, self.tunnels])

    def change(self, serial: int, new: str = "up", why: str = "none", **more: Variant) -> None:
        """Send TunnelStateChanged about the tunnel ``office``, from "down" to ``new``.

        ``why`` is the reason, and ``more`` are the further properties.
        """
        self.serial = serial
        body = [OFFICE, "office", "down", new, why, serial, 1_000_000, more]
        self.connection.signal(ROOT, MANAGER, "TunnelStateChanged", "osssstta{sv}", body)


@asynccontextmanager
async def odd_service() -> AsyncGenerator[OddService]:
    """Run the fake service on the system bus while the context lasts; yield it."""
    connection = await connect("system")
    await connection.call_bus("RequestName", "su", NAME, 4)
    try:
        yield OddService(connection)
    finally:
        await connection.close()
