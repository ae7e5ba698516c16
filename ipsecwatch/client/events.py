# SPDX-License-Identifier: MIT
"""The events that a follower of the service gets: a snapshot first, then what changes. Pure data.

They are apart from views.py because a program that asks once gets a snapshot and no other event.
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
    """One transition of one tunnel. Between two Snapshots, no transition is left out."""

    name: str
    path: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    serial: int
    """The number of the transition: one more than that of the last one in the same run."""
    at: float
    """When the transition was, in seconds since the epoch."""
    told: Told | None
    """Which of the signals TunnelUp, TunnelDown and TunnelStuck the service sent for it, if any."""
    view: View
    """The tunnel after the transition."""


@dataclass(frozen=True, slots=True)
class Update:
    """A tunnel was listed, changed without a transition, or is no longer listed.

    ``view`` is None for a tunnel that is no longer listed.
    """

    path: str
    view: View | None


@dataclass(frozen=True, slots=True)
class Pluto:
    """pluto is in another state, or another systemd unit runs it."""

    state: PlutoState
    unit: str = IPSEC
    """The unit, as in a Snapshot."""


@dataclass(frozen=True, slots=True)
class Log:
    """The service reads pluto's log from another place now, or not at all.

    The reasons that it finds depend on that.
    """

    state: LogState


@dataclass(frozen=True, slots=True)
class Answer:
    """``complete`` or ``unrecognised`` of pluto's last answer has changed: see Snapshot."""

    complete: bool = True
    unrecognised: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The service can't be followed (any more), or the reason for that has changed.

    As soon as the service can be followed again, a Snapshot comes.
    """

    why: str
    """One line, ready to be shown."""
    hint: str = ""
    """What a person can do about it; "": nothing is known to help."""
    denied: bool = False
    """Whether the service is running, and refuses this user."""


Event = Snapshot | Change | Update | Pluto | Log | Answer | Lost
