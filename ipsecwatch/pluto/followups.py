# SPDX-License-Identifier: MIT
"""Extra polls between the regular ones: after what a waker saw, and at a time that is known before.

The kernel and pluto's log may show a change before pluto's status does, so that one poll at once
isn't enough. And it is known in advance when a CONNECTING tunnel will become STUCK, or the tunnels
of a stopped pluto DOWN.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSES: Final = (0.25, 0.5, 1.0)
"""Seconds after a waker saw something at which pluto is polled again, all counted from then."""


class Followups:
    """Calls ``look`` when pluto should be polled; poller.py limits how often it really is."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._echo: asyncio.TimerHandle | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._insists = False

    def wake(self) -> None:
        """Call ``look`` now and at each of PAUSES: a waker other than the log saw a change.

        seen() doesn't cancel these calls.
        """
        self._insists = True
        self.logged()

    def logged(self) -> None:
        """Call ``look`` now and at each of PAUSES, until seen() is called: pluto logged a line.

        If calls from wake() were still to come, the new calls replace these, and seen() doesn't
        cancel the new ones.
        """
        self._look()
        if self._echo is not None:
            self._echo.cancel()
        self._echo_after(0)

    def seen(self) -> None:
        """Cancel the calls of ``look`` that logged() has scheduled: a poll has shown a transition.

        Those that wake() has scheduled stay, since one transition may be only a part of the change
        that the kernel reported.
        """
        if self._echo is not None and not self._insists:
            self._echo.cancel()
            self._echo = None

    def set_alarm(self, due: float | None) -> None:
        """Call ``look`` at ``due`` (loop's clock); that replaces the time that was set before.

        For None, or a ``due`` that has passed, only cancel the call that was set before. Without
        this call, a regular poll would notice the change up to a second late.
        """
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        loop = asyncio.get_running_loop()
        # If that time has passed, a poll is under way or has failed: a further one doesn't help.
        if due is not None and due > loop.time():
            self._alarm = loop.call_at(due, self._look)

    def close(self) -> None:
        """Cancel all scheduled calls of ``look``."""
        for timer in (self._echo, self._alarm):
            if timer is not None:
                timer.cancel()

    def _echo_after(self, n: int) -> None:
        """Schedule the call of ``look`` for number ``n`` of PAUSES, counted from 0."""
        before = PAUSES[n - 1] if n else 0.0
        loop = asyncio.get_running_loop()
        self._echo = loop.call_later(PAUSES[n] - before, self._echoed, n)

    def _echoed(self, n: int) -> None:
        self._look()
        if n + 1 < len(PAUSES):
            self._echo_after(n + 1)
        else:
            self._echo, self._insists = None, False
