# SPDX-License-Identifier: MIT
"""Keep the last transitions of each tunnel in this run of the service, for GetDetails.

Pure: no clock. The journal has all transitions. Here are only those about which subscribers got
signals, and only the last KEPT of each tunnel.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipsecwatch.tunnel import Reason, Transition, TunnelState

KEPT: Final = 10
"""Number of transitions that are kept of each tunnel, the newest ones."""
LATELY: Final = 3600.0
"""Seconds for which a loss is counted as a recent one (one hour)."""


class RecentTransition(NamedTuple):
    """What is kept of a Transition: not its Tunnel, which holds all that pluto printed about it.

    ``new`` is DOWN for a tunnel that is no longer listed.
    """

    serial: int
    at: float
    """When it happened: wall clock, in seconds since the epoch."""
    old: TunnelState | None
    """The state before; None: the tunnel wasn't listed before."""
    new: TunnelState
    reason: Reason
    goes_down: bool


class RecentTransitions:
    """Keeps the last KEPT transitions of each tunnel, by the tunnel's name."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[RecentTransition]] = {}

    def note(self, transitions: Iterable[tuple[int, Transition]], listed: Collection[str]) -> None:
        """Add new transitions, each given with its serial, to those that are kept.

        ``listed`` has the names of all tunnels that are listed now. Of other tunnels, all
        transitions are dropped.
        """
        for serial, t in transitions:
            kept = self._kept.setdefault(t.tunnel.name, deque(maxlen=KEPT))
            kept.append(RecentTransition(serial, t.at, t.old, t.becomes, t.reason, t.goes_down))
        for name in [name for name in self._kept if name not in listed]:
            del self._kept[name]

    def of(self, name: str) -> tuple[RecentTransition, ...]:
        """Return the kept transitions of a tunnel, the newest last; empty: there are none."""
        return tuple(self._kept.get(name, ()))

    def losses(self, name: str, now: float) -> int:
        """Return how often a tunnel was lost in the LATELY seconds before ``now`` (wall clock).

        A loss is a transition from UP or PARTIAL to another known state than these two. Only the
        kept transitions are counted, so the result is never more than KEPT.
        """
        kept = self._kept.get(name, ())
        return sum(t.goes_down and t.at > now - LATELY for t in kept)
