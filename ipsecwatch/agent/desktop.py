# SPDX-License-Identifier: MIT
"""Shows notifications on the desktop: the one module that imports desktop-notifier.

It is a back end of that library's, as its own one for D-Bus (version 6.2) can't be used:

* it escapes nothing, while most servers read a body as markup;
* it can't replace a notification, and sets no hints but the urgency;
* where there is no server, send() reports no error; where one hangs, it never returns;
* it keeps a connection of its own, which isn't opened again when the session's bus was restarted;
* it accepts signals from any sender, that of a button included, and handles every press of a
  button that is still on the screen; a button's callback gets no arguments, and what belongs to a
  notification's buttons can be found again by a private name alone;
* its table of numbers, bidict, needs 7 MB for typing_extensions where Python is older than 3.12,
  a quarter of an agent's memory.

So notifications go over our own BusConnection, with deadlines. Used of the library are its model of
a notification and its base class of back ends. Notifications are shown in slots, which are the
library's identifiers; a notification replaces the one that its slot had before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from desktop_notifier import common
from desktop_notifier.backends.base import DesktopNotifierBackend

from ipsecwatch.agent.notifications import PASSING
from ipsecwatch.agent.texts import APP_NAME, BUTTONS
from ipsecwatch.agent.translation import translated
from ipsecwatch.dbus.connection import BUS, BUS_PATH, BusConnection
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, NoReplyError
from ipsecwatch.dbus.messages import Reply, Signal, Variant
from ipsecwatch.sanitize import escape_markup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipsecwatch.agent.notifications import Notification
    from ipsecwatch.agent.rules import Button

SERVER: Final = "org.freedesktop.Notifications"
"""Name and interface of the notification server."""
SERVER_PATH: Final = "/org/freedesktop/Notifications"
DESKTOP_ENTRY: Final = "ipsecwatch"
"""The name of our desktop file."""

ANSWER_LIMIT: Final = 5.0
"""Seconds that a server may take to answer. Healthy ones need some milliseconds."""
START_LIMIT: Final = 20.0
"""Seconds that the bus may take to start a server."""
LAST_WORDS: Final = 0.4
"""Seconds that the bus may take to read our last messages, when the agent ends."""

EXPIRED: Final = 1
"""NotificationClosed's reason where the server itself removed a notification. With all other
reasons somebody closed it; those that we close are in ``_leaving``, or no longer in our
table."""

_URGENCIES: Final = {
    common.Urgency.Low: 0,
    common.Urgency.Normal: 1,
    common.Urgency.Critical: 2,
}
_STACK_TAG: Final = "x-dunst-stack-tag"
_ANGLES: Final = str.maketrans("<>", "‹›")
_ENTITY: Final = re.compile(r"&(?=#?\w+;)")
_NOBODY: Final = (
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
)
_RULES: Final = (
    f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{SERVER}'",
    f"type='signal',sender='{SERVER}',interface='{SERVER}',member='NotificationClosed'",
    f"type='signal',sender='{SERVER}',interface='{SERVER}',member='ActionInvoked'",
)


class NobodyError(BusError):
    """There is no notification server, and the bus has none that it could start."""


@dataclass(frozen=True)
class _Hinted(common.Notification):
    """The library's notification, with hints that the library itself doesn't have."""

    category: str = ""
    transient: bool = False
    quiet: bool = False
    """Whether it only updates what is shown, and shouldn't attract attention."""


