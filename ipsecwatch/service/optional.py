# SPDX-License-Identifier: MIT
"""Run parts that the service can do without: after an error one is opened again later.

An error in a task that the service needs (poller, publisher, bus keeper) ends the process instead,
and systemd starts it again: see daemon.py.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from ipsecwatch.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

PAUSES: Final = (1.0, 5.0, 15.0, 60.0, 300.0)
"""Seconds until a part that failed is opened again; the last pause is repeated."""
STEADY: Final = 600.0
"""Seconds without an error after which the pauses of a part begin with the first one again."""


class OptionalPart:
    """Opens a part, and opens it again after it failed.

    ``open_`` opens the part. It fails by raising; what it returns is ignored, so that a part that
    isn't possible on this machine isn't tried again. ``name`` is for our own log.
    """

    def __init__(self, name: str, open_: Callable[[], object]) -> None:
        self._name = name
        self._open = open_
        self._backoff = Backoff(PAUSES)
        self._timer: asyncio.TimerHandle | None = None
        self._failed_at = float("-inf")
        self._said = ""

    def start(self) -> None:
        """Open the part. If that fails, log the error and try again later; raise nothing."""
        self._timer = None
        try:
            self._open()
        except Exception as e:
            self.failed(e)

    def failed(self, error: Exception) -> None:
        """Log an error of the part, which has closed itself, and schedule to open it again."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._failed_at > STEADY:
            self._backoff.reset()
        self._failed_at = loop.time()
        pause = self._backoff.next()
        said = f"{type(error).__name__}: {error}"
        # With the traceback only if it is another error than at the last attempt.
        trace = error if said != self._said else None
        self._said = said
        logger.error("%s failed; trying again in %g s", self._name, pause, exc_info=trace)
        if self._timer is None:
            self._timer = loop.call_later(pause, self.start)

    def stop(self) -> None:
        """Cancel the scheduled opening, so that the part isn't opened again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
