# SPDX-License-Identifier: MIT
"""A fake notification server that does what real ones were seen to do, and what a test says.

``MODELS`` has what each of nine real servers announces and how it behaves, as they did on Debian 12
(versions in the table). The fake refuses, hangs, lies and is started again, too.
"""

from __future__ import annotations

import asyncio
import html
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Call, unpack_variants
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"
EXCESS = NAME + ".Error.ExcessNotificationGeneration"
EXPIRED, DISMISSED, CALLED = 1, 2, 3

_TAG = "x-dunst-stack-tag"


@dataclass(frozen=True)
class Model:
    """What a real server announces, and what it does."""

    capabilities: tuple[str, ...]
    renders: str = "body"
    """Where it takes text for markup, whatever it announces: "body", "all" or "nothing"."""
    most: int | None = None
    """Notifications of one program that it keeps; the oldest one goes."""
    forgets_after: bool = True
    """What it is left to decide about goes after some seconds; else it stays for ever."""
    closes_pressed: bool = True
    """It closes a notification whose button was pressed."""


_USUAL = ("actions", "body", "body-markup")
MODELS: dict[str, Model] = {
    "dunst 1.9": Model((*_USUAL, "body-hyperlinks", "icon-static", _TAG)),
    # A dunstrc that says nothing of markup: it isn't announced, and rendered, in titles, too.
    "dunst 1.9, minimal": Model(("actions", "body", "body-hyperlinks", _TAG), renders="all"),
    "xfce4-notifyd 0.7": Model((*_USUAL, "body-hyperlinks", "icon-static", "action-icons")),
    "mate 1.26": Model(
        (*_USUAL, "body-hyperlinks", "icon-static", "action-icons", "sound"), closes_pressed=False
    ),
    "notification-daemon 3.20": Model((*_USUAL, "body-hyperlinks", "icon-static", "persistence")),
    "lxqt 1.2": Model((*_USUAL, "body-hyperlinks", "body-images", "persistence")),
    "mako 1.7": Model((*_USUAL, _TAG), forgets_after=False),
    "swaync 0.7": Model((*_USUAL, "body-images", "persistence", "synchronous")),
    "gnome-shell 43": Model((*_USUAL, "persistence", "sound"), most=3),
    "plasma 5.27": Model((*_USUAL, "body-hyperlinks", "persistence", "inhibitions")),
    # What a server may say and not do.
    "a liar": Model(("body", "body-markup", _TAG), renders="nothing"),
}
USUAL = MODELS["notification-daemon 3.20"]


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
    model: Model = USUAL
    refuses: str = ""
    """The name of the error that it answers Notify with."""
    hangs: bool = False
    notices: dict[int, Shown] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    last_id: int = 0
    most: int = 0
    """The most notices that were there at once."""

    def titles(self) -> list[str]:
        """What is on the screen."""
        return [n.title for n in self.notices.values()]

    async def shows(self, *titles: str, within: float = 10.0) -> None:
        """Wait until exactly this is on the screen."""
        try:
            await until(lambda: self.titles() == list(titles), within)
        except TimeoutError:
            raise AssertionError(f"{self.titles()} instead of {list(titles)}") from None

    def read(self, shown: Shown) -> tuple[str, str]:
        """Return what a person reads of a notification; markup that is rendered is ``[b]``."""
        body = _rendered(shown.body) if self.model.renders in ("body", "all") else shown.body
        title = _rendered(shown.title) if self.model.renders == "all" else shown.title
        return title, body

    def called(self, _connection: BusConnection, call: Call) -> None:
        self.calls.append(call.member)
        if self.hangs:
            return
        match call.member:
            case "GetCapabilities":
                self.connection.reply(call, "as", [list(self.model.capabilities)])
            case "Notify" if self.refuses:
                self.connection.error(call, self.refuses, "not now")
            case "Notify":
                self.connection.reply(call, "u", [self._notify(*call.body)])
            case "CloseNotification":
                self._close(call)
            case "GetServerInformation":
                self.connection.reply(call, "ssss", ["fake", "tests", "1.0", "1.2"])

    def stranger(self, title: str) -> int:
        """Show something that another program wants to be shown."""
        return self._notify("mail", 0, "", title, "", [], {}, -1)

    def dismiss(self, title: str, reason: int = DISMISSED) -> None:
        """Have the user close a notification."""
        (number,) = [n.id for n in self.notices.values() if n.title == title]
        self._gone(number, reason)

    def time_passes(self) -> None:
        """Have the default time of notifications pass: what has a time, or none, goes."""
        for n in list(self.notices.values()):
            if n.timeout > 0 or (n.timeout < 0 and self.model.forgets_after):
                self._gone(n.id, EXPIRED)

    def press(self, title: str, label: str) -> None:
        """Have the user press a button, by what stands on it."""
        (shown,) = [n for n in self.notices.values() if n.title == title]
        actions = dict(zip(shown.actions[1::2], shown.actions[::2], strict=True))
        self.says_pressed(shown.id, actions[label])
        if self.model.closes_pressed:
            self._gone(shown.id, DISMISSED)

    def says_pressed(self, number: int, action: str) -> None:
        """Send ActionInvoked, whatever is on the screen."""
        self.connection.signal(PATH, NAME, "ActionInvoked", "us", [number, action])

    def expire(self, number: int) -> None:
        """Have the time of one notification pass."""
        self._gone(number, EXPIRED)

    def says_closed(self, number: int, reason: int) -> None:
        """Send NotificationClosed, whatever is on the screen."""
        self.connection.signal(PATH, NAME, "NotificationClosed", "uu", [number, reason])

    def _gone(self, number: int, reason: int) -> None:
        del self.notices[number]
        self.says_closed(number, reason)

    def _notify(self, app: str, replaces: int, icon: str, title: str, *rest: Any) -> int:  # noqa: ANN401
        body, actions, hints, timeout = rest
        hints = unpack_variants(hints)
        if not replaces and _TAG in hints and _TAG in self.model.capabilities:
            for n in [n for n in self.notices.values() if n.hints.get(_TAG) == hints[_TAG]]:
                self._gone(n.id, EXPIRED)
        if not replaces:
            self.last_id += 1
        number = replaces or self.last_id
        old = self.notices.get(number)
        times = old.times + 1 if old else 1
        self.notices[number] = Shown(number, app, icon, title, body, actions, hints, timeout, times)
        ours = [n.id for n in self.notices.values() if n.app == app]
        self.most = max(self.most, len(ours))
        if self.model.most is not None and len(ours) > self.model.most:
            self._gone(ours[0], EXPIRED)
        return number

    def _close(self, call: Call) -> None:
        (number,) = call.body
        if number not in self.notices:
            self.connection.error(call, "org.freedesktop.DBus.Error.Failed", "no such notification")
            return
        self.closed.append(number)
        self._gone(number, CALLED)
        self.connection.reply(call, "", [])


def _rendered(text: str) -> str:
    """Render markup so that what was taken for it can be told from what stands there."""
    return html.unescape(re.sub(r"<(/?\w+)[^>]*>", r"[\1]", text))


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
