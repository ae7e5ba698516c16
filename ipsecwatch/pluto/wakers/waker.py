# SPDX-License-Identifier: MIT
"""The base class of all wakers, which keeps an error in one of them from stopping anything else."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Waker(ABC):
    """A source of events that trigger a poll of pluto. It can be closed, and opened again."""

    def __init__(self) -> None:
        self.on_error: Callable[[Exception], None] = _log
        """Called with an unexpected error, after the waker has closed itself. At first it logs the
        error."""

    @abstractmethod
    def open(self) -> bool:
        """Start to listen for events. Return False if that isn't possible here."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening for events."""

    def guard(self, work: Callable[[], object]) -> None:
        """Call ``work``. If it raises, close the waker and call ``on_error`` with the error.

        The event loop calls the callbacks of wakers through this. The loop itself would only log
        the error, and call the same callback again at once, without end.
        """
        try:
            work()
        except Exception as e:
            self.close()
            self.on_error(e)


def _log(error: Exception) -> None:
    logger.error("a waker failed: %s", error, exc_info=error)
