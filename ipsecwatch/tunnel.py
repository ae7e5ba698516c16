# SPDX-License-Identifier: MIT
"""What we make of reports: tunnels, their states, and transitions. Plain frozen data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipsecwatch.states import Reason as Reason
from ipsecwatch.states import TunnelState as TunnelState

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, Part, SaState


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel as people count them, at one moment.

    ``key`` is what pluto calls it, byte for byte; ``name`` is fit to be shown, and unique too.
    """

    key: str
    name: str
    state: TunnelState
    last_state: TunnelState
    """The last known one: ``state``, except while that is UNKNOWN."""
    since: float
    """Wall clock of the last change of ``state``, seconds since the epoch."""
    since_mono: float
    """The same on the monotonic clock, which stands still while the machine sleeps."""
    reason: Reason = Reason.NONE
    children_up: int = 0
    children: int = 0
    instances: int = 0
    managed: str = ""
    attempts: int = 0
    """Negotiations begun in this episode of trying."""
    peer: str | None = None
    detail: str | None = None
    """pluto's log line behind ``reason``."""
    since_boot: float = 0.0
    """The same on CLOCK_BOOTTIME, which goes on: for ages. 0 where it isn't known."""
    since_known: bool = True
    """The change of state was seen. False: it was so already when it was first looked at, or
    changed while pluto couldn't be asked."""
    missing: tuple[Part, ...] = ()
    """Parts that the answer lacks, and that would tell its state, or more of it."""
    incoming: tuple[float, str] | None = None
    """The last attempt from outside in which nobody proved anything, and that failed: when (wall
    clock) and pluto's log line. No reason for anything."""
    unresolved: str | None = None
    """The peer's DNS name as configured, where it doesn't resolve (yet)."""
    connections: tuple[Connection, ...] = field(default=(), repr=False, compare=False)
    states: tuple[SaState, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of one tunnel's state.

    ``old`` is None for a tunnel that wasn't listed before, ``new`` is None for one that no longer
    is. ``known`` is the last known state before; a tunnel that wasn't listed counts as DOWN.
    ``tunnel`` is how the tunnel is after it (for one that is gone: DOWN, with the reason).
    """

    tunnel: Tunnel
    old: TunnelState | None
    new: TunnelState | None
    known: TunnelState
    reason: Reason
    at: float
    mono: float
    silent: bool = False
    """True in the first complete report: the service only learns what is there."""
    detail: str | None = None
    sticks: bool = False
    """A PARTIAL tunnel whose missing child has been tried for too long; its state stays."""

    @property
    def becomes(self) -> TunnelState:
        """The new state as subscribers see it: a tunnel that is gone went down first."""
        return TunnelState.DOWN if self.new is None else self.new

    @property
    def announced(self) -> bool:
        """Whether subscribers are told (the first look and what they can't tell apart: no)."""
        was = TunnelState.DOWN if self.old is None else self.old
        return not self.silent and (self.sticks or was is not self.becomes)

    @property
    def goes_up(self) -> bool:
        """Whether this is a TunnelUp: into UP from another known state."""
        return self.becomes is TunnelState.UP and self.known is not TunnelState.UP

    @property
    def goes_down(self) -> bool:
        """Whether this is a TunnelDown: out of UP or PARTIAL, into a known state but these."""
        return self.known.carries and not (
            self.becomes.carries or self.becomes is TunnelState.UNKNOWN
        )

    @property
    def gets_stuck(self) -> bool:
        """Whether this is a TunnelStuck."""
        return self.sticks or (
            self.becomes is TunnelState.STUCK and self.known is not TunnelState.STUCK
        )
