# SPDX-License-Identifier: MIT
"""Show the wanted notifications on the desktop, or print them if there is no desktop.

Only what is wanted now is shown, so no queue grows while a notification server hangs. A
notification that couldn't be shown is printed. It is shown later, if it is still wanted when a
server accepts it.

There are MAX_NOTIFICATIONS places on the screen, called slots, and a notification stays in its
slot. When one notification about several tunnels takes the place of several, it gets the slot of
one of them, so that the server replaces that one in place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from ipsecwatch.agent import notifications
from ipsecwatch.agent.policy import MAX_NOTIFICATIONS
from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipsecwatch.agent.notifications import Notification

logger = logging.getLogger(__name__)

RETRY: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts if the server refuses or hangs; the last one is repeated. If there is no
server, the next attempt comes only when one starts, or when something else is wanted."""
END_LIMIT: Final = 0.4
"""Seconds that end() waits for a notification that is being shown or removed at that moment."""
_NO_TEXT: Final = -1
"""Stands for a text that no notification has, so that the notification is shown again."""
SLOTS: Final = tuple(str(n + 1) for n in range(MAX_NOTIFICATIONS))


class Display(Protocol):
    """A notification server, or a test's stand-in. show() and withdraw() raise BusError."""

    async def show(self, slot: str, notification: Notification, *, quiet: bool = False) -> None:
        """Show a notification in a slot, in place of the one that the slot had.

        ``quiet`` means that it is only an update of that one, and shouldn't attract attention.
        """

    async def withdraw(self, slot: str) -> None:
        """Remove the notification in a slot from the screen, if it is there."""

    async def withdraw_all(self) -> None:
        """Remove all notifications from the screen, without a long wait for the server."""


@dataclass(slots=True)
class Slot:
    """What is known of the notification that was last shown in a slot."""

    key: str
    rank: int
    wrong: int
    """The number of tunnels with a problem that the notification is about."""
    text: int
    """The checksum of the notification's title and body, as text() returns it."""
    there: bool = True
    """Whether the notification may still be on the screen. It stays in the slot when the user has
    closed it, so that it isn't shown again."""


