# SPDX-License-Identifier: MIT
"""Losses that a poll showed before the log line with their cause arrived: journald may be late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.tunnel import Reason, Transition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.tracking.held_sas import HeldSas
    from ipsecwatch.tracking.log_evidence import LogEvidence
    from ipsecwatch.tracking.records import TunnelRecord, Why

LOG_LATE: Final = 3.0
"""Seconds by which a log line may come after the poll that shows the same."""


@dataclass(frozen=True, slots=True)
class UnexplainedLoss:
    """One loss: which SAs were lost, and when that was seen."""

    held: HeldSas
    since: float
    """When it was seen, on the monotonic clock."""


class LateReasons:
    """Keeps losses whose reason hasn't been logged yet, by the tunnel's key."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self._open: dict[str, UnexplainedLoss] = {}

    def add(self, key: str, loss: UnexplainedLoss) -> None:
        """Keep a loss whose reason hasn't been logged yet. It replaces the tunnel's last one."""
        self._open[key] = loss

    def clear(self) -> None:
        """Forget all losses, because they were another pluto's."""
        self._open.clear()

    def with_reason(self, change: Transition) -> Transition:
        """Return a kept loss's transition with the reason logged since; any other one as it is."""
        loss = self._open.get(change.tunnel.key)
        if loss is None or change.mono != loss.since or not is_unexplained(change):
            return change
        reason, detail = self._reason(loss)
        if reason is Reason.OTHER:
            return change
        tunnel = replace(change.tunnel, reason=reason, detail=detail)
        return replace(change, tunnel=tunnel, reason=reason, detail=detail)

    def apply(self, tunnels: Mapping[str, TunnelRecord], now: float) -> None:
        """Set the reason of each kept loss that the log has explained since.

        A tunnel whose reason is still OTHER gets it, without a transition. Losses that are
        explained, or older than LOG_LATE, are forgotten. ``now`` is on the monotonic clock.
        """
        for key, loss in list(self._open.items()):
            record = tunnels.get(key)
            reason, detail = self._reason(loss)
            if reason is not Reason.OTHER or now - loss.since > LOG_LATE:
                del self._open[key]
            if record is not None and record.tunnel.reason is Reason.OTHER is not reason:
                record.why = reason, detail
                record.tunnel = replace(record.tunnel, reason=reason, detail=detail)

    def _reason(self, loss: UnexplainedLoss) -> Why:
        return self._log.loss(loss.held)


def is_unexplained(change: Transition) -> bool:
    """Return whether a tunnel that was UP or PARTIAL changed for a reason that isn't known (yet).

    That is OTHER, or UNLOADED where it is no longer listed.
    """
    return change.known.carries and change.reason in (Reason.OTHER, Reason.UNLOADED)
