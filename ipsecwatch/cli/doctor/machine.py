# SPDX-License-Identifier: MIT
"""Looks up facts about the machine for the doctor's checks: buses, units, the service.

All waiting has a time limit, since a bus, a service or a file system that hangs is one of the
faults to find. A call that could block runs in a thread, and the process doesn't wait for this
thread when it ends.
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
"""Seconds that each check may take. All checks run at the same time."""
ASKING: Final = 4.0
"""Seconds that a check waits for one answer. This is less than LIMIT, so that the check itself can
report who didn't answer."""

SYSTEMD: Final = "org.freedesktop.systemd1"
_SYSTEMD_PATH: Final = "/org/freedesktop/systemd1"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of the files and folders that the checks look at. Tests use paths of their own."""

    service_settings: Path = config.SERVICE_FILE
    agent_settings: Path = field(default_factory=config.agent_file)
    policies: tuple[Path, ...] = (Path("/usr/share/dbus-1/system.d"), Path("/etc/dbus-1/system.d"))
    journal: Path = Path("/run/systemd/journal/socket")
    kept: Path = Path("/var/log/journal")
    volatile: Path = Path("/run/log/journal")
    mutes: Path = field(default_factory=mutes_file)
    packaged: Path = Path("/usr/share/ipsecwatch")
    """The folder with the drop-ins that the packages bring."""


@dataclass(frozen=True, slots=True)
class Unit:
    """The state of a systemd unit, in systemd's words, such as ``loaded``, ``active``, ``enabled``.

    ``enabled`` and ``result`` are "" for a unit that isn't loaded.
    """

    load: str
    active: str
    enabled: str = ""
    result: str = ""
    private_network: bool | None = None
    """Whether the unit runs in a network namespace of its own (PrivateNetwork=); None: it isn't
    known, as the unit isn't loaded."""

    @property
    def installed(self) -> bool:
        """Whether systemd finds a unit of this name. A masked or faulty unit counts, too."""
        return self.load != "not-found"


class Machine:
    """Facts about this machine, and about one instance of the service; "": ipsecwatch.service.

    Connections, states of units, settings and the Snapshot are looked up when a check first needs
    them, and kept for the other checks. Owners of bus names are asked for each time.
    """

    def __init__(self, places: Places | None = None, instance: str = "") -> None:
        self.places = places or Places(config.settings_file(instance))
        self.instance = instance
        self.name = bus_name(instance)
        """The service's bus name, such as ``org.ipsecwatch1``."""
        self.unit_name = unit_name(instance)
        """The name of the service's systemd unit, without ``.service``."""
        self.service = f"{self.unit_name}.service"
        self.root = os.geteuid() == 0
        self._asked: dict[object, asyncio.Future[Any]] = {}
        self._connections: list[BusConnection] = []

    async def bus(self, kind: BusKind) -> BusConnection:
        """Return the connection to a bus, which all checks share.

        Raise BusError if the bus can't be reached.
        """
        return await self._once(("bus", kind), lambda: self._connect(kind))

    async def snapshot(self) -> client.Snapshot:
        """Return the Snapshot of the service, which is asked once for all checks.

        Raise ClientError if the service doesn't answer.
        """
        return await self._once("snapshot", lambda: client.snapshot(ASKING, instance=self.instance))

    async def settings(self) -> config.Settings:
        """Return the service's settings; the defaults if they can't be read, or have a mistake."""
        return await self._once("settings", self._settings)

    async def unit(self, name: str, kind: BusKind = "system") -> Unit:
        """Return the state of the unit ``name``, as the system's or session's systemd reports it.

        A unit that doesn't exist has a state, too: see Unit.installed. Raise BusError if systemd
        can't be asked.
        """
        return await self._once(("unit", kind, name), lambda: self._unit(name, kind))

    async def owner(self, name: str, kind: BusKind = "system") -> str | None:
        """Return the unique name of the connection that owns ``name``; None: nobody owns it.

        Raise BusError if the bus can't be reached.
        """
        try:
            return await owner_of_name(await self.bus(kind), name)
        except ErrorReplyError:
            return None

    async def starts(self, name: str, kind: BusKind = "system") -> bool:
        """Return whether the bus would start a program if somebody called ``name`` (activation).

        Raise BusError if the bus can't be reached.
        """
        bus = await self.bus(kind)
        return name in (await bus.call_bus("ListActivatableNames", "")).body[0]

    async def close(self) -> None:
        """Cancel all look-ups that aren't finished, and close the connections to the buses."""
        for asked in self._asked.values():
            asked.cancel()
        for connection in self._connections:
            await connection.close()

    async def _once(self, key: object, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the result of ``ask``, which is called only once for each ``key``.

        Later calls with the same key return the same result, or raise the same error. If the caller
        is cancelled, because its check takes too long, ``ask`` goes on for the other checks.
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
        """Ask systemd for the state of a unit. Raise BusError.

        If the unit isn't loaded, only ``load`` and ``active`` are asked for.
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
    """Call ``work`` in a thread of its own. Return what it returns, or raise what it raises.

    This is for calls that may block, such as reading from a dead network drive. If the caller is
    cancelled, the thread goes on, but the process can end before it.
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
    """Make an event loop call a function soon. Called from another thread than the loop's.

    Do nothing if the loop is closed.
    """
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


async def limited(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work``, and return its result. Raise TimeoutError after LIMIT seconds."""
    async with asyncio.timeout(LIMIT):
        return await work
