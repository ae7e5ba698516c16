# SPDX-License-Identifier: MIT
"""Run parts that the service can do without: after an error, such a part is opened again later.

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
"""Seconds until a part is opened again after its first error, second error, and so on. The last
pause is repeated."""
STEADY: Final = 600.0
"""Seconds. After so long without an error of a part, its pauses begin with the first one again."""


class OptionalPart:
    """Opens a part of the service, such as a waker, and opens it again some time after an error.

    ``open_`` opens the part. It has failed only if it raises. What it returns is ignored: if it
    returns that the part isn't possible on this machine, it isn't called again. ``name`` is for our
    own log.
    """

    def __init__(self, name: str, open_: Callable[[], object]) -> None:
        self._name = name
        self._open = open_
        self._backoff = Backoff(PAUSES)
        self._timer: asyncio.TimerHandle | None = None
        self._failed_at = float("-inf")
        self._said = ""

    def start(self) -> None:
        """Open the part. If ``open_`` raises, log the error and try again later; raise nothing."""
        self._timer = None
        try:
            self._open()
        except Exception as e:
            self.failed(e)

    def failed(self, error: Exception) -> None:
        """Log an error because of which the part has closed itself, and open the part again later.

        Return at once. "Later" is after the next pause (PAUSES).
        """
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
        """Cancel the next opening of the part, if one is scheduled. The part isn't closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
