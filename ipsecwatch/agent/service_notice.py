# SPDX-License-Identifier: MIT
"""What is reported about pluto and the service as a whole: it stopped, or nothing is known. Pure.

A unit that was stopped, disabled or masked before this session was meant to be. So only a unit that
failed, or that stopped during this session, is reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import texts
from ipsecwatch.agent.machine import Unit, UnitState
from ipsecwatch.reasons import words_for
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.agent.texts import Words
    from ipsecwatch.client.events import Lost

UNKNOWN_AFTER: Final = 20.0
"""Seconds for which the state may be unknown unreported: an upgrade restarts the service."""
STOPPED_AFTER: Final = 20.0
"""Seconds for which pluto may be away unreported, if no tunnel went down with it."""


class _Timer:
    """Keeps since when a condition is true."""

    def __init__(self) -> None:
        self.since: float | None = None

    def note(self, now: float, *, true: bool) -> None:
        """Record whether the condition is true now."""
        if not true:
            self.since = None
        elif self.since is None:
            self.since = now


class ServiceNotice:
    """Decides what is reported, from events about pluto, the service and units.

    Times are monotonic, in seconds.
    """

    def __init__(self) -> None:
        self.pluto: PlutoState | None = None
        """pluto's state; None: the service has never reported one."""
        self._lost: Lost | None = None
        self._units: dict[Unit, UnitState] = {}
        self._ran: set[Unit] = set()
        """The units that were active at any time in this session."""
        self._unwatched = _Timer()
        self._unknown = _Timer()
        self._stopped = _Timer()
        self._lost_tunnels = False
        self._matters = True
        self._meant = False

    @property
    def watched(self) -> bool:
        """Whether the service can be followed."""
        return self._lost is None and self.pluto is not None

    def hear_service(self, pluto: PlutoState, now: float) -> None:
        """Record pluto's state, as the service reports it."""
        self._lost = None
        self._unwatched.note(now, true=False)
        self._ran.add(Unit.OURS)
        if pluto is PlutoState.RUNNING:
            self._ran.add(Unit.IPSEC)
        self.pluto = pluto

    def hear_lost(self, lost: Lost, now: float) -> None:
        """Record that the service can't be followed."""
        self._lost = lost
        self._unwatched.note(now, true=True)

    def hear_unit(self, state: UnitState) -> None:
        """Record a unit's state, as systemd reports it."""
        self._units[state.unit] = state
        if state.active:
            self._ran.add(state.unit)

    def look(
        self, now: float, *, unknown: bool, lost_tunnels: bool, matters: bool, meant: bool = False
    ) -> None:
        """Record what is known of the tunnels, and start or stop the timers.

        ``unknown``: some tunnel's state isn't known. ``lost_tunnels``: some went down with pluto.
        ``matters``: the user wants notifications of some tunnel. ``meant``: NetworkManager ended
        pluto together with its user's connection.
        """
        self._lost_tunnels, self._matters, self._meant = lost_tunnels, matters, meant
        known = self.pluto not in (PlutoState.STOPPED, PlutoState.STARTING)
        hangs = self.pluto is PlutoState.UNREACHABLE and matters
        watched = self._lost is None
        self._unknown.note(now, true=watched and (hangs or (unknown and known)))
        self._stopped.note(now, true=watched and self.pluto is PlutoState.STOPPED)

    def unknown(self, now: float, hush: float) -> Words | None:
        """Return why the tunnels' state isn't known; None where that isn't reported (yet)."""
        if _over(self._unwatched.since, UNKNOWN_AFTER, now, hush) and self._is_missed():
            hangs = self._is_active(Unit.OURS)
            return texts.UNWATCHED_HANGS if hangs else texts.UNWATCHED
        if _over(self._unknown.since, UNKNOWN_AFTER, now, hush):
            hangs = self.pluto is PlutoState.UNREACHABLE
            return texts.UNREACHABLE if hangs else texts.UNREADABLE
        return None

    def details(self, unit: str) -> str:
        """Return the same for an administrator; ``unit`` is the one that runs pluto."""
        if self._lost is not None:
            return ". ".join(filter(None, (self._lost.why, self._lost.hint)))
        hangs = self.pluto is PlutoState.UNREACHABLE
        told = words_for(Reason.PLUTO_UNREACHABLE if hangs else Reason.BAD_OUTPUT, unit)
        return f"{told.sentence} {told.advice}"

    def stopped(self, now: float, hush: float) -> bool:
        """Return whether to report that pluto stopped."""
        if self._stopped.since is None:
            return False
        if self._lost_tunnels:
            return True
        went = Unit.IPSEC in self._ran and self._matters and not self._meant
        failed = self._has_failed(Unit.IPSEC)
        return (went or failed) and _over(self._stopped.since, STOPPED_AFTER, now, hush)

    def times(self, hush: float) -> Iterator[float]:
        """Yield the times at which unknown() or stopped() may change without an event."""
        waits = (
            (self._unwatched.since, UNKNOWN_AFTER),
            (self._unknown.since, UNKNOWN_AFTER),
            (self._stopped.since, STOPPED_AFTER),
        )
        for since, wait in waits:
            if since is not None:
                yield max(since + wait, hush)

    def _is_missed(self) -> bool:
        """Return whether the service can't be followed, though it should be.

        It should be where it ran in this session, failed, or is active; but not where this user may
        not ask it, or wants no notifications.
        """
        if self._lost is None or self._lost.denied or not self._matters:
            return False
        ran = Unit.OURS in self._ran
        return ran or self._has_failed(Unit.OURS) or self._is_active(Unit.OURS)

    def _has_failed(self, unit: Unit) -> bool:
        return unit in self._units and self._units[unit].failed

    def _is_active(self, unit: Unit) -> bool:
        return unit in self._units and self._units[unit].active


def _over(since: float | None, wait: float, now: float, hush: float) -> bool:
    """Return whether ``wait`` seconds have passed since a time, and ``hush`` is over."""
    return since is not None and now >= max(since + wait, hush)
