# SPDX-License-Identifier: MIT
"""Show notifications on the desktop. Only this module imports desktop-notifier.

It is a back end for that library, because the library's own one for D-Bus (version 6.2) has these
faults:

* it escapes nothing, while most notification servers read a body as markup;
* it can't replace a notification, and sets no hints but the urgency;
* if there is no server, send() reports no error; if a server hangs, send() never returns;
* it has a connection of its own, and doesn't open it again when the session's bus was restarted;
* it accepts signals from any sender, also the one about a pressed button, and handles every press
  of a button that is still on the screen; a button's callback gets no arguments, and the buttons
  of a notification can be found again only by a private name;
* its table of numbers, bidict, needs 7 MB for typing_extensions if Python is older than 3.12, a
  quarter of the agent's memory.

Therefore notifications are sent over our own BusConnection, with deadlines. From the library come
its model of a notification, and the base class of its back ends. A notification is shown in a slot
(delivery.py), and replaces the one that the slot had. The slot's name is the library's
``identifier``.
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
"""The bus name of the notification server, and also the name of its interface."""
SERVER_PATH: Final = "/org/freedesktop/Notifications"
DESKTOP_ENTRY: Final = "ipsecwatch"
"""The name of our desktop file, without ``.desktop``."""

ANSWER_LIMIT: Final = 5.0
"""Seconds that the server may take for an answer. A healthy server takes some milliseconds."""
START_LIMIT: Final = 20.0
"""Seconds that the bus may take to start a notification server."""
LAST_WORDS: Final = 0.4
"""Seconds for which withdraw_all() waits at most until its messages are sent, as the agent ends."""

EXPIRED: Final = 1
"""The reason in the signal NotificationClosed if the server removed the notification by itself.
With any other reason somebody closed it: the user, or we. If we did, its number is in ``_leaving``
or no longer known here."""

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
    """There is no notification server, and the bus knows none that it could start."""


@dataclass(frozen=True)
class _Hinted(common.Notification):
    """The library's notification, with further hints that the library doesn't have."""

    category: str = ""
    transient: bool = False
    quiet: bool = False
    """Whether it is only an update of what is shown, and shouldn't attract attention."""


