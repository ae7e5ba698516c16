# SPDX-License-Identifier: MIT
"""The data type for the outcome of one poll, which is published on the bus and in the journal."""

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
    """The outcome of one poll, to be published on the bus and in the journal."""

    news: Publication
    poll: Poll
    asked: float
    """When the question was asked, on the wall clock."""
    known: bool
    """The state of the tunnels is known, and may be saved in the state file: the poll had a
    complete report, or pluto has been gone for long enough."""
    shared: tuple[SharedIdentity, ...] = ()
    """Pairs of devices that seem to share an identity, found since the outcome before."""
    silent: tuple[Transition, ...] = ()
    """Transitions without a signal: tunnels at the first look, tunnels that are DOWN when they are
    listed later, and DOWN ones that are no longer listed."""
