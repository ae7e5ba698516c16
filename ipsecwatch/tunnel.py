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

    ``key`` identifies it: pluto's name of the tunnel, byte for byte. The key of an instance also
    has pluto's number of the connection, if pluto prints one: ``rw[3]$17``. ``name`` is the name
    escaped for people, and is unique as well.
    """

    key: str
    name: str
    state: TunnelState
    last_state: TunnelState
    """The last known state: it equals ``state``, except while that is UNKNOWN."""
    since: float
    """When ``state`` last changed, by the wall clock, in seconds since the epoch."""
    since_mono: float
    """The same moment as ``since`` on the monotonic clock, in seconds. That clock stands still
    while the machine sleeps."""
    reason: Reason = Reason.NONE
    children_up: int = 0
    children: int = 0
    instances: int = 0
    managed: str = ""
    attempts: int = 0
    """How many negotiations were begun in the present series of attempts to bring the tunnel up. 0:
    pluto isn't trying, or has begun none yet."""
    peer: str | None = None
    detail: str | None = None
    """The text in which ``reason`` was found, in one line: a log line of pluto, a description of
    what is wrong with pluto's answer, or the DNS name that doesn't resolve. None: the reason is
    from none of these."""
    since_boot: float = 0.0
    """The same moment as ``since`` on CLOCK_BOOTTIME, in seconds, which goes on while the machine
    sleeps. 0: not known."""
    since_known: bool = True
    """Whether the change to ``state`` was seen. If not, ``state`` began at an unknown time before
    ``since``: the tunnel was in it when it was first polled, or entered it while pluto couldn't be
    asked or the service didn't run."""
    missing: tuple[Part, ...] = ()
    """The parts that pluto's answer lacks, and without which the state of one of the children isn't
    certain."""
    incoming: tuple[float, str] | None = None
    """The last attempt of another machine that failed before that machine had proved its identity:
    when (wall clock), and the log line of pluto. It is never used as a reason, since anybody can
    cause it. For a template, the last client that failed, even if it had proved its identity. None:
    there was none."""
    unresolved: str | None = None
    """The peer's DNS name, if pluto couldn't resolve it (yet); None: it resolves, or there is
    none."""
    connections: tuple[Connection, ...] = field(default=(), repr=False, compare=False)
    states: tuple[SaState, ...] = field(default=(), repr=False, compare=False)

    def seen_again(
        self, connections: tuple[Connection, ...], states: tuple[SaState, ...]
    ) -> Tunnel:
        """Return a copy of the tunnel with these connections and SAs; all else stays the same.

        It is for a tunnel that a poll shows unchanged, as most are. dataclasses.replace() would
        take several times as long.
        """
        return Tunnel(*(*_all_but_last_two(self), connections, states))


_all_but_last_two = attrgetter(*[f.name for f in fields(Tunnel)[:-2]])


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition of a tunnel: its state changed, it came, it went, or it ``sticks``.

    ``old`` is the state before the transition, and ``new`` the state after it. ``old`` is None for
    a tunnel that wasn't listed before, and ``new`` is None for one that is no longer listed.
    ``known`` is the last known state before the transition, and DOWN for a tunnel that wasn't
    listed. ``tunnel`` is the tunnel after the transition; if it is no longer listed, it is DOWN
    there, with the reason. ``at`` is in seconds since the epoch, and ``mono`` in seconds of the
    monotonic clock.
    """

    tunnel: Tunnel
    old: TunnelState | None
    new: TunnelState | None
    known: TunnelState
    reason: Reason
    at: float
    mono: float
    silent: bool = False
    """Whether it only shows how things are at the start, so that subscribers get no signal: the
    tunnel was found at the first complete report and nothing was known of it before, or it was
    restored and is UNKNOWN at the first poll."""
    detail: str | None = None
    sticks: bool = False
    """Whether the tunnel stays PARTIAL, and its missing children have now been tried for
    ``stuck_after`` seconds. ``old`` and ``new`` are both PARTIAL then."""

    @property
    def becomes(self) -> TunnelState:
        """The state after the transition, as subscribers see it: DOWN if it is no longer listed."""
        return TunnelState.DOWN if self.new is None else self.new

    @property
    def announced(self) -> bool:
        """Whether subscribers get signals: it isn't ``silent``, and changes what they know.

        For subscribers, a tunnel that isn't listed is DOWN. So it isn't announced when a tunnel is
        listed that is DOWN, or when one that was DOWN is removed. A transition that ``sticks``
        changes what they know.
        """
        was = TunnelState.DOWN if self.old is None else self.old
        return not self.silent and (self.sticks or was is not self.becomes)

    @property
    def goes_up(self) -> bool:
        """Whether TunnelUp is sent, if this is announced.

        That is so if the tunnel is UP now and wasn't in its last known state.
        """
        return self.becomes is TunnelState.UP and self.known is not TunnelState.UP

    @property
    def goes_down(self) -> bool:
        """Whether TunnelDown is sent, if this is announced.

        That is so if the tunnel was UP or PARTIAL in its last known state, and is now in another
        state than these two and UNKNOWN.
        """
        return self.known.carries and not (
            self.becomes.carries or self.becomes is TunnelState.UNKNOWN
        )

    @property
    def gets_stuck(self) -> bool:
        """Whether TunnelStuck is sent, if this is announced.

        That is so if the transition ``sticks``, or if the tunnel is STUCK now and wasn't in its
        last known state.
        """
        return self.sticks or (
            self.becomes is TunnelState.STUCK and self.known is not TunnelState.STUCK
        )
