# SPDX-License-Identifier: MIT
"""When to look at pluto although it isn't the tick yet: after a waker, and when time will tell.

Kernel and log may be ahead of pluto's status, so that one look after them isn't enough. And a
tunnel that is tried becomes stuck, and a pluto that is away is given up, at a moment known before.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSES: Final = (0.25, 0.5, 1.0)
"""Seconds after a waker until the next looks."""


class Followups:
    """Calls ``look`` when it is time; how often pluto is asked is another's affair."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._echo: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._insists = False

    def wake(self) -> None:
        """Look now, and some more times soon."""
        self._insists = True
        self.logged()

    def logged(self) -> None:
        """Look now; and some more times soon, until what pluto logged is seen."""
        self._look()
        if self._echo is not None:
            self._echo.cancel()
        self._echo_after(0)

    def seen(self) -> None:
        """Take note that something was seen. Of the kernel's word it may be a part."""
        if self._echo is not None and not self._insists:
            self._echo.cancel()
            self._echo = None

    def set_alarm(self, due: float | None) -> None:
        """Look at a moment on the loop's clock, and at no other that was set before.

        The tick alone would find up to a second late what is stuck by then.
        """
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        loop = asyncio.get_running_loop()
        # What is overdue already waits for an answer, and asking more often brings none.
        if due is not None and due > loop.time():
            self._alarm = loop.call_at(due, self._look)

    def close(self) -> None:
        """Look no more."""
        for timer in (self._echo, self._alarm):
            if timer is not None:
                timer.cancel()

    def _echo_after(self, n: int) -> None:
        before = PAUSES[n - 1] if n else 0.0
        loop = asyncio.get_running_loop()
        self._echo = loop.call_later(PAUSES[n] - before, self._echoed, n)

    def _echoed(self, n: int) -> None:
        self._look()
        if n + 1 < len(PAUSES):
            self._echo_after(n + 1)
        else:
            self._echo, self._insists = None, False
