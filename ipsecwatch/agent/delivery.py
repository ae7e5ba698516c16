# SPDX-License-Identifier: MIT
"""Makes the screen so that it shows what is wanted, or prints that where there is no screen.

Only what is wanted now counts, so a server that hangs delays nobody and no queue can grow. What
couldn't be shown is printed, and shown when there is a server, if it is still so.

There are a few slots on the screen. A notice stays in its slot; one that takes the place of others
takes a slot of theirs, and so replaces it in place.
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
from ipsecwatch.agent.policy import MAX_NOTICES
from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import BusError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipsecwatch.agent.notifications import Notification

logger = logging.getLogger(__name__)

RETRY: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts with a server that refuses or hangs; the last one for ever. Where there
is none, one that comes is heard of."""
END_LIMIT: Final = 0.4
"""Seconds that an answer of the server's is waited for at the end."""
_NO_TEXT: Final = -1
"""No checksum of any text."""
SLOTS: Final = tuple(str(n + 1) for n in range(MAX_NOTICES))


class Display(Protocol):
    """What shows notices. Both methods raise BusError."""

    async def show(self, slot: str, notice: Notification, *, quiet: bool = False) -> None:
        """Show a notice in place of the last one in its slot."""

    async def withdraw(self, slot: str) -> None:
        """Take what is in a slot off the screen, if it is there."""

    async def withdraw_all(self) -> None:
        """Take all off the screen, and wait for nobody for long."""


@dataclass(slots=True)
class Slot:
    """What was shown last in a slot."""

    key: str
    rank: int
    wrong: int
    """With how many tunnels something was wrong."""
    text: int
    """A checksum of what it says."""
    there: bool = True
    """It may still be on the screen."""


class Delivery:
    """Shows what is wanted.

    ``shown`` gets each notice that a server took, ``unshown`` each that none could be found for;
    ``changed`` is called when what is in the slots has changed.
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
        self._stirred = asyncio.Event()
        self._idle = asyncio.Lock()
        self._display: Display | None = None
        self._backoff = Backoff(RETRY)
        self._retry_at: float | None = None
        self._nobody = False
        """There is no server; one that comes is heard of."""

    def want(self, wanted: Mapping[str, Notification], held: frozenset[str]) -> None:
        """Show this, and nothing else but the notices of ``held`` keys that are there."""
        if wanted != self._wanted:
            self._nobody = False  # the bus may know a server to start
        self._wanted, self._held = wanted, held
        self._stirred.set()

    def use(self, display: Display | None) -> None:
        """Show on this from now on; None: there is no screen."""
        self._display = display
        self.slots.clear()
        self.server_is_there()

    def adopt(self, slots: Mapping[str, Slot]) -> None:
        """Take over what an agent before this one has shown.

        It is shown once more, quietly and in its place, if it is still wanted: GNOME takes away
        what a program has shown when the program ends.
        """
        self.slots = {name: replace(slot, text=_NO_TEXT) for name, slot in slots.items()}

    def server_is_there(self) -> None:
        """Try at once: there is a server now, or something else has changed."""
        self._backoff.reset()
        self._retry_at, self._nobody = None, False
        self._stirred.set()

    def server_changed(self, owner: str) -> None:
        """Take note that another server is there, which shows nothing yet, or none ("")."""
        if owner:
            self.slots.clear()
            self.server_is_there()
        else:
            # What was there isn't shown again: the desktop may be about to end, and the bus would
            # start a server for it.
            for slot in self.slots.values():
                slot.there = False

    def closed(self, slot: str) -> str | None:
        """Take note that what is in a slot isn't on the screen any more; return its key."""
        if slot not in self.slots:
            return None
        self.slots[slot].there = False
        return self.slots[slot].key

    async def run(self) -> None:
        """Keep the screen so for ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._retry_at):
                    await self._stirred.wait()
            self._stirred.clear()
            async with self._idle:
                await self._deliver()

    async def end(self) -> None:
        """Take all off the screen, within a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_LIMIT):
                await self._idle.acquire()  # what is being shown now has a number then
        if self._display is not None:
            await self._display.withdraw_all()
        self._display = None
        self.slots.clear()

    async def _deliver(self) -> None:
        now = asyncio.get_running_loop().time()
        waits = self._retry_at is not None and now < self._retry_at
        if self._display is not None and not waits and not self._nobody:
            await self._try_to_show(self._display)
        for key in [key for key in self._printed if key not in self._wanted]:
            del self._printed[key]
        for notice in list(self._wanted.values()):
            if self._slot_of(notice.key) is None and self._printed.get(notice.key) != text(notice):
                self._printed[notice.key] = text(notice)
                self._unshown(notice)

    async def _try_to_show(self, display: Display) -> None:
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
        """Show and take away until the screen is as wanted, whatever is wanted meanwhile."""
        while (step := self._next_step()) is not None:
            slot, notice = step
            if notice is None:
                self.slots[slot].text = _NO_TEXT  # a server that hangs may take it away at last
                await display.withdraw(slot)
                self.slots.pop(slot, None)
            else:
                await self._show_in(display, slot, notice)
            self._changed()

    def _next_step(self) -> tuple[str, Notification | None] | None:
        """Return a slot and what it should show; None for what should go."""
        leaving = self._leaving()
        for notice in self._wanted.values():
            slot = self._slot_of(notice.key)
            if slot is None:
                return (leaving or self._free())[0], notice
            if self.slots[slot].text != text(notice):
                return slot, notice
        return (leaving[0], None) if leaving else None

    def _leaving(self) -> list[str]:
        keys = self._wanted.keys() | self._held
        return [slot for slot, s in self.slots.items() if s.key not in keys]

    def _free(self) -> list[str]:
        held = [slot for slot, s in self.slots.items() if s.key not in self._wanted]
        return [*(slot for slot in SLOTS if slot not in self.slots), *held]

    def _slot_of(self, key: str) -> str | None:
        return next((slot for slot, s in self.slots.items() if s.key == key), None)

    async def _show_in(self, display: Display, slot: str, notice: Notification) -> None:
        logger.debug("showing %s in slot %s", notice.key, slot)
        await display.show(slot, notice, quiet=_is_no_worse(notice, self.slots.get(slot)))
        self.slots[slot] = Slot(notice.key, notice.rank, notice.wrong, text(notice))
        self._printed.pop(notice.key, None)
        self._shown(notice)


def _is_no_worse(notice: Notification, before: Slot | None) -> bool:
    """Return whether a notice tells what was there before: it isn't to catch anybody's eye."""
    if before is None or not before.there or not notice.lasting:
        return False
    same = before.key in (notice.key, notifications.SUMMARY)
    return same and notice.rank <= before.rank and notice.wrong <= before.wrong


def text(notice: Notification) -> int:
    """Return a checksum of what a notice says, the same in every process."""
    return zlib.crc32(f"{notice.title}\0{notice.body}".encode())


def to_terminal(line: str) -> None:
    """Print a line. A terminal that was closed, or has not all letters, ends nothing."""
    try:
        encoding = sys.stdout.encoding or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def print_notice(notice: Notification) -> None:
    """Print a notice that has no screen."""
    to_terminal(notifications.line(notice, time.time()))
