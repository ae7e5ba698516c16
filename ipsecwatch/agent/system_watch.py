# SPDX-License-Identifier: MIT
"""Watch the system bus for events of the machine: units that start or fail, sleep and wake-up.

Without systemd or logind there are no such events. Then it is reported that pluto or the service
ended only if the agent itself saw it running.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.agent.machine import MachineEvent, Sleep, Unit, UnitState
from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import BUS, connect
from ipsecwatch.dbus.errors import BusError, ErrorReplyError
from ipsecwatch.dbus.names import owner_of_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Signal

logger = logging.getLogger(__name__)

RETRY: Final = (1.0, 5.0, 30.0, 300.0)
"""Seconds between attempts to connect to the system bus. The last one is repeated."""

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER: Final = "/org/freedesktop/systemd1"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_SERVICE: Final = "org.freedesktop.systemd1.Service"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_LOGIND: Final = "org.freedesktop.login1"
_ACTIVE: Final = ("active", "reloading", "deactivating")


async def watch_system(tell: Callable[[MachineEvent], object]) -> None:
    """Call ``tell`` with each unit's state, now and at each change, and each Sleep, for ever."""
    backoff = Backoff(RETRY)
    while True:
        try:
            connection = await connect("system")
        except BusError:
            await asyncio.sleep(backoff.next())
            continue
        try:
            await _SystemWatch(connection, tell).follow()
            backoff.reset()
            await connection.lost()
        except BusError as e:
            logger.debug("units can't be followed: %s", e)
        finally:
            await connection.close()
        await asyncio.sleep(backoff.next())


class _SystemWatch:
    """Follows the units and the machine's sleep over one connection to the system bus."""

    def __init__(self, connection: BusConnection, tell: Callable[[MachineEvent], object]) -> None:
        self._connection = connection
        self._tell = tell
        self._owners: dict[str, str] = {}
        self._paths: dict[str, Unit] = {}
        self._known: dict[Unit, dict[str, object]] = {unit: {} for unit in Unit}
        connection.on_signal = self._on_signal

    async def follow(self) -> None:
        """Subscribe to the signals of systemd and logind; then read and report each unit's state.

        In this order no change is missed. systemd sends signals only after a client has called
        Subscribe. Raise BusError if the bus fails.
        """
        await self._match(f"sender='{BUS}',member='NameOwnerChanged',arg0='{_LOGIND}'")
        await self._match(f"sender='{_LOGIND}',member='PrepareForSleep'")
        for name in (_LOGIND, _SYSTEMD):
            try:
                self._owners[name] = await owner_of_name(self._connection, name)
            except ErrorReplyError:
                self._owners[name] = ""
        if not self._owners[_SYSTEMD]:
            return
        await self._connection.call(_SYSTEMD, _MANAGER, f"{_SYSTEMD}.Manager", "Subscribe")
        for unit in Unit:
            try:
                await self._follow_unit(unit)
            except ErrorReplyError as e:
                logger.debug("%s can't be followed: %s", unit.value, e)

    async def _match(self, rule: str) -> None:
        """Subscribe to the signals that match a rule (without its ``type``). Raise BusError."""
        await self._connection.call_bus("AddMatch", "s", f"type='signal',{rule}")

    async def _follow_unit(self, unit: Unit) -> None:
        """Subscribe to the changes of a unit. Then read its state and report it. Raise BusError."""
        reply = await self._connection.call(
            _SYSTEMD, _MANAGER, f"{_SYSTEMD}.Manager", "LoadUnit", "s", [unit.value]
        )
        path = reply.body[0]
        self._paths[path] = unit
        await self._match(f"sender='{_SYSTEMD}',path='{path}',member='PropertiesChanged'")
        for interface in (_UNIT, _SERVICE):
            reply = await self._connection.call(
                _SYSTEMD, path, _PROPERTIES, "GetAll", "s", [interface]
            )
            self._note(unit, reply.body[0])

    def _on_signal(self, signal: Signal) -> None:
        """Handle a signal if it is really from systemd, from logind or from the bus itself.

        Any user can send a signal that looks the same. So the sender must be the owner of their
        names.
        """
        if signal.sender == BUS:
            if signal.member == "NameOwnerChanged" and signal.body[0] == _LOGIND:
                self._owners[_LOGIND] = signal.body[2]
        elif signal.member == "PrepareForSleep":
            if signal.sender == self._owners.get(_LOGIND) and signal.signature == "b":
                self._tell(Sleep(bool(signal.body[0])))
        elif signal.sender == self._owners.get(_SYSTEMD) and signal.signature == "sa{sv}as":
            unit = self._paths.get(signal.path)
            if unit is not None and signal.body[0] in (_UNIT, _SERVICE):
                self._note(unit, signal.body[1])

    def _note(self, unit: Unit, properties: dict[str, Any]) -> None:
        """Keep changed properties of a unit. Report its state if it isn't the last reported one."""
        known = self._known[unit]
        for name in ("ActiveState", "SubState", "Result"):
            if name in properties:
                known[name] = properties[name].value
        active = known.get("ActiveState") in _ACTIVE
        failed = known.get("ActiveState") == "failed" or (
            known.get("SubState") == "auto-restart" and known.get("Result") != "success"
        )
        state = UnitState(unit, active, failed)
        if known.get("told") != state and "ActiveState" in known:
            known["told"] = state
            self._tell(state)
