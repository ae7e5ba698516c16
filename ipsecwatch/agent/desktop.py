# SPDX-License-Identifier: MIT
"""Showing notices on the desktop: the one room that imports desktop-notifier.

A subclass of its D-Bus back end, for what that (6.2) lacks:

* it escapes nothing, while most servers take a body for markup;
* it can't replace a notification, and knows no hints but the urgency;
* where there is no server, or one that hangs, send() says nothing, or never returns;
* it keeps a connection of its own, and none any more once the session's bus was started again.

So notifications go over our own BusConnection, with deadlines. What is taken from the library is
its model of a notification, its urgencies and its table of the server's numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from desktop_notifier import common
from desktop_notifier.backends.dbus import DBusDesktopNotifier

from ipsecwatch.dbus.connection import BUS, BUS_PATH, BusConnection, ErrorReplyError, NoReplyError
from ipsecwatch.dbus.messages import Reply, Variant
from ipsecwatch.sanitize import escape_markup

if TYPE_CHECKING:
    from ipsecwatch.agent.notifications import Notification

SERVER: Final = "org.freedesktop.Notifications"
"""Name and interface of the notification server."""
SERVER_PATH: Final = "/org/freedesktop/Notifications"
APP_NAME: Final = "ipsecwatch"
"""Also the name of our desktop file."""

ANSWER_LIMIT: Final = 5.0
"""Seconds that a server may take. Healthy ones take some milliseconds."""
START_LIMIT: Final = 20.0
"""Seconds that the bus may take to start a server."""
MAX_KEPT: Final = 1000
"""Notifications that can still be replaced."""

_QUILLS: Final = str.maketrans("<>", "‹›")
_NOBODY: Final = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
)


@dataclass(frozen=True)
class _Hinted(common.Notification):
    """A notification with the hints that the library doesn't know."""

    category: str = ""
    transient: bool = False


class NotificationServer(DBusDesktopNotifier):
    """The notification server, over one connection to the session's bus."""

    def __init__(self, connection: BusConnection) -> None:
        super().__init__(APP_NAME)
        self._connection = connection
        self._server = ""
        """The unique name of the server that the numbers are from."""
        self._markup = False

    async def show(self, notice: Notification) -> None:
        """Show a notice in place of the last one with its key. Raises BusError."""
        # Not by send(): that one logs what goes wrong, with a traceback, and answers as if all
        # were well.
        await self._send(
            _Hinted(
                title=notice.title,
                message=notice.body,
                urgency=common.Urgency(notice.urgency.value),
                icon=common.Icon(name=notice.icon),
                identifier=notice.key,
                category=notice.category,
                transient=notice.transient,
            )
        )

    async def withdraw(self, key: str) -> None:
        """Take the notice with this key off the screen, if it is there. Raises BusError."""
        await self._clear(key)

    async def _send(self, notification: common.Notification) -> None:
        await self._meet_server()
        icon = notification.icon.as_name() if notification.icon else ""
        numbers = self._platform_to_interface_notification_identifier
        message = notification.message
        body = [
            self.app_name,
            numbers.inverse.get(notification.identifier, 0),
            icon,
            # No server takes a title for markup, but dunst (1.9) looks for links and images in it.
            notification.title.translate(_QUILLS) if self._markup else notification.title,
            escape_markup(message) if self._markup else message,
            [],  # no actions: there is nothing that we could do
            self._hints(notification),
            notification.timeout,
        ]
        reply = await self._ask("Notify", "susssasa{sv}i", body)
        # A server may give a number again that was another notification's.
        numbers.forceput(reply.body[0], notification.identifier)
        if len(numbers) > MAX_KEPT:
            del numbers[next(iter(numbers))]

    def _hints(self, notification: common.Notification) -> dict[str, Variant]:
        hints = {
            "urgency": self.to_native_urgency[notification.urgency],
            "desktop-entry": Variant("s", APP_NAME),
        }
        if isinstance(notification, _Hinted):
            hints["category"] = Variant("s", notification.category)
            hints["transient"] = Variant("b", notification.transient)
        return hints

    async def _clear(self, identifier: str) -> None:
        numbers = self._platform_to_interface_notification_identifier.inverse
        if identifier not in numbers:
            return
        await self._meet_server()
        number = numbers.pop(identifier, None)
        if number is None:
            return  # what another server showed went with it
        try:
            await self._ask("CloseNotification", "u", [number])
        except ErrorReplyError as e:
            if e.name in _NOBODY:
                raise  # else it was closed before

    async def _meet_server(self) -> None:
        """Find out who the server is and what it can do; the bus starts one if it knows how.

        Each time: it may have been started again, its numbers with it, and what was our
        notification's number would be a stranger's. One that hangs is found out here, too, before
        it has a notification in its queue that we would have to show once more.
        """
        try:
            reply = await self._ask("GetCapabilities", destination=SERVER)
        except ErrorReplyError as e:
            if e.name not in _NOBODY:
                raise
            await self._connection.call(
                BUS, BUS_PATH, BUS, "StartServiceByName", "su", [SERVER, 0], within=START_LIMIT
            )
            reply = await self._ask("GetCapabilities", destination=SERVER)
        self._markup = "body-markup" in reply.body[0]
        if reply.sender != self._server:
            self._server = reply.sender
            self._platform_to_interface_notification_identifier.clear()

    async def _ask(
        self,
        member: str,
        signature: str = "",
        body: list[Any] | None = None,
        *,
        destination: str | None = None,
    ) -> Reply:
        """Call the server, and nobody else than whom we met. Raises BusError."""
        reply = await self._connection.call(
            destination or self._server, SERVER_PATH, SERVER, member, signature, body or [],
            within=ANSWER_LIMIT,
        )  # fmt: skip
        if reply.signature != _ANSWERS[member]:
            raise NoReplyError(f"the notification server gave {member} a strange answer")
        return reply


_ANSWERS: Final = {"GetCapabilities": "as", "Notify": "u", "CloseNotification": ""}
