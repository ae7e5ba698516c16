# SPDX-License-Identifier: MIT
"""Looks up facts about the machine for the doctor's checks: buses, units, the service.

Nothing here waits for long: a bus, a service or a file system that hangs is what the doctor has to
find. Whatever may block runs in a thread for which the process doesn't wait at its end.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ipsecwatch import client, config
from ipsecwatch.agent.mutes import mutes_file
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import ErrorReplyError
from ipsecwatch.dbus.names import PROPERTIES, bus_name, owner_of_name, unit_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ipsecwatch.dbus.connection import BusConnection, BusKind

LIMIT: Final = 5.0
"""Seconds that one check may take; all of them run at the same time."""
ASKING: Final = 4.0
"""Seconds for one answer: less than LIMIT, so that the check can report who didn't answer."""

SYSTEMD: Final = "org.freedesktop.systemd1"
_SYSTEMD_PATH: Final = "/org/freedesktop/systemd1"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of the files that the checks read; tests have others."""

    service_settings: Path = config.SERVICE_FILE
    agent_settings: Path = field(default_factory=config.agent_file)
    policies: tuple[Path, ...] = (Path("/usr/share/dbus-1/system.d"), Path("/etc/dbus-1/system.d"))
    journal: Path = Path("/run/systemd/journal/socket")
    kept: Path = Path("/var/log/journal")
    volatile: Path = Path("/run/log/journal")
    mutes: Path = field(default_factory=mutes_file)


@dataclass(frozen=True, slots=True)
class Unit:
    """The state of a systemd unit, in systemd's own words."""

    load: str
    active: str
    enabled: str = ""
    result: str = ""
    private_network: bool | None = None
    """Whether it has a network of its own; None: not known, since the unit isn't loaded."""

    @property
    def installed(self) -> bool:
        """Whether the unit exists, even if it is masked or can't be loaded."""
        return self.load != "not-found"


class Machine:
    """Facts about the machine and one service on it.

    Buses, units, settings and the snapshot are looked up once, and kept for all checks.
    """

    def __init__(self, places: Places | None = None, instance: str = "") -> None:
        self.places = places or Places(config.settings_file(instance))
        self.instance = instance
        self.name = bus_name(instance)
        """The service's bus name."""
        self.unit_name = unit_name(instance)
        """The service's systemd unit, without ``.service``."""
        self.service = f"{self.unit_name}.service"
        self.root = os.geteuid() == 0
        self._asked: dict[object, asyncio.Future[Any]] = {}
        self._connections: list[BusConnection] = []

    async def bus(self, kind: BusKind) -> BusConnection:
        """Return the connection to a bus, which all checks share. Raise BusError."""
        return await self._once(("bus", kind), lambda: self._connect(kind))

    async def snapshot(self) -> client.Snapshot:
        """Return the service's snapshot, taken once for all checks. Raise ClientError."""
        return await self._once("snapshot", lambda: client.snapshot(ASKING, instance=self.instance))

    async def settings(self) -> config.Settings:
        """Return the service's settings; all defaults where they can't be read, or are wrong."""
        return await self._once("settings", self._settings)

    async def unit(self, name: str, kind: BusKind = "system") -> Unit:
        """Return the state of a unit of the system's or the session's systemd. Raise BusError."""
        return await self._once(("unit", kind, name), lambda: self._unit(name, kind))

    async def owner(self, name: str, kind: BusKind = "system") -> str | None:
        """Return the owner of a name on a bus; None: it has none. Raise BusError."""
        try:
            return await owner_of_name(await self.bus(kind), name)
        except ErrorReplyError:
            return None

    async def starts(self, name: str, kind: BusKind = "system") -> bool:
        """Return whether a bus would start a program for this name (activation). Raise BusError."""
        bus = await self.bus(kind)
        return name in (await bus.call_bus("ListActivatableNames", "")).body[0]

    async def close(self) -> None:
        """Cancel all requests that are still open, and close the connections."""
        for asked in self._asked.values():
            asked.cancel()
        for connection in self._connections:
            await connection.close()

    async def _once(self, key: object, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what ``ask`` returns; call it only for the first of all calls with this key.

        Others wait for that call, and get its result or its error. When a check runs out of time,
        the request goes on for the others.
        """
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(ask())
        # A check that runs out of time must not cancel the request for the others.
        answer: T = await asyncio.shield(self._asked[key])
        return answer

    async def _connect(self, kind: BusKind) -> BusConnection:
        connection = await connect(kind, within=ASKING)
        self._connections.append(connection)
        return connection

    async def _settings(self) -> config.Settings:
        try:
            return await in_thread(lambda: config.load_service(self.places.service_settings))
        except config.ConfigError:
            return config.Settings()

    async def _unit(self, name: str, kind: BusKind) -> Unit:
        """Ask systemd for the state of a unit, and return it. Raise BusError.

        Only ``load`` and ``active`` are read where the unit isn't loaded.
        """
        bus = await self.bus(kind)
        manager = f"{SYSTEMD}.Manager"
        reply = await bus.call(
            SYSTEMD, _SYSTEMD_PATH, manager, "LoadUnit", "s", [name], within=ASKING
        )
        path = str(reply.body[0])
        load = str(await _get(bus, path, "Unit", "LoadState"))
        active = str(await _get(bus, path, "Unit", "ActiveState"))
        if load != "loaded":
            return Unit(load, active)
        return Unit(
            load, active,
            enabled=str(await _get(bus, path, "Unit", "UnitFileState")),
            result=str(await _get(bus, path, "Service", "Result")),
            private_network=bool(await _get(bus, path, "Service", "PrivateNetwork")),
        )  # fmt: skip


async def _get(bus: BusConnection, path: str, interface: str, name: str) -> object:
    arguments = [f"{SYSTEMD}.{interface}", name]
    reply = await bus.call(SYSTEMD, path, PROPERTIES, "Get", "ss", arguments, within=ASKING)
    value: object = reply.body[0].value
    return value


async def in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread, and return what it returns. Raise what it raises.

    It is for work that may block, such as reading from a dead network drive. The process may end
    while the thread still runs.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(call: Callable[[], None]) -> None:
        if not done.done():
            call()

    def live() -> None:
        try:
            result = work()
        except Exception as e:
            error = e
            _later(loop, lambda: finish(lambda: done.set_exception(error)))
        else:
            _later(loop, lambda: finish(lambda: done.set_result(result)))

    threading.Thread(target=live, daemon=True).start()
    return await done


def _later(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call a function in the event loop, from another thread, unless the loop is closed."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


async def limited(work: Coroutine[Any, Any, T]) -> T:
    """Run a check, and return its result. Raise TimeoutError where it takes over LIMIT seconds."""
    async with asyncio.timeout(LIMIT):
        return await work
