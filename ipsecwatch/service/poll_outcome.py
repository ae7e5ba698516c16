# SPDX-License-Identifier: MIT
"""The data type for what one poll brought, which is published on the bus and in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipsecwatch.report import Poll
    from ipsecwatch.service.object_tree import Publication
    from ipsecwatch.tracking.shared_identity import SharedIdentity
    from ipsecwatch.tunnel import Transition


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What one poll brought, to be published on the bus (``news``) and in the journal."""

    news: Publication
    poll: Poll
    asked: float
    """When pluto was asked: wall clock, in seconds since the epoch. If it gave no answer, this is
    the end of the poll."""
    known: bool
    """Whether the states of the tunnels are known, and may be saved in the state file: the poll had
    a complete report, or pluto is gone (Tracker.gone), so that all tunnels are DOWN."""
    shared: tuple[SharedIdentity, ...] = ()
    """Pairs of devices that seem to share one identity, found since the outcome before this one."""
    silent: tuple[Transition, ...] = ()
    """Transitions about which subscribers get no signal: of tunnels in the first poll or the first
    complete report, of tunnels that are DOWN when they are listed later, and of DOWN tunnels that
    are no longer listed."""
