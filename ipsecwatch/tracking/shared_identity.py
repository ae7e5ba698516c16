# SPDX-License-Identifier: MIT
"""Devices that seem to use the same identity: each replaces the instance of the other in turn."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.tracking.newcomers import Replacement

TIMES: Final = 3
"""How many times two addresses must replace each other before they are reported."""
WITHIN: Final = 600.0
"""Seconds from the first to the last of these TIMES, at most. One device that changes its network
comes to fewer."""
AGAIN: Final = 3600.0
"""Seconds after which the same pair may be reported again."""
SAME: Final = 60.0
"""Seconds that may lie between the log line and the poll that show the same replacement."""
MAX_PAIRS: Final = 1000
"""How many pairs of addresses are kept; that whose last replacement is the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class SharedIdentity:
    """Two addresses from which clients of a template replace each other in turn."""

    template: str
    addresses: tuple[str, str]


@dataclass(slots=True)
class _Pair:
    turns: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=TIMES))
    """The last TIMES replacements: when (wall clock), and the address that came."""
    told: float = float("-inf")
    """When the pair was last reported, on the wall clock."""


class SharedIdentities:
    """Counts replacements for each template and pair of addresses, to find shared identities."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, frozenset[str]], _Pair] = OrderedDict()
        self._recent: OrderedDict[str, float] = OrderedDict()
        """By instance: when its end by a replacement was last recorded, on the wall clock."""

    def note(self, r: Replacement) -> SharedIdentity | None:
        """Record a replacement. Return the shared identity to report now; None: there is none.

        It is reported if the last TIMES replacements of these two addresses came within WITHIN
        seconds, in both directions, unless it was reported in the last AGAIN seconds. A replacement
        isn't counted if it was recorded already, or if its addresses are equal or one isn't known.
        """
        who = frozenset((r.old, r.new)) - {""}
        if len(who) < 2 or self._is_known(r):  # one: a client that connects again from there
            return None
        pair = self._pairs.setdefault((r.base, who), _Pair())
        self._pairs.move_to_end((r.base, who))
        if len(self._pairs) > MAX_PAIRS:
            self._pairs.popitem(last=False)
        pair.turns.append((r.at, r.new))
        if not _alternate(pair.turns) or r.at - pair.told < AGAIN:
            return None
        pair.told = r.at
        first, second = sorted(who)
        return SharedIdentity(r.base, (first, second))

    def _is_known(self, r: Replacement) -> bool:
        """Return whether the same replacement was recorded before; then record it.

        It is the same if it ended the same instance less than SAME seconds earlier: both the log
        and a poll may show it.
        """
        known = r.at - self._recent.get(r.name, float("-inf")) < SAME
        self._recent[r.name] = r.at
        self._recent.move_to_end(r.name)
        if len(self._recent) > MAX_PAIRS:
            self._recent.popitem(last=False)
        return known


def _alternate(turns: deque[tuple[float, str]]) -> bool:
    """Return whether TIMES replacements came within WITHIN seconds, and to both addresses."""
    return (
        len(turns) == TIMES
        and turns[-1][0] - turns[0][0] <= WITHIN
        and len({new for _, new in turns}) == 2
    )