class NotificationServer(DesktopNotifierBackend):
    """The notification server, over one connection to the session's bus.

    ``on_owner`` is called with the bus name of a new server, or "" where the server ended;
    ``on_expired`` with a slot whose notification the server removed; ``on_closed`` with a slot
    whose notification somebody closed; ``on_pressed`` with a slot and the button that was pressed
    in its notification, which is no longer on the screen then.
    """

    def __init__(
        self,
        connection: BusConnection,
        on_owner: Callable[[str], object] = lambda _: None,
        on_expired: Callable[[str], object] = lambda _: None,
        on_closed: Callable[[str], object] = lambda _: None,
        on_pressed: Callable[[str, Button], object] = lambda *_: None,
    ) -> None:
        super().__init__(APP_NAME)
        self._connection = connection
        self._on_owner = on_owner
        self._on_expired = on_expired
        self._on_closed_by_user = on_closed
        self._on_pressed = on_pressed
        self._server = ""
        """The unique name of the server that the numbers are from."""
        self._can: frozenset[str] = frozenset()
        """The capabilities that the server announces."""
        self._numbers: dict[str, int] = {}
        """The server's number of the notification in each slot."""
        self._leaving: set[int] = set()
        """Numbers of notifications that a hanging server was asked to close."""

    async def listen(self) -> None:
        """Subscribe to the server's signals, and to its start and end. Raise BusError."""
        self._connection.on_signal = self._on_signal
        for rule in _RULES:
            await self._connection.call_bus("AddMatch", "s", rule)

    async def owner(self) -> str:
        """Return the unique bus name of the running server; "": none. Raise BusError."""
        try:
            reply = await self._connection.call_bus("GetNameOwner", "s", SERVER)
        except ErrorReplyError:
            return ""
        return str(reply.body[0])

    @property
    def numbers(self) -> dict[str, int]:
        """The server's number of the notification in each slot, as a copy."""
        return dict(self._numbers)

    @property
    def server(self) -> str:
        """The unique bus name of the server that the numbers are from."""
        return self._server

    def adopt(self, server: str, numbers: Mapping[str, int]) -> None:
        """Set the server, and its numbers of the notifications that an earlier agent showed."""
        self._server, self._numbers = server, dict(numbers)
        self._notification_cache.clear()

    async def show(self, slot: str, notification: Notification, *, quiet: bool = False) -> None:
        """Show a notification in place of the last one in its slot. Raise BusError.

        ``quiet``: it only updates what is shown, and shouldn't attract attention.
        """
        # send() isn't used: it logs errors with a traceback, and reports none to its caller.
        await self._send(
            _Hinted(
                title=notification.title,
                message=notification.body,
                urgency=common.Urgency(notification.urgency.value),
                icon=common.Icon(name=notification.icon),
                timeout=0 if notification.lasting else int(PASSING),
                buttons=tuple(self._button(slot, b) for b in notification.buttons),
                identifier=slot,
                category=notification.category,
                transient=not notification.lasting,
                quiet=quiet,
            )
        )

    def _button(self, slot: str, button: Button) -> common.Button:
        """Return the library's button, with a callback that gets the slot and our button."""
        title, pressed = translated(BUTTONS[button]), partial(self._on_pressed, slot, button)
        return common.Button(title, pressed, button.value)

    async def withdraw(self, slot: str) -> None:
        """Remove the notification in a slot from the screen, if any. Raise BusError."""
        await self._clear(slot)

    async def withdraw_all(self) -> None:
        """Ask the server to remove all notifications; don't wait for its answer. Raise no error."""
        await self._clear_all()

    async def request_authorisation(self) -> bool:
        """Return True: a notification server needs no authorisation."""
        return True

    async def has_authorisation(self) -> bool:
        """Return True: a notification server needs no authorisation."""
        return True

    async def _send(self, notification: common.Notification) -> None:
        """Show one of the library's notifications, escaped as the server needs. Raise BusError."""
        await self._find_server()
        icon = notification.icon.as_name() if notification.icon else ""
        is_markup = "body-markup" in self._can
        message, title = notification.message, notification.title
        buttons = notification.buttons if "actions" in self._can else ()
        body = [
            self.app_name,
            self._numbers.get(notification.identifier, 0),
            icon,
            # No server announces markup in titles. But dunst looks for links there; and where its
            # dunstrc doesn't mention markup, it renders markup in titles and bodies unannounced.
            _unmarked(title),
            escape_markup(message) if is_markup else _unmarked(message),
            [part for b in buttons for part in (b.identifier, b.title)],
            self._hints(notification),
            notification.timeout * 1000,
        ]
        reply = await self._call("Notify", "susssasa{sv}i", body)
        # A server may reuse the number of another notification.
        self._numbers = {slot: n for slot, n in self._numbers.items() if n != reply.body[0]}
        self._numbers[notification.identifier] = reply.body[0]
        self._leaving.discard(reply.body[0])
        self._clear_notification_from_cache(notification.identifier)
        if buttons:
            self._notification_cache[notification.identifier] = notification

    def _hints(self, notification: common.Notification) -> dict[str, Variant]:
        """Return a notification's hints, named as in the Desktop Notifications specification.

        Beside these there is dunst's tag for replacing, where the server knows it.
        """
        hints = {
            "urgency": Variant("y", _URGENCIES[notification.urgency]),
            "desktop-entry": Variant("s", DESKTOP_ENTRY),
        }
        if _STACK_TAG in self._can:
            # Replaces an earlier agent's notification whose number isn't known.
            hints[_STACK_TAG] = Variant("s", f"{DESKTOP_ENTRY}-{notification.identifier}")
        if isinstance(notification, _Hinted):
            # With low urgency GNOME doesn't show its banner again. dunst and mako, which know tags,
            # don't show it again anyway, and have colours for low urgency that are hard to read.
            if notification.quiet and _STACK_TAG not in self._can:
                hints["urgency"] = Variant("y", _URGENCIES[common.Urgency.Low])
            hints["category"] = Variant("s", notification.category)
            hints["transient"] = Variant("b", notification.transient)
        return hints

    async def _clear(self, identifier: str) -> None:
        """Remove the notification in a slot. Raise BusError.

        Where the server doesn't answer in time, the notification's number is kept, so that the
        server can be asked again.
        """
        self._clear_notification_from_cache(identifier)
        number = self._numbers.pop(identifier, None)
        if number is None:
            return
        # Only the server that the number is from is asked: another uses it for something else.
        try:
            await self._call("CloseNotification", "u", [number])
        except ErrorReplyError:
            return  # it was closed before, or the server is gone
        except NoReplyError:
            # The server hangs, and is asked again later. A late closing isn't the user's.
            self._numbers.setdefault(identifier, number)
            self._leaving.add(number)
            raise

    async def _clear_all(self) -> None:
        """Ask the server to close all notifications, without waiting for its answers.

        Wait at most LAST_WORDS seconds until the kernel has accepted that.
        """
        for number in self._numbers.values():
            self._connection.tell(
                self._server, SERVER_PATH, SERVER, "CloseNotification", "u", [number]
            )
        self._numbers.clear()
        await self._connection.flush(LAST_WORDS)

    async def _get_capabilities(self) -> frozenset[common.Capability]:
        await self._find_server()
        shown = (common.Capability.TITLE, common.Capability.ICON, common.Capability.URGENCY)
        return frozenset([*shown, *([common.Capability.MESSAGE] if "body" in self._can else [])])

    async def _find_server(self) -> None:
        """Find the server and its capabilities; ask the bus to start one where none runs.

        This is called before each notification. The server may have been restarted, and then
        another program's notification may have the number of ours. And a server that hangs is found
        before a notification waits in its queue, which would have to be sent again. Raise BusError.
        """
        try:
            reply = await self._call("GetCapabilities", destination=SERVER)
        except ErrorReplyError as e:
            if e.name not in _NOBODY:
                raise
            await self._start_server()
            reply = await self._call("GetCapabilities", destination=SERVER)
        self._can = frozenset(reply.body[0])
        if reply.sender != self._server:
            self._server = reply.sender
            self._numbers.clear()
            self._leaving.clear()

    async def _start_server(self) -> None:
        """Ask the bus to start a server, and wait until it has.

        Raise NobodyError where the bus can start none; BusError.
        """
        try:
            await self._connection.call(
                BUS, BUS_PATH, BUS, "StartServiceByName", "su", [SERVER, 0], within=START_LIMIT
            )
        except ErrorReplyError as e:
            if e.name in _NOBODY:
                raise NobodyError(str(e)) from e
            raise

    async def _call(
        self,
        member: str,
        signature: str = "",
        body: list[Any] | None = None,
        *,
        destination: str | None = None,
    ) -> Reply:
        """Call a method of the last server that _find_server() found, or of ``destination``.

        Return the reply. Raise BusError, also for a reply of another type than the method has.
        """
        reply = await self._connection.call(
            destination or self._server, SERVER_PATH, SERVER, member, signature, body or [],
            within=ANSWER_LIMIT,
        )  # fmt: skip
        if reply.signature != _ANSWERS[member]:
            raise NoReplyError(f"the notification server gave {member} a strange answer")
        return reply

    def _on_signal(self, signal: Signal) -> None:
        """Handle a signal of the bus or the server; ignore those that other programs send."""
        if signal.sender == BUS:
            if signal.member == "NameOwnerChanged" and signal.body[0] == SERVER:
                self._on_owner_changed(signal.body[2])
            return
        if signal.sender != self._server or signal.interface != SERVER:
            return
        match signal.member, signal.signature:
            case "NotificationClosed", "uu":
                self._on_closed(*signal.body)
            case "ActionInvoked", "us":
                self._on_action(*signal.body)

    def _on_owner_changed(self, owner: str) -> None:
        """Forget the server and its numbers where another server, or none (""), has its name.

        Call ``on_owner`` then.
        """
        if owner == self._server:
            return
        self._server = ""
        self._numbers.clear()
        self._leaving.clear()
        self._on_owner(owner)

    def _on_closed(self, nid: int, reason: int) -> None:
        """Report the slot of a closed notification: as expired, or as closed by the user.

        A notification that the server was asked to remove, and removes late, counts as expired.
        """
        slot = next((slot for slot, number in self._numbers.items() if number == nid), None)
        if slot is not None:
            del self._numbers[slot]
            by_itself = reason == EXPIRED or nid in self._leaving
            self._leaving.discard(nid)
            (self._on_expired if by_itself else self._on_closed_by_user)(slot)

    def _on_action(self, nid: int, button: str) -> None:
        """Call a pressed button's callback, once, and close the notification.

        Some servers close a notification whose button was pressed, and some don't. As it is closed
        here, its removal is never taken for that of the next notification in its slot.
        """
        slot = next((slot for slot, number in self._numbers.items() if number == nid), None)
        shown = self._notification_cache.get(slot or "")
        if slot is None or shown is None or all(b.identifier != button for b in shown.buttons):
            return
        self._clear_notification_from_cache(slot)
        del self._numbers[slot]
        self._connection.tell(self._server, SERVER_PATH, SERVER, "CloseNotification", "u", [nid])
        self.handle_button(slot, button, shown)


def _unmarked(text: str) -> str:
    """Return a text in which nothing can be read as markup or as an entity."""
    return _ENTITY.sub("＆", text.translate(_ANGLES))


_ANSWERS: Final = {"GetCapabilities": "as", "Notify": "u", "CloseNotification": ""}
