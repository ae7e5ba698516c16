# SPDX-License-Identifier: MIT
"""Two devices that seem to use the same identity: each keeps replacing the other's instance."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.tracking.newcomers import Replacement

TIMES: Final = 3
"""Replacements of each other after which two addresses are reported."""
WITHIN: Final = 600.0
"""Seconds in which these must come. One device that changes its network has fewer."""
AGAIN: Final = 3600.0
"""Seconds after which the same pair may be reported again."""
SAME: Final = 60.0
"""Seconds within which the log and a poll report the same replacement."""
MAX_PAIRS: Final = 1000
"""Pairs that are followed; those that replaced each other longest ago are dropped."""


@dataclass(frozen=True, slots=True)
class SharedIdentity:
    """Two addresses from which clients of one template replace each other."""

    template: str
    addresses: tuple[str, str]


@dataclass(slots=True)
class _Pair:
    turns: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=TIMES))
    """The last replacements: when (wall clock), and the address that came."""
    told: float = float("-inf")
    """When the pair was last reported, on the wall clock."""


class SharedIdentities:
    """Counts replacements, by template and pair of addresses, to find shared identities."""

    def __init__(self) -> None:
        self._pairs: OrderedDict[tuple[str, frozenset[str]], _Pair] = OrderedDict()
        self._recent: OrderedDict[str, float] = OrderedDict()
        """Instances that were replaced, and when that was reported."""

    def note(self, r: Replacement) -> SharedIdentity | None:
        """Record a replacement. Return the shared identity that it shows, if it is to be reported.

        That is one whose addresses replaced each other, TIMES in all and within WITHIN seconds, and
        that wasn't reported in the last AGAIN seconds.
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
        """Return whether the end of the same instance was recorded in the last SAME seconds.

        Record it.
        """
        known = r.at - self._recent.get(r.name, float("-inf")) < SAME
        self._recent[r.name] = r.at
        self._recent.move_to_end(r.name)
        if len(self._recent) > MAX_PAIRS:
            self._recent.popitem(last=False)
        return known


def _alternate(turns: deque[tuple[float, str]]) -> bool:
    """Return whether both addresses replaced each other, TIMES in all and within WITHIN seconds."""
    return (
        len(turns) == TIMES
        and turns[-1][0] - turns[0][0] <= WITHIN
        and len({new for _, new in turns}) == 2
    )
