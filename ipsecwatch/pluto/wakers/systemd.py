# SPDX-License-Identifier: MIT
"""What systemd knows: whether pluto's unit runs, and that the machine wakes from sleep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import BusError, connect
from ipsecwatch.pluto.wakers.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Signal

logger = logging.getLogger(__name__)

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER: Final = "/org/freedesktop/systemd1"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_SERVICE: Final = "org.freedesktop.systemd1.Service"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_LOGIND: Final = "org.freedesktop.login1"
_AWAY: Final = frozenset({"inactive", "failed"})
_NO_UNIT: Final = frozenset({"not-found", "masked"})
"""LoadState of a unit that can't be started."""
_RETRY: Final = (1.0, 5.0, 30.0)


class SystemdWatch(Waker):
    """Follows pluto's unit and the machine's sleep on a connection of its own.

    ``inactive`` tells what systemd said last of the unit; None: it didn't, or knows no such unit.
    """

    def __init__(self, unit: str, wake: Callable[[], None]) -> None:
        super().__init__()
        self._unit = unit
        self._wake = wake
        self._task: asyncio.Task[None] | None = None
        self._owners: dict[str, str] = {}
        self._path = ""
        self.inactive: bool | None = None
        self._inactive_at = float("-inf")
        self._inactive_since = float("inf")
        self.runs_pluto = True
        """The unit may be what runs pluto. False: it was inactive while pluto answered, or systemd
        says that pluto's process is in another unit."""
        self._known = asyncio.Event()
        """systemd was asked about the unit, or there is nobody to ask."""
        self._there = False
        """The unit can be started."""
        self._connection: BusConnection | None = None
        self._pids: frozenset[int] = frozenset()
        """Of the pluto that answered last."""
        self._runner: str | None = None
        """The unit whose service that is: "" where it is none's, None where nobody knows."""
        self._looking: asyncio.Task[None] | None = None

    @property
    def unit(self) -> str:
        """The unit that runs pluto, or would if it was started; "": none is known to."""
        if self._runner is not None:
            return self._runner
        return self._unit if self._there and self.runs_pluto else ""

    async def known(self, limit: float) -> None:
        """Wait until systemd has told of the unit, ``limit`` seconds at most."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._known.wait()

    def answered(self, asked: float, pids: Iterable[int] = ()) -> None:
        """Take note that pluto has answered what it was ``asked`` then (loop's clock).

        ``pids`` are its process ids as far as they are known.
        """
        if self.inactive and self._inactive_since < asked:
            self.runs_pluto = False
        if (new := frozenset(pids)) != self._pids:
            self._pids, self._runner = new, None
            self._look()

    def _look(self) -> None:
        """Ask systemd in whose unit pluto is."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._connection is not None and self._pids:
            look = self._find_runner(self._connection, self._pids)
            self._looking = asyncio.create_task(look, name="pluto's unit")

    async def _find_runner(self, connection: BusConnection, pids: frozenset[int]) -> None:
        for pid in sorted(pids):
            try:
                found = await connection.call(
                    _SYSTEMD, _MANAGER, f"{_SYSTEMD}.Manager", "GetUnitByPID", "u", [pid]
                )
                path = found.body[0]
                name = str(await self._get(connection, path, _UNIT, "Id"))
                # Of another unit, it is pluto's own if pluto is its main process. A container's
                # scope isn't, nor is NetworkManager's service, which starts it when it wants one.
                service = name.endswith(".service") and name != self._unit
                main = await self._get(connection, path, _SERVICE, "MainPID") if service else 0
            except BusError as e:
                logger.debug("systemd doesn't know pluto's unit: %s", e)
                continue
            own = name == self._unit or main in pids
            self._runner, self.runs_pluto = (name if own else ""), name == self._unit
            return

    def was_inactive(self, since: float) -> bool:
        """Return whether the unit was inactive at some time ``since`` (loop's clock).

        A unit that is restarted is so for some milliseconds, less than it takes to look. One that
        doesn't run pluto says nothing.
        """
        return self.runs_pluto and (self.inactive is True or self._inactive_at > since)

    def open(self) -> bool:
        """Begin to follow; where there is no bus, that is tried again, for ever."""
        self._task = asyncio.create_task(self._keep(), name="systemd watch")
        self._task.add_done_callback(self._ended)
        return True

    def close(self) -> None:
        """Follow no more. wait_closed() waits until the connection is closed, too."""
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all is over after close()."""
        tasks = [task for task in (self._task, self._looking) if task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.on_error(error)

    async def _keep(self) -> None:
        backoff = Backoff(_RETRY)
        while True:
            try:
                connection = await connect("system")
            except BusError:
                connection = None
            if connection is None:
                self._known.set()
            else:
                backoff.reset()
                try:
                    await self._follow(connection)
                    self._connection = connection
                    self._look()
                    await connection.lost()
                except BusError as e:
                    logger.debug("systemd can't be followed: %s", e)
                finally:
                    self._known.set()
                    self._connection = None
                    self.inactive, self._inactive_since = None, float("inf")
                    await connection.close()
            await asyncio.sleep(backoff.next())

    async def _follow(self, connection: BusConnection) -> None:
        """Subscribe first, then look, so that nothing falls between."""
        connection.on_signal = self._heard
        with contextlib.suppress(BusError):
            self._owners[_LOGIND] = await _owner(connection, _LOGIND)
            await connection.call_bus(
                "AddMatch",
                "s",
                f"type='signal',sender='{_LOGIND}',member='PrepareForSleep'",
            )
        self._owners[_SYSTEMD] = await _owner(connection, _SYSTEMD)
        reply = await connection.call(
            _SYSTEMD, _MANAGER, f"{_SYSTEMD}.Manager", "LoadUnit", "s", [self._unit]
        )
        self._path = reply.body[0]
        await connection.call_bus(
            "AddMatch",
            "s",
            f"type='signal',sender='{_SYSTEMD}',path='{self._path}',"
            f"interface='{_PROPERTIES}',member='PropertiesChanged'",
        )
        await connection.call(_SYSTEMD, _MANAGER, f"{_SYSTEMD}.Manager", "Subscribe")
        load = await self._get(connection, self._path, _UNIT, "LoadState")
        self._there = load not in _NO_UNIT
        if load != "not-found":  # its unit may have another name
            self._note(await self._get(connection, self._path, _UNIT, "ActiveState"))
        self._known.set()

    async def _get(self, connection: BusConnection, path: str, interface: str, name: str) -> object:
        asked: list[Any] = [interface, name]
        reply = await connection.call(_SYSTEMD, path, _PROPERTIES, "Get", "ss", asked)
        value: object = reply.body[0].value
        return value

    def _heard(self, signal: Signal) -> None:
        if signal.member == "PrepareForSleep" and signal.sender == self._owners.get(_LOGIND):
            if signal.signature == "b" and not signal.body[0]:  # it woke up
                self._wake()
            return
        ours = signal.sender == self._owners.get(_SYSTEMD) and signal.path == self._path
        if ours and signal.signature == "sa{sv}as" and signal.body[0] == _UNIT:
            changed = signal.body[1].get("ActiveState")
            if changed is not None:
                self._note(changed.value)

    def _note(self, state: object) -> None:
        was, self.inactive = self.inactive, state in _AWAY
        now = asyncio.get_running_loop().time()
        if was or self.inactive:
            self._inactive_at = now
        if not self.inactive:
            self._inactive_since, self._there = float("inf"), True
            if was is not False:  # what starts is perhaps what runs pluto from now on
                self.runs_pluto, self._runner, self._pids = True, None, frozenset()
        elif not was:
            self._inactive_since = now
        if bool(was) is not self.inactive:
            self._wake()


async def _owner(connection: BusConnection, name: str) -> str:
    reply = await connection.call_bus("GetNameOwner", "s", name)
    owner = reply.body[0]
    return owner if isinstance(owner, str) else ""
