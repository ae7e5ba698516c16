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
    """One transition of one tunnel. Between two snapshots none is left out."""

    name: str
    path: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    serial: int
    at: float
    """Wall clock, seconds since the epoch."""
    told: Told | None
    """The signal that the service sent for it: TunnelUp, TunnelDown, TunnelStuck, or none."""
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
    """As a Snapshot has it."""


@dataclass(frozen=True, slots=True)
class Log:
    """pluto's log is read from another place now, or not at all; reasons depend on it."""

    state: LogState


@dataclass(frozen=True, slots=True)
class Answer:
    """The quality of pluto's last answer has changed; the fields are those of a Snapshot."""

    complete: bool = True
    unrecognised: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The service can't be followed (any more), or the reason for that has changed.

    A Snapshot follows as soon as it can be followed again.
    """

    why: str
    """One line, ready to be shown."""
    hint: str = ""
    denied: bool = False
    """The service is running, and refuses this user."""


Event = Snapshot | Change | Update | Pluto | Log | Answer | Lost
