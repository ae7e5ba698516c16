# SPDX-License-Identifier: MIT
"""A fake notification server, which behaves like one of nine real ones, or as a test wants.

``MODELS`` has what each real server announces and how it behaves, as seen on Debian 12 (the
versions are in the table). The fake can also refuse, hang, announce what it doesn't do, and be
restarted.
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
    """What one real notification server announces, and how it behaves."""

    capabilities: tuple[str, ...]
    """What it announces in its answer to GetCapabilities."""
    renders: str = "body"
    """Which texts it renders as markup, whatever it announces: "body", "all" (titles too) or
    "nothing"."""
    most: int | None = None
    """How many notifications of one program it keeps at most: a further one removes the oldest.
    None: any number."""
    forgets_after: bool = True
    """Whether it removes a notification with the default timeout after some seconds; else that
    stays."""
    closes_pressed: bool = True
    """Whether it closes a notification when one of its buttons is pressed."""


_USUAL = ("actions", "body", "body-markup")
MODELS: dict[str, Model] = {
    "dunst 1.9": Model((*_USUAL, "body-hyperlinks", "icon-static", _TAG)),
    # If dunstrc has no setting for markup, that isn't announced, and yet rendered, also in titles.
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
    # A server that announces what it doesn't do.
    "a liar": Model(("body", "body-markup", _TAG), renders="nothing"),
}
USUAL = MODELS["notification-daemon 3.20"]


@dataclass
class Shown:
    """One notification on the screen, with the arguments of the last Notify call for it."""

    id: int
    app: str
    icon: str
    title: str
    body: str
    actions: list[str]
    hints: dict[str, Any]
    timeout: int
    times: int = 1
    """How many Notify calls were made for it, the first one included."""


@dataclass
class Server:
    """The fake server: as much of org.freedesktop.Notifications 1.2 as our client uses."""

    connection: BusConnection
    model: Model = USUAL
    refuses: str = ""
    """The name of the error with which it answers Notify; with "" it shows the notification."""
    hangs: bool = False
    """Whether it answers no call."""
    notifications: dict[int, Shown] = field(default_factory=dict)
    """What is on the screen, by number, the oldest first."""
    closed: list[int] = field(default_factory=list)
    """The numbers of the notifications that programs have closed with CloseNotification."""
    calls: list[str] = field(default_factory=list)
    """The names of all called methods, the first one first."""
    last_id: int = 0
    most: int = 0
    """The highest number of notifications of one program that were on the screen at once."""

    def titles(self) -> list[str]:
        """Return the titles on the screen, those of the oldest notifications first."""
        return [n.title for n in self.notifications.values()]

    async def shows(self, *titles: str, within: float = 10.0) -> None:
        """Wait until exactly these titles are on the screen, in this order.

        Raise AssertionError if that isn't so within ``within`` seconds.
        """
        try:
            await until(lambda: self.titles() == list(titles), within)
        except TimeoutError:
            raise AssertionError(f"{self.titles()} instead of {list(titles)}") from None

    def read(self, shown: Shown) -> tuple[str, str]:
        """Return the title and text that a user reads.

        A rendered ``<b>`` is returned as ``[b]``.
        """
        body = _rendered(shown.body) if self.model.renders in ("body", "all") else shown.body
        title = _rendered(shown.title) if self.model.renders == "all" else shown.title
        return title, body

    def called(self, _connection: BusConnection, call: Call) -> None:
        """Reply to a call as the model does, with an error (``refuses``), or never (``hangs``)."""
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
        """Show a notification of another program; return its number."""
        return self._notify("mail", 0, "", title, "", [], {}, -1)

    def dismiss(self, title: str, reason: int = DISMISSED) -> None:
        """Close the notification with this title, as its user does, and send the signal for it."""
        (number,) = [n.id for n in self.notifications.values() if n.title == title]
        self._gone(number, reason)

    def time_passes(self) -> None:
        """Remove each notification whose timeout, or default timeout, is over after a long time.

        Those with the default timeout stay if the model doesn't forget them.
        """
        for n in list(self.notifications.values()):
            if n.timeout > 0 or (n.timeout < 0 and self.model.forgets_after):
                self._gone(n.id, EXPIRED)

    def press(self, title: str, label: str) -> None:
        """Press the button with this label in the notification with this title, as its user does.

        Send ActionInvoked, and close the notification if the model does that.
        """
        (shown,) = [n for n in self.notifications.values() if n.title == title]
        actions = dict(zip(shown.actions[1::2], shown.actions[::2], strict=True))
        self.says_pressed(shown.id, actions[label])
        if self.model.closes_pressed:
            self._gone(shown.id, DISMISSED)

    def says_pressed(self, number: int, action: str) -> None:
        """Send the signal ActionInvoked, whether such a notification is on the screen or not."""
        self.connection.signal(PATH, NAME, "ActionInvoked", "us", [number, action])

    def expire(self, number: int) -> None:
        """Remove one notification because its timeout is over, and send the signal about it."""
        self._gone(number, EXPIRED)

    def says_closed(self, number: int, reason: int) -> None:
        """Send the signal NotificationClosed, whether such a notification was shown or not."""
        self.connection.signal(PATH, NAME, "NotificationClosed", "uu", [number, reason])

    def _gone(self, number: int, reason: int) -> None:
        del self.notifications[number]
        self.says_closed(number, reason)

    def _notify(self, app: str, replaces: int, icon: str, title: str, *rest: Any) -> int:  # noqa: ANN401
        """Show a notification, or replace one, as the model does; return its number."""
        body, actions, hints, timeout = rest
        hints = unpack_variants(hints)
        if not replaces and _TAG in hints and _TAG in self.model.capabilities:
            for n in [n for n in self.notifications.values() if n.hints.get(_TAG) == hints[_TAG]]:
                self._gone(n.id, EXPIRED)
        if not replaces:
            self.last_id += 1
        number = replaces or self.last_id
        old = self.notifications.get(number)
        times = old.times + 1 if old else 1
        self.notifications[number] = Shown(
            number, app, icon, title, body, actions, hints, timeout, times
        )
        ours = [n.id for n in self.notifications.values() if n.app == app]
        self.most = max(self.most, len(ours))
        if self.model.most is not None and len(ours) > self.model.most:
            self._gone(ours[0], EXPIRED)
        return number

    def _close(self, call: Call) -> None:
        (number,) = call.body
        if number not in self.notifications:
            self.connection.error(call, "org.freedesktop.DBus.Error.Failed", "no such notification")
            return
        self.closed.append(number)
        self._gone(number, CALLED)
        self.connection.reply(call, "", [])


def _rendered(text: str) -> str:
    """Return a text as it is rendered: ``<b>`` becomes ``[b]``, and ``&lt;`` becomes ``<``."""
    return html.unescape(re.sub(r"<(/?\w+)[^>]*>", r"[\1]", text))


@asynccontextmanager
async def notification_server(**how: Any) -> AsyncGenerator[Server]:  # noqa: ANN401
    """Run the fake on the session bus while the context lasts; yield it.

    ``how`` are fields of Server. Each run has a new connection to the bus: for clients, the server
    was restarted.
    """
    connection = await connect("session")
    server = Server(connection, **how)
    connection.on_call = server.called
    try:
        await connection.call_bus("RequestName", "su", NAME, 4)
        yield server
    finally:
        await connection.close()
        await asyncio.sleep(0)
