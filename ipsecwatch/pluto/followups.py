# SPDX-License-Identifier: MIT
"""Extra polls between the regular ones: some after a waker, and one at a moment known before.

Kernel and log may report a change before pluto's status shows it, so that one poll after them isn't
enough. And it is known in advance when a CONNECTING tunnel will become STUCK, or the tunnels of a
stopped pluto DOWN.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSES: Final = (0.25, 0.5, 1.0)
"""Seconds after a waker's report at which pluto is polled again."""


class Followups:
    """Calls ``look`` when pluto should be polled; poller.py limits how often it really is."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._echo: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._insists = False

    def wake(self) -> None:
        """Call ``look`` now and after each of PAUSES: a waker other than the log saw a change."""
        self._insists = True
        self.logged()

    def logged(self) -> None:
        """Call ``look`` now and after each of PAUSES, until seen(): pluto logged a line."""
        self._look()
        if self._echo is not None:
            self._echo.cancel()
        self._echo_after(0)

    def seen(self) -> None:
        """Cancel the follow-up polls of logged(), because a poll has shown a transition.

        Those of wake() stay: one transition may be only a part of what the kernel reported.
        """
        if self._echo is not None and not self._insists:
            self._echo.cancel()
            self._echo = None

    def set_alarm(self, due: float | None) -> None:
        """Call ``look`` at ``due`` on the loop's clock, instead of at the time that was set before.

        None: cancel that call. A ``due`` that has passed does the same. Regular polls alone would
        notice the change up to a second late.
        """
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        loop = asyncio.get_running_loop()
        # If that time has passed, a poll is under way or has failed: a further one doesn't help.
        if due is not None and due > loop.time():
            self._alarm = loop.call_at(due, self._look)

    def close(self) -> None:
        """Cancel all calls of ``look``."""
        for timer in (self._echo, self._alarm):
            if timer is not None:
                timer.cancel()

    def _echo_after(self, n: int) -> None:
        """Schedule the follow-up poll number ``n``, counted from 0."""
        before = PAUSES[n - 1] if n else 0.0
        loop = asyncio.get_running_loop()
        self._echo = loop.call_later(PAUSES[n] - before, self._echoed, n)

    def _echoed(self, n: int) -> None:
        self._look()
        if n + 1 < len(PAUSES):
            self._echo_after(n + 1)
        else:
            self._echo, self._insists = None, False
