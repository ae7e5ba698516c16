# SPDX-License-Identifier: MIT
"""As much of systemd and logind on a bus as the service listens to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Call, Variant

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SYSTEMD = "org.freedesktop.systemd1"
LOGIND = "org.freedesktop.login1"
UNIT_PATH = "/org/freedesktop/systemd1/unit/ipsec_2eservice"


class FakeSystemd:
    """One unit and its state ("": there is none); and the machine's sleep."""

    def __init__(self, connection: BusConnection, state: str) -> None:
        self._connection = connection
        self._state = state
        self.subscribed = asyncio.Event()
        connection.on_call = self._called

    def become(self, state: str) -> None:
        self._state = state
        changed = {"ActiveState": Variant("s", state), "SubState": Variant("s", "x")}
        self._connection.signal(
            UNIT_PATH,
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
            "sa{sv}as",
            [f"{SYSTEMD}.Unit", changed, []],
        )

    def sleep(self, *, begins: bool) -> None:
        self._connection.signal(
            "/org/freedesktop/login1", f"{LOGIND}.Manager", "PrepareForSleep", "b", [begins]
        )

    def _called(self, connection: BusConnection, call: Call) -> None:
        if call.member == "LoadUnit":
            connection.reply(call, "o", [UNIT_PATH])
        elif call.member == "Get":
            load = "loaded" if self._state else "not-found"
            values = {"LoadState": load, "ActiveState": self._state or "inactive"}
            connection.reply(call, "v", [Variant("s", values[call.body[1]])])
            self.subscribed.set()
        else:
            connection.reply(call, "", [])


@asynccontextmanager
async def systemd(state: str = "active") -> AsyncGenerator[FakeSystemd]:
    """Own both names on what this process takes for the system bus."""
    connection = await connect("system")
    try:
        for name in (SYSTEMD, LOGIND):
            await connection.call_bus("RequestName", "su", name, 4)
        yield FakeSystemd(connection, state)
    finally:
        await connection.close()
