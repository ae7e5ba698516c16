# SPDX-License-Identifier: MIT
"""Pauses between attempts that fail: one after the other from a list; the last is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Backoff:
    """Says how long to wait before the next attempt at something that fails.

    ``pauses`` are in seconds. After the last of them, that one is returned again and again. The
    caller does the waiting.
    """

    def __init__(self, pauses: Sequence[float]) -> None:
        self._pauses = pauses
        self.failures = 0
        """How often next() was called since this object was made, or since the last reset()."""

    def next(self) -> float:
        """Return how many seconds to wait before the next attempt, and count one more failure."""
        pause = self._pauses[min(self.failures, len(self._pauses) - 1)]
        self.failures += 1
        return pause

    def reset(self) -> None:
        """Begin with the first pause again, because an attempt has succeeded."""
        self.failures = 0
