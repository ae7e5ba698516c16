# SPDX-License-Identifier: MIT
"""A fake service on the bus, whose answers and signals a test makes up."""

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
    """A fake service: its snapshot has the ``manager``, ``serial`` and ``tunnels`` of a test.

    With ``refuse`` it answers each call with the error of that name, with ``silent`` not at all,
    with ``late`` so many seconds later.
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
        """Answer a call with the values that the test has set."""
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
        self.serial = serial
        body = [OFFICE, "office", "down", new, why, serial, 1_000_000, more]
        self.connection.signal(ROOT, MANAGER, "TunnelStateChanged", "osssstta{sv}", body)


@asynccontextmanager
async def odd_service() -> AsyncGenerator[OddService]:
    connection = await connect("system")
    await connection.call_bus("RequestName", "su", NAME, 4)
    try:
        yield OddService(connection)
    finally:
        await connection.close()
