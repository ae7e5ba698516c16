# SPDX-License-Identifier: MIT
"""Fakes of systemd and logind on a bus; they answer the calls that the service and doctor make."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Call, Variant
from ipsecwatch.sanitize import path_element

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.dbus.connection import BusKind

SYSTEMD = "org.freedesktop.systemd1"
LOGIND = "org.freedesktop.login1"
UNITS = "/org/freedesktop/systemd1/unit"
UNIT_PATH = f"{UNITS}/ipsec_2eservice"


class FakeSystemd:
    """Fakes of systemd and logind, with the unit ipsec.service and the units that a test adds.

    ``state`` is the ActiveState of ipsec.service; with "" there is no such unit. ``subscribed`` is
    set when a client has read a property of ipsec.service.
    """

    def __init__(self, connection: BusConnection, state: str) -> None:
        self._connection = connection
        self._state = state
        self.subscribed = asyncio.Event()
        self.units: dict[int, tuple[str, int]] = {}
        """By process id: the name of the unit that the process belongs to, and the id of that
        unit's main process."""
        self._others: dict[str, dict[str, Variant]] = {}
        """The properties of units that add() has added, by object path."""
        self.load = ""
        """The LoadState of ipsec.service; with "" it is "loaded" if the unit has a state, else
        "not-found"."""
        connection.on_call = self._called

    def add(self, name: str, active: str, **more: Variant) -> None:
        """Add an enabled unit with this ActiveState; ``more``: other properties.

        Without a call of add(), LoadUnit returns the path of ipsec.service for every name.
        """
        usual = {"LoadState": "loaded", "UnitFileState": "enabled", "Result": "success"}
        known = {key: Variant("s", value) for key, value in usual.items()}
        private = {"ActiveState": Variant("s", active), "PrivateNetwork": Variant("b", True)}
        self._others[f"{UNITS}/{path_element(name)}"] = {**known, **private, **more}

    def become(self, state: str) -> None:
        """Set the ActiveState of ipsec.service, and send the signal about the change."""
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
        """Send logind's signal that the machine goes to sleep (``begins``), or has woken up."""
        self._connection.signal(
            "/org/freedesktop/login1", f"{LOGIND}.Manager", "PrepareForSleep", "b", [begins]
        )

    def _called(self, connection: BusConnection, call: Call) -> None:
        """Reply to LoadUnit, GetUnitByPID and Get as systemd does, to all others without values."""
        if call.member == "LoadUnit":
            path = f"{UNITS}/{path_element(call.body[0])}" if self._others else UNIT_PATH
            connection.reply(call, "o", [path])
        elif call.member == "GetUnitByPID":
            self._find(connection, call)
        elif call.member == "Get":
            connection.reply(call, "v", [self._properties(call.path)[call.body[1]]])
            if call.path == UNIT_PATH:
                self.subscribed.set()
        else:
            connection.reply(call, "", [])

    def _properties(self, path: str) -> dict[str, Variant]:
        """Return the properties of the unit with this object path.

        The LoadState of an unknown unit is "not-found".
        """
        if path in self._others:
            return self._others[path]
        last = path.rpartition("/")[2]
        if last.isdigit():
            name, main = self.units[int(last)]
            return {"Id": Variant("s", name), "MainPID": Variant("u", main)}
        there = self.load or ("loaded" if self._state and path == UNIT_PATH else "not-found")
        active = self._state or "inactive"
        return {"LoadState": Variant("s", there), "ActiveState": Variant("s", active)}

    def _find(self, connection: BusConnection, call: Call) -> None:
        pid = call.body[0]
        if pid in self.units:
            connection.reply(call, "o", [f"{UNITS}/{pid}"])
        else:
            connection.error(call, f"{SYSTEMD}.NoUnitForPID", "in no unit")


@asynccontextmanager
async def systemd(state: str = "active", kind: BusKind = "system") -> AsyncGenerator[FakeSystemd]:
    """Run the fakes on this process's system bus, or session bus, while the context lasts.

    Yield them.
    """
    connection = await connect(kind)
    try:
        for name in (SYSTEMD, LOGIND):
            await connection.call_bus("RequestName", "su", name, 4)
        yield FakeSystemd(connection, state)
    finally:
        await connection.close()
