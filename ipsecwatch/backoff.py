# SPDX-License-Identifier: MIT
"""Pauses between attempts that fail: each one longer, the last one for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Backoff:
    """Return one pause after another. ``pauses`` are seconds; the last one is repeated."""

    def __init__(self, pauses: Sequence[float]) -> None:
        self._pauses = pauses
        self.failures = 0
        """How many pauses were returned since the start, or since reset()."""

    def next(self) -> float:
        """Return how many seconds to wait before the next attempt."""
        pause = self._pauses[min(self.failures, len(self._pauses) - 1)]
        self.failures += 1
        return pause

    def reset(self) -> None:
        """Begin with the first pause again, since an attempt succeeded."""
        self.failures = 0
