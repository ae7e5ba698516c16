# SPDX-License-Identifier: MIT
"""Fakes of systemd and logind on a bus; they answer the calls that the agent makes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Call, Variant
from ipsecwatch.sanitize import path_element

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SYSTEMD = "org.freedesktop.systemd1"
LOGIND = "org.freedesktop.login1"
PROPERTIES = "org.freedesktop.DBus.Properties"


def unit_path(name: str) -> str:
    return f"/org/freedesktop/systemd1/unit/{path_element(name)}"


class FakeMachine:
    """Fakes of systemd and logind.

    ``units`` has the ActiveState, SubState and Result of units by name, such as ``ipsec.service``.
    Any other unit is inactive.
    """

    def __init__(self, connection: BusConnection, units: dict[str, tuple[str, str, str]]) -> None:
        self._connection = connection
        self._units = {unit_path(name): state for name, state in units.items()}
        self._names = {unit_path(name): name for name in units}
        self.subscribed = asyncio.Event()
        self.after_reading: dict[str, tuple[str, str, str]] = {}
        """By object path: the state that a unit gets right after a client has read its properties
        the next time, so that the change comes between reading and the first signal."""
        connection.on_call = self._called

    def become(self, name: str, active: str, sub: str, result: str) -> None:
        """Send the two signals that systemd sends when a unit's state changes.

        Like systemd, send nothing before a client has called Subscribe. What the fake answers to
        GetAll stays as it was.
        """
        if not self.subscribed.is_set():
            return
        changed = {"ActiveState": Variant("s", active), "SubState": Variant("s", sub)}
        self._changed(name, "Service", {"Result": Variant("s", result)})
        self._changed(name, "Unit", changed)

    def _changed(self, name: str, interface: str, changed: dict[str, Variant]) -> None:
        body = [f"{SYSTEMD}.{interface}", changed, []]
        self._connection.signal(unit_path(name), PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def sleep(self, *, begins: bool) -> None:
        """Send logind's signal that the machine goes to sleep (``begins``), or has woken up."""
        self._connection.signal(
            "/org/freedesktop/login1", f"{LOGIND}.Manager", "PrepareForSleep", "b", [begins]
        )

    def _called(self, connection: BusConnection, call: Call) -> None:
        """Reply to LoadUnit, GetAll and Subscribe as systemd does; other calls get no reply."""
        match call.member:
            case "LoadUnit":
                connection.reply(call, "o", [unit_path(call.body[0])])
            case "GetAll":
                active, sub, result = self._units.get(call.path, ("inactive", "dead", "success"))
                of_unit = {"ActiveState": Variant("s", active), "SubState": Variant("s", sub)}
                of_service = {"Result": Variant("s", result)}
                is_unit = call.body[0].endswith(".Unit")
                connection.reply(call, "a{sv}", [of_unit if is_unit else of_service])
                if not is_unit and call.path in self.after_reading:
                    self._units[call.path] = state = self.after_reading.pop(call.path)
                    self.become(self._names[call.path], *state)
            case "Subscribe":
                connection.reply(call, "", [])
                self.subscribed.set()


@asynccontextmanager
async def machine(**units: tuple[str, str, str]) -> AsyncGenerator[FakeMachine]:
    """Run the fakes on this process's system bus while the context lasts; yield them.

    ``units``: as in FakeMachine, but named without ``.service``.
    """
    connection = await connect("system")
    named = {f"{name}.service": state for name, state in units.items()}
    try:
        fake = FakeMachine(connection, named)
        for name in (SYSTEMD, LOGIND):
            await connection.call_bus("RequestName", "su", name, 4)
        yield fake
    finally:
        await connection.close()
