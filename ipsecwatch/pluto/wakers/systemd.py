# SPDX-License-Identifier: MIT
"""What systemd knows: whether pluto's unit runs, and that the machine wakes from sleep."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import BusError, connect
from ipsecwatch.pluto.wakers.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Signal

logger = logging.getLogger(__name__)

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER: Final = "/org/freedesktop/systemd1"
_UNIT: Final = "org.freedesktop.systemd1.Unit"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_LOGIND: Final = "org.freedesktop.login1"
_AWAY: Final = frozenset({"inactive", "failed"})
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
        """The unit may be what runs pluto. False: it was inactive while pluto answered."""

    def answered(self, asked: float) -> None:
        """Take note that pluto has answered what it was ``asked`` then (loop's clock)."""
        if self.inactive and self._inactive_since < asked:
            self.runs_pluto = False

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
        if self._task is not None:
            self._task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all is over after close()."""
        if self._task is not None:
            await asyncio.wait([self._task])

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
            if connection is not None:
                backoff.reset()
                try:
                    await self._follow(connection)
                    await connection.lost()
                except BusError as e:
                    logger.debug("systemd can't be followed: %s", e)
                finally:
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
        if (
            await self._get(connection, "LoadState") != "not-found"
        ):  # its unit may have another name
            self._note(await self._get(connection, "ActiveState"))

    async def _get(self, connection: BusConnection, name: str) -> object:
        reply = await connection.call(_SYSTEMD, self._path, _PROPERTIES, "Get", "ss", [_UNIT, name])
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
            self._inactive_since, self.runs_pluto = float("inf"), True
        elif not was:
            self._inactive_since = now
        if bool(was) is not self.inactive:
            self._wake()


async def _owner(connection: BusConnection, name: str) -> str:
    reply = await connection.call_bus("GetNameOwner", "s", name)
    owner = reply.body[0]
    return owner if isinstance(owner, str) else ""
