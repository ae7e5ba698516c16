# SPDX-License-Identifier: MIT
"""What all wakers have in common: an error of theirs ends them alone."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)


class Waker(ABC):
    """A source of reasons to look at pluto. It can be closed and opened again."""

    def __init__(self) -> None:
        self.on_error: Callable[[Exception], None] = _log
        """Called with an error that nobody expected, after the waker has closed itself."""

    @abstractmethod
    def open(self) -> bool:
        """Begin to listen; return False where that can't be."""

    @abstractmethod
    def close(self) -> None:
        """Listen no more."""

    def guard(self, work: Callable[[], object]) -> None:
        """Do some work for the loop; an error closes the waker, and is told to ``on_error``.

        The loop itself would log it and call us again at once, for ever.
        """
        try:
            work()
        except Exception as e:
            self.close()
            self.on_error(e)


def _log(error: Exception) -> None:
    logger.error("a waker failed: %s", error, exc_info=error)
