# SPDX-License-Identifier: MIT
"""The events that a program gets while it follows the service. Pure data.

They aren't in views.py, so that a program that asks the service once, and gets only a Snapshot,
needn't import them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ipsecwatch.client.views import Snapshot, View
from ipsecwatch.reasons import IPSEC

if TYPE_CHECKING:
    from ipsecwatch.states import LogState, PlutoState, Reason, TunnelState

Told = Literal["up", "down", "stuck"]


@dataclass(frozen=True, slots=True)
class Change:
    """One transition of one tunnel.

    No transition is left out unless a Snapshot comes instead of it.
    """

    name: str
    path: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    serial: int
    """The number of the transition. In one run of the service each transition has the next
    number."""
    at: float
    """When the poll showed the transition, in seconds since the epoch."""
    told: Told | None
    """Which signal the service sent for it besides TunnelStateChanged: "up" for TunnelUp, "down"
    for TunnelDown, "stuck" for TunnelStuck. If it sent two of them, this is the last one; None: it
    sent no other."""
    view: View
    """The tunnel after the transition. If it is no longer listed, its state is DOWN, and an Update
    without a view follows."""


@dataclass(frozen=True, slots=True)
class Update:
    """A tunnel was listed, its properties changed, or it is no longer listed.

    ``view`` has the tunnel's properties after that, and is None if it is no longer listed. An
    Update doesn't mean a transition; that is a Change.
    """

    path: str
    view: View | None


@dataclass(frozen=True, slots=True)
class Pluto:
    """pluto's state has changed, or the systemd unit that runs pluto.

    Both fields have the new values.
    """

    state: PlutoState
    unit: str = IPSEC
    """The systemd unit that runs pluto; "": none is known."""


@dataclass(frozen=True, slots=True)
class Log:
    """The service now reads pluto's log from somewhere else, or can't read it any more.

    This tells how far reasons can be trusted: without the log they are guesses.
    """

    state: LogState


@dataclass(frozen=True, slots=True)
class Answer:
    """``complete`` or ``unrecognised`` has changed: see the fields of Snapshot with these names."""

    complete: bool = True
    unrecognised: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The service can't be followed now, or still can't, but for another reason than before.

    When it can be followed again, a Snapshot comes.
    """

    why: str
    """Why it can't be followed, in one line, ready to be shown."""
    hint: str = ""
    """What a person can do about it, in one line; "": no advice is known."""
    denied: bool = False
    """Whether the service is running, but this user isn't allowed to ask it."""


Event = Snapshot | Change | Update | Pluto | Log | Answer | Lost
