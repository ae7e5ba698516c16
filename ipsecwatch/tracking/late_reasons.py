# SPDX-License-Identifier: MIT
"""Losses that a poll showed before the log line with their reason came: journald may be late."""

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
"""Seconds by which a log line may come after the poll that shows the same loss."""


@dataclass(frozen=True, slots=True)
class UnexplainedLoss:
    """A tunnel's loss of SAs for which the log has no reason yet."""

    held: HeldSas
    since: float
    """When the poll came that showed the loss, on the monotonic clock."""


class LateReasons:
    """Keeps each tunnel's last loss without a reason: the log may have one up to LOG_LATE later."""

    def __init__(self, log: LogEvidence) -> None:
        self._log = log
        self._open: dict[str, UnexplainedLoss] = {}

    def add(self, key: str, loss: UnexplainedLoss) -> None:
        """Keep a tunnel's loss that has no reason yet. It replaces an earlier one.

        ``key`` is the tunnel's.
        """
        self._open[key] = loss

    def clear(self) -> None:
        """Forget all losses, because another pluto answers now."""
        self._open.clear()

    def with_reason(self, change: Transition) -> Transition:
        """Return a transition with the reason that was logged after its poll.

        Return it unchanged if it isn't the transition of a kept loss, or if no reason was logged.
        """
        loss = self._open.get(change.tunnel.key)
        if loss is None or change.mono != loss.since or not is_unexplained(change):
            return change
        reason, detail = self._reason(loss)
        if reason is Reason.OTHER:
            return change
        tunnel = replace(change.tunnel, reason=reason, detail=detail)
        return replace(change, tunnel=tunnel, reason=reason, detail=detail)

    def apply(self, tunnels: Mapping[str, TunnelRecord], now: float) -> None:
        """Set the reason of a tunnel with a kept loss if it was logged since, without a transition.

        A tunnel gets the new reason only if its present one is OTHER. A loss whose reason was
        logged, or which is older than LOG_LATE, is no longer kept. ``now`` is on the monotonic
        clock.
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
    """Return whether a tunnel was UP or PARTIAL before a transition whose reason isn't known (yet).

    The reason is then OTHER, or UNLOADED if the tunnel is no longer listed.
    """
    return change.known.carries and change.reason in (Reason.OTHER, Reason.UNLOADED)
