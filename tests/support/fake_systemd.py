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
        self.units: dict[int, tuple[str, int]] = {}
        """By process id: the unit that it is in, and that unit's main process."""
        self.load = ""
        """The unit's LoadState; "": by its state."""
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
        elif call.member == "GetUnitByPID":
            self._find(connection, call)
        elif call.member == "Get" and call.path != UNIT_PATH:
            name, main = self.units[int(call.path.rpartition("/")[2])]
            values = {"Id": Variant("s", name), "MainPID": Variant("u", main)}
            connection.reply(call, "v", [values[call.body[1]]])
        elif call.member == "Get":
            found = self.load or ("loaded" if self._state else "not-found")
            states = {"LoadState": found, "ActiveState": self._state or "inactive"}
            connection.reply(call, "v", [Variant("s", states[call.body[1]])])
            self.subscribed.set()
        else:
            connection.reply(call, "", [])

    def _find(self, connection: BusConnection, call: Call) -> None:
        pid = call.body[0]
        if pid in self.units:
            connection.reply(call, "o", [f"/org/freedesktop/systemd1/unit/{pid}"])
        else:
            connection.error(call, f"{SYSTEMD}.NoUnitForPID", "in no unit")


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
