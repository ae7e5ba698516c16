# SPDX-License-Identifier: MIT
"""Keep the last transitions of each tunnel that this service has seen, for GetDetails.

Pure: no clock. The journal has all transitions; only the last KEPT of each tunnel are kept here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipsecwatch.tunnel import Reason, Transition, TunnelState

KEPT: Final = 10
"""Transitions of a tunnel that are kept."""
LATELY: Final = 3600.0
"""Seconds for which a loss counts as a recent one."""


class RecentTransition(NamedTuple):
    """What is kept of a transition. The tunnel isn't: it holds all that pluto printed about it."""

    serial: int
    at: float
    """Wall clock, seconds since the epoch."""
    old: TunnelState | None
    """None: the tunnel wasn't listed."""
    new: TunnelState
    reason: Reason
    goes_down: bool


class RecentTransitions:
    """Keeps the last KEPT transitions of each tunnel, by its name."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[RecentTransition]] = {}

    def note(self, transitions: Iterable[tuple[int, Transition]], listed: Collection[str]) -> None:
        """Add transitions with their serials. Drop all of tunnels whose names aren't ``listed``."""
        for serial, t in transitions:
            kept = self._kept.setdefault(t.tunnel.name, deque(maxlen=KEPT))
            kept.append(RecentTransition(serial, t.at, t.old, t.becomes, t.reason, t.goes_down))
        for name in [name for name in self._kept if name not in listed]:
            del self._kept[name]

    def of(self, name: str) -> tuple[RecentTransition, ...]:
        """Return the kept transitions of a tunnel, the newest last."""
        return tuple(self._kept.get(name, ()))

    def losses(self, name: str, now: float) -> int:
        """Return how often a tunnel was lost in the LATELY seconds before ``now`` (wall clock).

        It was lost if it was UP or PARTIAL, and then in any known state but these two. Only
        the kept transitions are counted.
        """
        kept = self._kept.get(name, ())
        return sum(t.goes_down and t.at > now - LATELY for t in kept)
