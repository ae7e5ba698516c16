# SPDX-License-Identifier: MIT
"""The tunnels in a single report, of a saved or pasted text or of one answer of pluto.

Nothing is known of the time before: neither when a state began, nor how long a tunnel has been
tried. So no tunnel is ever STUCK. The report may be incomplete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.observation import Observation, is_ike, observe_tunnels, refresh_fields
from ipsecwatch.tracking.stage_reason import reason_by_stage
from ipsecwatch.tunnel import Reason, Tunnel, TunnelState

if TYPE_CHECKING:
    from ipsecwatch.report import Report


def tunnels_of(report: Report) -> dict[str, Tunnel]:
    """Return the tunnels and templates that a report shows, by key.

    Only a tunnel that is CONNECTING has a reason: the likely one, by the stage of its SAs.
    """
    idle = frozenset([s.serial for s in report.states if is_ike(s)])
    observed = observe_tunnels(report, idle, ())
    return {key: _tunnel(key, o) for key, o in observed.items()}


def _tunnel(key: str, observed: Observation) -> Tunnel:
    state, reason = observed.state, _reason(observed)
    tunnel = Tunnel(key, clean(observed.group.name), state, state, 0.0, 0.0, reason)
    return refresh_fields(tunnel, observed)


def _reason(observed: Observation) -> Reason:
    """Return why a tunnel that is CONNECTING isn't up; NONE for a tunnel in any other state."""
    if observed.state is not TunnelState.CONNECTING:
        return Reason.NONE
    if observed.group.unresolved is not None:
        return Reason.UNREACHABLE
    connections = list(observed.group.connections())
    return reason_by_stage(
        observed.states,
        wanted=any(c.wanted_up for c in connections),
        oriented=any(c.oriented is not False for c in connections),
    )
