# SPDX-License-Identifier: MIT
"""Losses that were seen before the log told their cause: journald has its own time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.tunnel import Reason, Transition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.tracking.log_evidence import Witness
    from ipsecwatch.tracking.records import Memory, Why

LOG_LATE: Final = 3.0
"""Seconds by which a log line may come after the poll that shows what it tells."""


@dataclass(frozen=True, slots=True)
class Riddle:
    """One loss: of whom, when it was seen, and where in the log its cause may be."""

    names: frozenset[str]
    serials: frozenset[int]
    after: int
    """What the witness had heard some seconds before."""
    since: float
    """When it was seen, on the monotonic clock."""


class Riddles:
    """Those that are open, by the tunnel's key."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._open: dict[str, Riddle] = {}

    def pose(self, key: str, riddle: Riddle) -> None:
        """Remember a loss of which nobody knows the cause."""
        self._open[key] = riddle

    def clear(self) -> None:
        """Forget them: they were another pluto's."""
        self._open.clear()

    def explained(self, change: Transition) -> Transition:
        """Answer a change that was told, with its cause if the log has told it since."""
        riddle = self._open.get(change.tunnel.key)
        if riddle is None or change.mono != riddle.since or not unexplained(change):
            return change
        reason, detail = self._read(riddle)
        if reason is Reason.OTHER:
            return change
        tunnel = replace(change.tunnel, reason=reason, detail=detail)
        return replace(change, tunnel=tunnel, reason=reason, detail=detail)

    def solve(self, memories: Mapping[str, Memory], now: float) -> None:
        """Give those that were lost without a cause the one that the log has told since.

        That is news of the tunnel, and no transition.
        """
        for key, riddle in list(self._open.items()):
            memory = memories.get(key)
            reason, detail = self._read(riddle)
            if reason is not Reason.OTHER or now - riddle.since > LOG_LATE:
                del self._open[key]
            if memory is not None and memory.tunnel.reason is Reason.OTHER is not reason:
                memory.why = reason, detail
                memory.tunnel = replace(memory.tunnel, reason=reason, detail=detail)

    def _read(self, riddle: Riddle) -> Why:
        return self._witness.loss(riddle.names, riddle.serials, riddle.after)


def unexplained(change: Transition) -> bool:
    """Tell whether something was lost, and the log doesn't tell (yet) how."""
    return change.known.carries and change.reason in (Reason.OTHER, Reason.UNLOADED)
