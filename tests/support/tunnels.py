# SPDX-License-Identifier: MIT
"""Makes tunnels and transitions, for tests in which most of their values don't matter."""

from __future__ import annotations

from dataclasses import replace

from ipsecwatch.tunnel import Reason, Transition, Tunnel, TunnelState

SINCE = 1_700_000_000.25
SINCE_MONO = 5.5


def tunnel(name: str, state: TunnelState = TunnelState.DOWN, **more: object) -> Tunnel:
    """Return a tunnel in this state; ``more``: other fields."""
    made = Tunnel(
        key=name, name=name, state=state, last_state=state, since=SINCE, since_mono=SINCE_MONO
    )
    return replace(made, **more)  # type: ignore[arg-type]


def becomes(
    before: Tunnel | None, after: Tunnel | None, reason: Reason = Reason.NONE
) -> Transition:
    """Return the transition from ``before`` to ``after``, which are the same tunnel.

    ``before`` is None if the tunnel wasn't listed, and ``after`` if it is no longer listed.
    """
    if after is None:
        assert before is not None
        shown = replace(before, state=TunnelState.DOWN, last_state=TunnelState.DOWN, reason=reason)
    else:
        shown = after
    return Transition(
        tunnel=shown,
        old=before.state if before else None,
        new=after.state if after else None,
        known=before.last_state if before else TunnelState.DOWN,
        reason=reason,
        at=shown.since,
        mono=shown.since_mono,
    )


def transition(
    old: TunnelState | None,
    new: TunnelState | None,
    reason: Reason = Reason.NONE,
    *,
    known: TunnelState | None = None,
    sticks: bool = False,
    name: str = "site",
    peer: str | None = "192.0.2.7",
    detail: str | None = None,
    unresolved: str | None = None,
) -> Transition:
    """Return a transition of the tunnel ``name`` from the state ``old`` to the state ``new``.

    ``old`` is None if the tunnel wasn't listed, and ``new`` if it is no longer listed. ``known`` is
    the last known state before; without it, ``old``.
    """
    state = TunnelState.DOWN if new is None else new
    tunnel = Tunnel(
        name, name, state, state, 1e9, 1.0, reason, children_up=1, children=4, peer=peer,
        unresolved=unresolved,
    )  # fmt: skip
    known = known or old or TunnelState.DOWN
    return Transition(
        tunnel, old, new, known, reason, 1e9 + 0.25, 1.0, detail=detail, sticks=sticks
    )