class NotificationServer(DesktopNotifierBackend):
    """The notification server, over one connection to the session's bus.

    These functions are called: ``on_owner`` with the bus name of a new server, or "" if the server
    ended; ``on_expired`` with a slot whose notification the server removed by itself; ``on_closed``
    with a slot whose notification somebody closed; ``on_pressed`` with a slot and the button that
    was pressed there. A notification whose button was pressed has left the screen.
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
        """The unique bus name of the server that ``_numbers`` are from; "": none."""
        self._can: frozenset[str] = frozenset()
        """The capabilities that the server said it has, such as ``body-markup``."""
        self._numbers: dict[str, int] = {}
        """For each slot, the number that the server gave to the notification in it."""
        self._leaving: set[int] = set()
        """The numbers of notifications that a server which hangs was asked to close."""

    async def listen(self) -> None:
        """Subscribe to the server's signals, and to its start and end.

        Raise BusError if that fails.
        """
        self._connection.on_signal = self._on_signal
        for rule in _RULES:
            await self._connection.call_bus("AddMatch", "s", rule)

    async def owner(self) -> str:
        """Return the unique bus name of the running server; "" if none runs.

        No server is started for that. Raise BusError if the bus fails.
        """
        try:
            reply = await self._connection.call_bus("GetNameOwner", "s", SERVER)
        except ErrorReplyError:
            return ""
        return str(reply.body[0])

    @property
    def numbers(self) -> dict[str, int]:
        """For each slot, the number that the server gave to the notification in it.

        This is a copy.
        """
        return dict(self._numbers)

    @property
    def server(self) -> str:
        """The unique bus name of the server that ``numbers`` are from; "": none."""
        return self._server

    def adopt(self, server: str, numbers: Mapping[str, int]) -> None:
        """Restore an earlier agent's notifications, by the numbers that the server gave them.

        ``server`` is the unique bus name of that server, and ``numbers`` has a number for each
        slot.
        """
        self._server, self._numbers = server, dict(numbers)
        self._notification_cache.clear()

    async def show(self, slot: str, notification: Notification, *, quiet: bool = False) -> None:
        """Show a notification in a slot, in place of the one that the slot had. Raise BusError.

        ``quiet`` means that it is only an update of that one, and shouldn't attract attention.
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
        """Return one of our buttons as the library's.

        Its callback calls ``on_pressed`` with the slot.
        """
        title, pressed = translated(BUTTONS[button]), partial(self._on_pressed, slot, button)
        return common.Button(title, pressed, button.value)

    async def withdraw(self, slot: str) -> None:
        """Remove the notification in a slot from the screen, if there is one. Raise BusError."""
        await self._clear(slot)

    async def withdraw_all(self) -> None:
        """Ask the server to remove all notifications, without a wait for its answer.

        Raise no error.
        """
        await self._clear_all()

    async def request_authorisation(self) -> bool:
        """Return True: a notification server on Linux asks for no authorisation."""
        return True

    async def has_authorisation(self) -> bool:
        """Return True: a notification server on Linux asks for no authorisation."""
        return True

    async def _send(self, notification: common.Notification) -> None:
        """Show one of the library's notifications, escaped as the server needs it.

        Raise BusError.
        """
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
        """Return the hints of a notification, by their names in the Desktop Notifications standard.

        If the server is one that knows dunst's tag for replacing notifications, that is there, too.
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
        """Remove the notification in a slot from the screen. Do nothing if the slot has none.

        Raise BusError if the bus fails, or if the server doesn't answer in time. In that case the
        notification's number is kept, so that this can be called again.
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
        """Ask the server to close all notifications, without a wait for its answers.

        Wait only until the kernel has accepted the messages, for LAST_WORDS seconds at most.
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
        """Find the running server and its capabilities. If none runs, ask the bus to start one.

        This is done before each notification. If the server was restarted, the numbers of the old
        one are forgotten: the new one may have given them to another program's notifications. And a
        server that hangs is found out before a notification waits in its queue. Raise BusError.
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
        """Ask the bus to start a notification server, and wait until it has.

        Raise NobodyError if the bus knows none that it could start, and BusError if starting fails.
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
        """Call a method of the server that _find_server() found, or of the name ``destination``.

        Return the reply. Raise BusError, also if the reply has other types than the method returns.
        """
        reply = await self._connection.call(
            destination or self._server, SERVER_PATH, SERVER, member, signature, body or [],
            within=ANSWER_LIMIT,
        )  # fmt: skip
        if reply.signature != _ANSWERS[member]:
            raise NoReplyError(f"the notification server gave {member} a strange answer")
        return reply

    def _on_signal(self, signal: Signal) -> None:
        """Handle a signal of the bus or of the server. Signals of other senders are ignored."""
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
        """Forget the server and its numbers, since its bus name has another owner or none ("") now.

        Then call ``on_owner``. Do nothing if the server is the one that is known here.
        """
        if owner == self._server:
            return
        self._server = ""
        self._numbers.clear()
        self._leaving.clear()
        self._on_owner(owner)

    def _on_closed(self, nid: int, reason: int) -> None:
        """Report which slot's notification was closed, as expired or as closed by the user.

        If we asked for it, and the server had hung, so that it comes late, it counts as expired.
        """
        slot = next((slot for slot, number in self._numbers.items() if number == nid), None)
        if slot is not None:
            del self._numbers[slot]
            by_itself = reason == EXPIRED or nid in self._leaving
            self._leaving.discard(nid)
            (self._on_expired if by_itself else self._on_closed_by_user)(slot)

    def _on_action(self, nid: int, button: str) -> None:
        """Call the callback of a pressed button, and close the notification.

        Only the first press counts. Some servers close the notification by themselves, and others
        don't. It is forgotten here at once, so that its end isn't taken for that of the next
        notification in the slot.
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
    """Return a text in which nothing can be read as markup: ‹ for <, and ＆ before an entity."""
    return _ENTITY.sub("＆", text.translate(_ANGLES))


_ANSWERS: Final = {"GetCapabilities": "as", "Notify": "u", "CloseNotification": ""}
