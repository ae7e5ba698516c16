# SPDX-License-Identifier: MIT
"""The base class of all wakers, which keeps an error of one from stopping anything else."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Waker(ABC):
    """A source of events that trigger a poll of pluto. It can be closed and opened again."""

    def __init__(self) -> None:
        self.on_error: Callable[[Exception], None] = _log
        """Called with an unexpected error, after the waker has closed itself."""

    @abstractmethod
    def open(self) -> bool:
        """Start to listen. Return False where that isn't possible."""

    @abstractmethod
    def close(self) -> None:
        """Stop listening."""

    def guard(self, work: Callable[[], object]) -> None:
        """Call ``work``. If it raises, close the waker and call ``on_error``.

        Callbacks of the event loop are called through this: the loop itself would only log the
        error, and call again at once and for ever.
        """
        try:
            work()
        except Exception as e:
            self.close()
            self.on_error(e)


def _log(error: Exception) -> None:
    logger.error("a waker failed: %s", error, exc_info=error)
