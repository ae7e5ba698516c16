# SPDX-License-Identifier: MIT
"""Data types for what is concluded from reports: tunnels with their states, and transitions."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING

from ipsecwatch.states import Reason as Reason
from ipsecwatch.states import TunnelState as TunnelState

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, Part, SaState


@dataclass(frozen=True, slots=True)
class Tunnel:
    """The state of one tunnel at one moment.

    ``key`` identifies it, with pluto's name byte for byte; ``name`` is escaped for people, and also
    unique.
    """

    key: str
    name: str
    state: TunnelState
    last_state: TunnelState
    """The last known state: the same as ``state``, except while that is UNKNOWN."""
    since: float
    """Wall clock of the last change of ``state``, seconds since the epoch."""
    since_mono: float
    """``since`` on the monotonic clock, in seconds; that stands still while the machine sleeps."""
    reason: Reason = Reason.NONE
    children_up: int = 0
    children: int = 0
    instances: int = 0
    managed: str = ""
    attempts: int = 0
    """Negotiations that were begun since pluto has been trying to bring it up; 0: it doesn't."""
    peer: str | None = None
    detail: str | None = None
    """What ``reason`` was read from, in one line: pluto's log line, what is wrong with its answer,
    or which name doesn't resolve. None: none of these."""
    since_boot: float = 0.0
    """``since`` on CLOCK_BOOTTIME, in seconds, which goes on while the machine sleeps; 0: not
    known."""
    since_known: bool = True
    """The change of state was seen. False: the tunnel was in this state when it was first polled,
    or changed while pluto couldn't be asked."""
    missing: tuple[Part, ...] = ()
    """Parts that pluto's answer lacks, and that are needed to know the state, or all of it."""
    incoming: tuple[float, str] | None = None
    """The last incoming attempt that failed before the other side had proved its identity: when
    (wall clock) and pluto's log line. It isn't taken for the reason of any state."""
    unresolved: str | None = None
    """The peer's DNS name as configured, where it doesn't resolve (yet)."""
    connections: tuple[Connection, ...] = field(default=(), repr=False, compare=False)
    states: tuple[SaState, ...] = field(default=(), repr=False, compare=False)

    def seen_again(
        self, connections: tuple[Connection, ...], states: tuple[SaState, ...]
    ) -> Tunnel:
        """Return the tunnel with the connections and SAs of the last answer, otherwise unchanged.

        dataclasses.replace() takes several times as long, and most tunnels are seen so in each
        poll.
        """
        return Tunnel(*(*_all_but_last_two(self), connections, states))


_all_but_last_two = attrgetter(*[f.name for f in fields(Tunnel)[:-2]])


@dataclass(frozen=True, slots=True)
class Transition:
    """A tunnel changed its state, came, or went; or it ``sticks`` in its state.

    ``old`` is None for a tunnel that wasn't listed before, ``new`` is None for one that is no
    longer listed. ``known`` is the last known state before the change; a tunnel that wasn't listed
    counts as DOWN. ``tunnel`` is the tunnel after it (no longer listed: DOWN, with the reason).
    ``at`` is in seconds since the epoch, ``mono`` in seconds of the monotonic clock.
    """

    tunnel: Tunnel
    old: TunnelState | None
    new: TunnelState | None
    known: TunnelState
    reason: Reason
    at: float
    mono: float
    silent: bool = False
    """It comes from the first poll or the first complete report: it only shows how things are."""
    detail: str | None = None
    sticks: bool = False
    """The tunnel is PARTIAL, as before, and the rest has been tried for ``stuck_after`` seconds."""

    @property
    def becomes(self) -> TunnelState:
        """The new state as subscribers see it: DOWN for a tunnel that is no longer listed."""
        return TunnelState.DOWN if self.new is None else self.new

    @property
    def announced(self) -> bool:
        """Whether subscribers get a signal: it isn't ``silent``, and changes the state they know.

        A tunnel that isn't listed is DOWN for them. A transition that ``sticks`` counts as a
        change.
        """
        was = TunnelState.DOWN if self.old is None else self.old
        return not self.silent and (self.sticks or was is not self.becomes)

    @property
    def goes_up(self) -> bool:
        """Whether TunnelUp is sent: the tunnel is UP, and its last known state was another."""
        return self.becomes is TunnelState.UP and self.known is not TunnelState.UP

    @property
    def goes_down(self) -> bool:
        """Whether TunnelDown is sent: it was UP or PARTIAL, and is neither, nor UNKNOWN, now."""
        return self.known.carries and not (
            self.becomes.carries or self.becomes is TunnelState.UNKNOWN
        )

    @property
    def gets_stuck(self) -> bool:
        """Whether TunnelStuck is sent: it becomes STUCK, or is PARTIAL and ``sticks``."""
        return self.sticks or (
            self.becomes is TunnelState.STUCK and self.known is not TunnelState.STUCK
        )