class Delivery:
    """Shows the wanted notifications, and removes all others from the screen.

    ``shown`` is called with each notification that a server accepted. ``unshown`` is called with
    each that is wanted and couldn't be shown, once for each text that it has. ``changed`` is called
    whenever run() has shown or removed one.
    """

    def __init__(
        self,
        shown: Callable[[Notification], object],
        unshown: Callable[[Notification], object],
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        self._shown = shown
        self._unshown = unshown
        self._changed = changed
        self.slots: dict[str, Slot] = {}
        self._wanted: Mapping[str, Notification] = {}
        self._held: frozenset[str] = frozenset()
        self._printed: dict[str, int] = {}
        self._wakeup = asyncio.Event()
        """Set when run() must compare the screen with what is wanted."""
        self._idle = asyncio.Lock()
        """Held while notifications are being shown or removed, so that end() can wait for that."""
        self._display: Display | None = None
        self._backoff = Backoff(RETRY)
        self._retry_at: float | None = None
        self._nobody = False
        """Whether the last attempt found no notification server. Then run() doesn't try again by
        itself."""

    def want(self, wanted: Mapping[str, Notification], held: frozenset[str]) -> None:
        """Set the notifications that run() shows, by their keys.

        All others are removed from the screen, except those whose keys are in ``held``.
        """
        if wanted != self._wanted:
            self._nobody = False  # the bus may be able to start a server now
        self._wanted, self._held = wanted, held
        self._wakeup.set()

    def use(self, display: Display | None) -> None:
        """Use another display from now on, on which nothing is shown yet.

        None: there is no desktop.
        """
        self._display = display
        self.slots.clear()
        self.server_is_there()

    def adopt(self, slots: Mapping[str, Slot]) -> None:
        """Restore the slots that an earlier agent saved, with the notifications that it showed.

        Those that are still wanted are shown once more in their slots, because GNOME removes the
        notifications of a program that ends. That is done quietly unless the new text reports
        something worse.
        """
        self.slots = {name: replace(slot, text=_NO_TEXT) for name, slot in slots.items()}

    def server_is_there(self) -> None:
        """Record that there may be a server now: run() tries at once to show what is wanted."""
        self._backoff.reset()
        self._retry_at, self._nobody = None, False
        self._wakeup.set()

    def server_changed(self, owner: str) -> None:
        """Record that a notification server has started, which shows nothing yet, or has ended.

        ``owner`` is the unique bus name of the new server; "" if the server ended.
        """
        if owner:
            self.slots.clear()
            self.server_is_there()
        else:
            # Nothing is shown again now: the desktop may be about to end, and the bus would
            # start a server for it.
            for slot in self.slots.values():
                slot.there = False

    def closed(self, slot: str) -> str | None:
        """Record that the notification in a slot has left the screen, and return its key.

        Return None if the slot is empty.
        """
        if slot not in self.slots:
            return None
        self.slots[slot].there = False
        return self.slots[slot].key

    async def run(self) -> None:
        """Show and remove notifications as they are wanted, for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._retry_at):
                    await self._wakeup.wait()
            self._wakeup.clear()
            async with self._idle:
                await self._deliver()

    async def end(self) -> None:
        """Remove all notifications from the screen, within a second; use no display any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_LIMIT):
                await self._idle.acquire()  # so that the notification being shown has a number
        if self._display is not None:
            await self._display.withdraw_all()
        self._display = None
        self.slots.clear()

    async def _deliver(self) -> None:
        """Show what is wanted, unless there is no display or server, or an attempt is not due yet.

        Then call ``unshown`` with each wanted notification that isn't in a slot, once for each
        text.
        """
        now = asyncio.get_running_loop().time()
        waits = self._retry_at is not None and now < self._retry_at
        if self._display is not None and not waits and not self._nobody:
            await self._try_to_show(self._display)
        for key in [key for key in self._printed if key not in self._wanted]:
            del self._printed[key]
        for notification in list(self._wanted.values()):
            if self._slot_of(notification.key) is None and self._printed.get(
                notification.key
            ) != text(notification):
                self._printed[notification.key] = text(notification)
                self._unshown(notification)

    async def _try_to_show(self, display: Display) -> None:
        """Show what is wanted. If that fails, set the time of the next attempt.

        If there is no notification server, no time is set (see RETRY).
        """
        try:
            await self._show(display)
        except BusError as e:
            from ipsecwatch.agent.desktop import NobodyError

            if self._backoff.failures == 0:
                logger.warning("no notifications on the desktop: %s", clean(str(e)))
            pause = self._backoff.next()
            self._nobody = isinstance(e, NobodyError)
            now = asyncio.get_running_loop().time()
            self._retry_at = None if self._nobody else now + pause
        else:
            self._backoff.reset()
            self._retry_at = None

    async def _show(self, display: Display) -> None:
        """Show and remove notifications until the screen is as wanted. Raise BusError.

        What is wanted may change while this waits for the server; the newest is shown.
        """
        while (step := self._next_step()) is not None:
            slot, notification = step
            if notification is None:
                self.slots[slot].text = _NO_TEXT  # a hanging server may still remove it later
                await display.withdraw(slot)
                self.slots.pop(slot, None)
            else:
                await self._show_in(display, slot, notification)
            self._changed()

    def _next_step(self) -> tuple[str, Notification | None] | None:
        """Return a slot, and the notification to show in it next; None if the screen is as wanted.

        If the slot's notification is to be removed, None stands in place of a notification.
        """
        leaving = self._leaving()
        for notification in self._wanted.values():
            slot = self._slot_of(notification.key)
            if slot is None:
                return (leaving or self._free())[0], notification
            if self.slots[slot].text != text(notification):
                return slot, notification
        return (leaving[0], None) if leaving else None

    def _leaving(self) -> list[str]:
        """Return the slots whose notifications are neither wanted nor held, and so must go."""
        keys = self._wanted.keys() | self._held
        return [slot for slot, s in self.slots.items() if s.key not in keys]

    def _free(self) -> list[str]:
        """Return the slots for a new notification: empty ones, then those with an unwanted one."""
        held = [slot for slot, s in self.slots.items() if s.key not in self._wanted]
        return [*(slot for slot in SLOTS if slot not in self.slots), *held]

    def _slot_of(self, key: str) -> str | None:
        return next((slot for slot, s in self.slots.items() if s.key == key), None)

    async def _show_in(self, display: Display, slot: str, notification: Notification) -> None:
        """Show a notification in a slot, and record it there.

        Raise BusError if the server refuses it.
        """
        logger.debug("showing %s in slot %s", notification.key, slot)
        await display.show(
            slot, notification, quiet=_is_no_worse(notification, self.slots.get(slot))
        )
        self.slots[slot] = Slot(
            notification.key, notification.rank, notification.wrong, text(notification)
        )
        self._printed.pop(notification.key, None)
        self._shown(notification)


def _is_no_worse(notification: Notification, before: Slot | None) -> bool:
    """Return whether a notification reports nothing worse than the one that it replaces.

    That is so if neither its rank nor its number of tunnels is higher. The two are compared only if
    the one before may still be on the screen, and had the same key or was a summary. In all other
    cases, and if the new one disappears by itself, return False.
    """
    if before is None or not before.there or not notification.lasting:
        return False
    same = before.key in (notification.key, notifications.SUMMARY)
    return same and notification.rank <= before.rank and notification.wrong <= before.wrong


def text(notification: Notification) -> int:
    """Return a checksum of a notification's title and body, which is the same in every process."""
    return zlib.crc32(f"{notification.title}\0{notification.body}".encode())


def to_terminal(line: str) -> None:
    """Print a line to stdout. Characters that its encoding doesn't have are escaped.

    If stdout was closed, nothing is printed from then on, and no error is raised.
    """
    try:
        encoding = sys.stdout.encoding or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def print_notification(notification: Notification) -> None:
    """Print a notification that couldn't be shown as one line, with the present time before it."""
    to_terminal(notifications.line(notification, time.time()))
