# SPDX-License-Identifier: MIT
"""Notices on their way to the screen, or to the terminal where there is no screen.

Only the newest notice of each key waits, so a server that hangs delays nobody and a queue can't
grow. What couldn't be shown is printed at once, and shown after all if a server comes soon: at the
start of a session the agent may well be earlier than the desktop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ipsecwatch.agent import notifications
from ipsecwatch.agent.notifications import Notification, Withdrawal
from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import BusError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

RETRY: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds between attempts to reach a server that isn't there; the last one for ever."""
FRESH: Final = 60.0
"""Seconds for which a notice is still worth being shown."""


class Display(Protocol):
    """What shows notices. Both methods raise BusError."""

    async def show(self, notice: Notification) -> None:
        """Show a notice in place of the last one with its key."""

    async def withdraw(self, key: str) -> None:
        """Take the notice with this key off the screen, if it is there."""


@dataclass(slots=True)
class _Pending:
    what: Notification | Withdrawal
    since: float
    printed: bool = False


class Delivery:
    """Delivers notices, one at a time."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._items: dict[str, _Pending] = {}
        self._stirred = asyncio.Event()
        self._display: Display | None = None
        self._backoff = Backoff(RETRY)
        self._retry_at = 0.0

    def put(self, what: Notification | Withdrawal) -> None:
        """Deliver this in place of what waits with the same key."""
        self._items.pop(what.key, None)
        self._items[what.key] = _Pending(what, asyncio.get_running_loop().time())
        self._stirred.set()

    def use(self, display: Display | None) -> None:
        """Show on this from now on; None: there is no screen."""
        self._display = display
        self._backoff.reset()
        self._retry_at = 0.0
        self._stirred.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            retry = self._items and self._display is not None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._retry_at if retry else None):
                    await self._stirred.wait()
            self._stirred.clear()
            for key, item in list(self._items.items()):
                if self._items.get(key) is item and await self._deliver(item):
                    self._drop(key, item)

    def _drop(self, key: str, item: _Pending) -> None:
        if self._items.get(key) is item:  # nothing newer came meanwhile
            del self._items[key]

    async def _deliver(self, item: _Pending) -> bool:
        """Show a notice, or at least print it; says whether that is all that can be done."""
        now = asyncio.get_running_loop().time()
        if item.printed and now - item.since > FRESH:
            return True
        if self._display is None or now < self._retry_at:
            shown = False
        else:
            shown = await self._show(self._display, item.what)
        if not shown:
            self._print(item)
        return shown or isinstance(item.what, Withdrawal)

    async def _show(self, display: Display, what: Notification | Withdrawal) -> bool:
        try:
            if isinstance(what, Withdrawal):
                await display.withdraw(what.key)
            else:
                await display.show(what)
        except BusError as e:
            if self._backoff.failures == 0:
                logger.warning("no notifications on the desktop: %s", clean(str(e)))
            self._retry_at = asyncio.get_running_loop().time() + self._backoff.next()
            return False
        self._backoff.reset()
        return True

    def _print(self, item: _Pending) -> None:
        if isinstance(item.what, Notification) and not item.printed:
            item.printed = True
            self._write(notifications.line(item.what, time.time()))


def to_terminal(line: str) -> None:
    """Print a line. A terminal that was closed, or has not all letters, ends nothing."""
    try:
        encoding = sys.stdout.encoding or "ascii"
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
