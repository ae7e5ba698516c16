# SPDX-License-Identifier: MIT
"""A waker for what systemd reports: pluto's unit starts or stops, or the machine wakes up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import BusError
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
"""The values of LoadState of a unit that can't be started."""
_RETRY: Final = (1.0, 5.0, 30.0)


class SystemdWatch(Waker):
    """Follows pluto's unit and the machine's sleep, over a bus connection of its own.

    ``inactive``: whether the unit is inactive or failed, by systemd's last report; None: that isn't
    known, or there is no such unit.
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
        """Whether the unit may be what runs pluto. False: it was inactive while pluto answered, or
        systemd says that pluto's process is in another unit."""
        self._known = asyncio.Event()
        """Set once systemd was asked about the unit, or it is clear that it can't be asked."""
        self._there = False
        """Whether the unit can be started."""
        self._connection: BusConnection | None = None
        self._pids: frozenset[int] = frozenset()
        """The process ids of the pluto that answered last; empty: they aren't known."""
        self._runner: str | None = None
        """The unit in which this pluto runs. "": it has no unit of its own. None: not known."""
        self._looking: asyncio.Task[None] | None = None

    @property
    def unit(self) -> str:
        """The unit that runs pluto, or that would be started to run it.

        "": it isn't known, or pluto runs in no unit of its own.
        """
        if self._runner is not None:
            return self._runner
        return self._unit if self._there and self.runs_pluto else ""

    async def known(self, limit: float) -> None:
        """Wait until systemd was asked about the unit, or can't be: at most ``limit`` seconds."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await self._known.wait()

    def answered(self, asked: float, pids: Iterable[int] = ()) -> None:
        """Record that pluto has answered a question that was asked at ``asked`` (loop's clock).

        If the unit was inactive from then until now, it isn't the one that runs pluto. ``pids`` are
        pluto's process ids; empty: they aren't known. If they aren't those of the last call, ask
        systemd which unit they are in.
        """
        if self.inactive and self._inactive_since < asked:
            self.runs_pluto = False
        if (new := frozenset(pids)) != self._pids:
            self._pids, self._runner = new, None
            self._start_lookup()

    def _start_lookup(self) -> None:
        """Start a task that asks systemd in which unit pluto's processes are.

        Do nothing if there is no connection to systemd, or no process id is known.
        """
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._connection is not None and self._pids:
            look = self._find_runner(self._connection, self._pids)
            self._looking = asyncio.create_task(look, name="pluto's unit")

    async def _find_runner(self, connection: BusConnection, pids: frozenset[int]) -> None:
        """Ask systemd in which unit pluto's processes are. Record it if it is pluto's own, else "".

        It is pluto's own if the settings name it, or if it is a service whose main process is
        pluto. Also set ``runs_pluto``. Record nothing if systemd doesn't know any of the processes.
        """
        for pid in sorted(pids):
            try:
                found = await connection.call(
                    _SYSTEMD, _MANAGER, f"{_SYSTEMD}.Manager", "GetUnitByPID", "u", [pid]
                )
                path = found.body[0]
                name = str(await self._get(connection, path, _UNIT, "Id"))
                # Another unit than ours is pluto's own only if pluto is its main process: not a
                # container's scope, nor NetworkManager's service, which starts pluto itself.
                service = name.endswith(".service") and name != self._unit
                main = await self._get(connection, path, _SERVICE, "MainPID") if service else 0
            except BusError as e:
                logger.debug("systemd doesn't know pluto's unit: %s", e)
                continue
            own = name == self._unit or main in pids
            self._runner, self.runs_pluto = (name if own else ""), name == self._unit
            return

    def was_inactive(self, since: float) -> bool:
        """Return whether the unit was inactive at any time from ``since`` (loop's clock) until now.

        During a restart it is inactive only for some milliseconds, which a question to systemd
        would miss. False if the unit isn't what runs pluto.
        """
        return self.runs_pluto and (self.inactive is True or self._inactive_at > since)

    def open(self) -> bool:
        """Start to follow systemd. Return True: if there is no bus, connecting is tried again."""
        self._task = asyncio.create_task(self._keep(), name="systemd watch")
        self._task.add_done_callback(self._ended)
        return True

    def close(self) -> None:
        """Stop following systemd. The connection is closed once wait_closed() has returned."""
        for task in (self._task, self._looking):
            if task is not None:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all tasks have ended and the connection is closed. Call close() before."""
        tasks = [task for task in (self._task, self._looking) if task is not None]
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.on_error(error)

    async def _keep(self) -> None:
        """Follow systemd until cancelled. Connect again if the connection is lost or failed."""
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
                    self._start_lookup()
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
        """Subscribe to the signals about sleep and about the unit, then read the unit's state.

        In this order, no change between the two is missed. Raise BusError.
        """
        connection.on_signal = self._on_signal
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
        if load != "not-found":  # else pluto's unit may have another name
            self._note(await self._get(connection, self._path, _UNIT, "ActiveState"))
        self._known.set()

    async def _get(self, connection: BusConnection, path: str, interface: str, name: str) -> object:
        asked: list[Any] = [interface, name]
        reply = await connection.call(_SYSTEMD, path, _PROPERTIES, "Get", "ss", asked)
        value: object = reply.body[0].value
        return value

    def _on_signal(self, signal: Signal) -> None:
        """Handle a signal: call ``wake`` after sleep, or record the unit's new state.

        Only signals from the connections of logind and systemd count: anybody can send signals.
        """
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
        """Record the unit's ActiveState. Call ``wake`` if that matters.

        It does if the unit became inactive or failed, or if it was so and no longer is.
        """
        was, self.inactive = self.inactive, state in _AWAY
        now = asyncio.get_running_loop().time()
        if was or self.inactive:
            self._inactive_at = now
        if not self.inactive:
            self._inactive_since, self._there = float("inf"), True
            if was is not False:  # the unit that starts may run pluto from now on
                self.runs_pluto, self._runner, self._pids = True, None, frozenset()
        elif not was:
            self._inactive_since = now
        if bool(was) is not self.inactive:
            self._wake()


async def _owner(connection: BusConnection, name: str) -> str:
    reply = await connection.call_bus("GetNameOwner", "s", name)
    owner = reply.body[0]
    return owner if isinstance(owner, str) else ""
