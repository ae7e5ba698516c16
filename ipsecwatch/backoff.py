# SPDX-License-Identifier: MIT
"""Pauses between failed attempts, from a list whose last pause is repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Backoff:
    """The pauses, in seconds, between one thing's failed attempts; the last one is repeated."""

    def __init__(self, pauses: Sequence[float]) -> None:
        self._pauses = pauses
        self.failures = 0
        """The number of pauses returned since the start, or since the last reset()."""

    def next(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        pause = self._pauses[min(self.failures, len(self._pauses) - 1)]
        self.failures += 1
        return pause

    def reset(self) -> None:
        """Start again with the first pause, because an attempt succeeded."""
        self.failures = 0
