# SPDX-License-Identifier: MIT
"""Decide what is reported about pluto and about the service as a whole. Pure.

That is: pluto has stopped, or it isn't known whether the tunnels are up. If a systemd unit was
stopped, disabled or masked before this agent started, that is taken as done on purpose. So only a
unit that failed, or that ran since this agent started, is reported as missing.
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
"""Seconds after which it is reported that the tunnels' state isn't known. An upgrade restarts the
service, and takes less."""
STOPPED_AFTER: Final = 20.0
"""Seconds after which it is reported that pluto has stopped, if no tunnel was lost by that."""


class _Timer:
    """Records since when a condition has been true.

    ``since`` is None while the condition is false.
    """

    def __init__(self) -> None:
        self.since: float | None = None

    def set(self, now: float, *, true: bool) -> None:
        """Record whether the condition is true at ``now``."""
        if not true:
            self.since = None
        elif self.since is None:
            self.since = now


class ServiceNotification:
    """Decides by events what is reported about pluto and the service.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self.pluto: PlutoState | None = None
        """pluto's state, as the service last reported it; None: the service hasn't reported one
        yet."""
        self._lost: Lost | None = None
        self._units: dict[Unit, UnitState] = {}
        self._ran: set[Unit] = set()
        """The units that were active at some time since this agent started."""
        self._unwatched = _Timer()
        self._unknown = _Timer()
        self._stopped = _Timer()
        self._lost_tunnels = False
        self._matters = True
        self._meant = False

    def record_pluto(self, pluto: PlutoState, now: float) -> None:
        """Record pluto's state as the service reports it; this means that it can be followed."""
        self._lost = None
        self._unwatched.set(now, true=False)
        self._ran.add(Unit.OURS)
        if pluto is PlutoState.RUNNING:
            self._ran.add(Unit.IPSEC)
        self.pluto = pluto

    def record_lost(self, lost: Lost, now: float) -> None:
        """Record that the service can't be followed now."""
        self._lost = lost
        self._unwatched.set(now, true=True)

    def record_unit(self, state: UnitState) -> None:
        """Record the state of a systemd unit, which systemd has just reported."""
        self._units[state.unit] = state
        if state.active:
            self._ran.add(state.unit)

    def update(
        self, now: float, *, unknown: bool, lost_tunnels: bool, matters: bool, meant: bool = False
    ) -> None:
        """Record what is known of the tunnels now, and start or stop the waiting times.

        ``unknown``: the state of some tunnel isn't known. ``lost_tunnels``: it is reported that
        some tunnel was lost because pluto stopped. ``matters``: the user wants notifications about
        some tunnel. ``meant``: pluto stopped because NetworkManager ended it, as its user
        disconnected.
        """
        self._lost_tunnels, self._matters, self._meant = lost_tunnels, matters, meant
        known = self.pluto not in (PlutoState.STOPPED, PlutoState.STARTING)
        hangs = self.pluto is PlutoState.UNREACHABLE and matters
        watched = self._lost is None
        self._unknown.set(now, true=watched and (hangs or (unknown and known)))
        self._stopped.set(now, true=watched and self.pluto is PlutoState.STOPPED)

    def unknown(self, now: float, hush: float) -> Words | None:
        """Return why the tunnels' state isn't known, in words for the user.

        Return None if it is known, or if that isn't to be reported, or not yet: UNKNOWN_AFTER
        seconds must have passed, and ``hush`` must be over.
        """
        if _over(self._unwatched.since, UNKNOWN_AFTER, now, hush) and self._is_missed():
            hangs = self._is_active(Unit.OURS)
            return texts.UNWATCHED_HANGS if hangs else texts.UNWATCHED
        if _over(self._unknown.since, UNKNOWN_AFTER, now, hush):
            hangs = self.pluto is PlutoState.UNREACHABLE
            return texts.UNREACHABLE if hangs else texts.UNREADABLE
        return None

    def details(self, unit: str) -> str:
        """Return why the tunnels' state isn't known, in words for an administrator.

        ``unit`` is the systemd unit that runs pluto, which the advice names; "": none is known.
        """
        if self._lost is not None:
            return ". ".join(filter(None, (self._lost.why, self._lost.hint)))
        hangs = self.pluto is PlutoState.UNREACHABLE
        told = words_for(Reason.PLUTO_UNREACHABLE if hangs else Reason.BAD_OUTPUT, unit)
        return f"{told.sentence} {told.advice}"

    def stopped(self, now: float, hush: float) -> bool:
        """Return whether it is to be reported now that pluto has stopped.

        If some tunnel is reported to be lost by that, it is reported at once. Otherwise
        STOPPED_AFTER seconds must have passed, and ``hush`` must be over; and either its unit has
        failed, or pluto ran since this agent started, some tunnel ``matters``, and the stop wasn't
        ``meant`` (see update()).
        """
        if self._stopped.since is None:
            return False
        if self._lost_tunnels:
            return True
        went = Unit.IPSEC in self._ran and self._matters and not self._meant
        failed = self._has_failed(Unit.IPSEC)
        return (went or failed) and _over(self._stopped.since, STOPPED_AFTER, now, hush)

    def times(self, hush: float) -> Iterator[float]:
        """Yield the times at which unknown() or stopped() may change their answer without an event.

        ``hush`` is the time until which no new problem is reported. Some of the times may be in the
        past.
        """
        waits = (
            (self._unwatched.since, UNKNOWN_AFTER),
            (self._unknown.since, UNKNOWN_AFTER),
            (self._stopped.since, STOPPED_AFTER),
        )
        for since, wait in waits:
            if since is not None:
                yield max(since + wait, hush)

    def _is_missed(self) -> bool:
        """Return whether it is to be reported that the service can't be followed.

        That is so if its unit was active since this agent started, is active, or has failed. It
        isn't if the service refuses this user, or if the user wants no notifications about tunnels.
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
    """Return whether ``wait`` seconds have passed since ``since``, and ``hush`` is over as well.

    Return False if ``since`` is None.
    """
    return since is not None and now >= max(since + wait, hush)
