# SPDX-License-Identifier: MIT
"""Keep the last transitions of each tunnel that this service has seen, for GetDetails.

Pure: no clock. The journal has all transitions; only the last KEPT of each tunnel are kept here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipsecwatch.tunnel import Transition

KEPT: Final = 10
"""Transitions of a tunnel that are kept."""
LATELY: Final = 3600.0
"""Seconds for which a loss counts as a recent one."""

Numbered = tuple[int, "Transition"]
"""A transition with its serial."""


class RecentTransitions:
    """Keeps the last KEPT transitions of each tunnel, by its name."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[Numbered]] = {}

    def note(self, transitions: Iterable[Numbered], listed: Collection[str]) -> None:
        """Add transitions, and drop those of tunnels whose names aren't in ``listed``."""
        for serial, transition in transitions:
            kept = self._kept.setdefault(transition.tunnel.name, deque(maxlen=KEPT))
            kept.append((serial, transition))
        for name in [name for name in self._kept if name not in listed]:
            del self._kept[name]

    def of(self, name: str) -> tuple[Numbered, ...]:
        """Return the kept transitions of a tunnel, the newest last."""
        return tuple(self._kept.get(name, ()))

    def losses(self, name: str, now: float) -> int:
        """Return how often a tunnel went down in the last LATELY seconds; at most KEPT."""
        kept = self._kept.get(name, ())
        return sum(t.goes_down and t.at > now - LATELY for _, t in kept)
