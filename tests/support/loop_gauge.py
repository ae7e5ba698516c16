# SPDX-License-Identifier: MIT
"""Measures how long the steps of a process's event loops take; a step is one call of a callback."""

from __future__ import annotations

import time
from asyncio.events import Handle


class Gauge:
    """Measures each step of all event loops in this process, until remove() is called.

    ``blocked`` is the longest step in seconds of real time, ``busy`` the longest in seconds of
    processor time.
    """

    def __init__(self) -> None:
        self.blocked = self.busy = 0.0
        self._run = Handle._run

        def measured(handle: Handle) -> None:
            wall, processor = time.perf_counter(), time.thread_time()
            self._run(handle)
            self.blocked = max(self.blocked, time.perf_counter() - wall)
            self.busy = max(self.busy, time.thread_time() - processor)

        Handle._run = measured  # type: ignore[assignment,method-assign]

    def remove(self) -> None:
        """Stop measuring."""
        Handle._run = self._run  # type: ignore[method-assign]
