# SPDX-License-Identifier: MIT
"""A notification server that does what a test says: answers, refuses, hangs, is started again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Call, unpack_variants
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

NAME = "org.freedesktop.Notifications"
EXCESS = NAME + ".Error.ExcessNotificationGeneration"
USUAL = ("body", "body-markup", "icon-static", "persistence")


@dataclass
class Shown:
    """One notification, as the server was last told to show it."""

    id: int
    app: str
    icon: str
    title: str
    body: str
    actions: list[str]
    hints: dict[str, Any]
    timeout: int
    times: int = 1
    """How often it was shown, the first time included."""


@dataclass
class Server:
    """org.freedesktop.Notifications 1.2: as much of it as a client of ours may call."""

    connection: BusConnection
    capabilities: tuple[str, ...] = USUAL
    refuses: str = ""
    """The name of the error that it answers Notify with."""
    hangs: bool = False
    notices: dict[int, Shown] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    last_id: int = 0

    def titles(self) -> list[str]:
        """What is on the screen."""
        return [n.title for n in self.notices.values()]

    async def shows(self, *titles: str, within: float = 10.0) -> None:
        """Wait until exactly this is on the screen."""
        try:
            await until(lambda: self.titles() == list(titles), within)
        except TimeoutError:
            raise AssertionError(f"{self.titles()} instead of {list(titles)}") from None

    def called(self, _connection: BusConnection, call: Call) -> None:
        self.calls.append(call.member)
        if self.hangs:
            return
        match call.member:
            case "GetCapabilities":
                self.connection.reply(call, "as", [list(self.capabilities)])
            case "Notify" if self.refuses:
                self.connection.error(call, self.refuses, "not now")
            case "Notify":
                self.connection.reply(call, "u", [self._notify(*call.body)])
            case "CloseNotification":
                self._close(call)

    def stranger(self, title: str) -> int:
        """Show something that another program wants to be shown."""
        return self._notify("mail", 0, "", title, "", [], {}, -1)

    def _notify(self, app: str, replaces: int, icon: str, title: str, *rest: Any) -> int:  # noqa: ANN401
        body, actions, hints, timeout = rest
        if not replaces:
            self.last_id += 1
        number = replaces or self.last_id
        old = self.notices.get(number)
        times = old.times + 1 if old else 1
        hints = unpack_variants(hints)
        self.notices[number] = Shown(number, app, icon, title, body, actions, hints, timeout, times)
        return number

    def _close(self, call: Call) -> None:
        (number,) = call.body
        if self.notices.pop(number, None) is None:
            self.connection.error(call, "org.freedesktop.DBus.Error.Failed", "no such notification")
        else:
            self.closed.append(number)
            self.connection.reply(call, "", [])


@asynccontextmanager
async def notification_server(**how: Any) -> AsyncGenerator[Server]:  # noqa: ANN401
    """Serve on the session's bus. Entered again, it is another process as far as others see."""
    connection = await connect("session")
    server = Server(connection, **how)
    connection.on_call = server.called
    try:
        await connection.call_bus("RequestName", "su", NAME, 4)
        yield server
    finally:
        await connection.close()
        await asyncio.sleep(0)
