# SPDX-License-Identifier: MIT
"""What is told of pluto and of the service as a whole: stopped, or that nobody knows. Pure.

Whoever stopped a unit cleanly, disabled or masked it before this session meant that. So only what
failed, or went while this session lasted, is told.
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
"""Seconds for which nobody may know how tunnels are: an upgrade restarts the service."""
STOPPED_AFTER: Final = 20.0
"""Seconds for which pluto may be away, where no tunnel is known to have gone with it."""


class _Timer:
    """Since when something is so."""

    def __init__(self) -> None:
        self.since: float | None = None

    def note(self, now: float, *, true: bool) -> None:
        if not true:
            self.since = None
        elif self.since is None:
            self.since = now


class ServiceNotice:
    """Hears of pluto, of the service and of their units. Times are monotonic."""

    def __init__(self) -> None:
        self.pluto: PlutoState | None = None
        """None: the service has never said."""
        self._lost: Lost | None = None
        self._units: dict[Unit, UnitState] = {}
        self._ran: set[Unit] = set()
        """Units that ran while this session lasted."""
        self._unwatched = _Timer()
        self._unknown = _Timer()
        self._stopped = _Timer()
        self._lost_tunnels = False
        self._matters = True
        self._meant = False

    @property
    def watched(self) -> bool:
        """Whether the service is heard."""
        return self._lost is None and self.pluto is not None

    def hear_service(self, pluto: PlutoState, now: float) -> None:
        """Take note that the service says how pluto is."""
        self._lost = None
        self._unwatched.note(now, true=False)
        self._ran.add(Unit.OURS)
        if pluto is PlutoState.RUNNING:
            self._ran.add(Unit.IPSEC)
        self.pluto = pluto

    def hear_lost(self, lost: Lost, now: float) -> None:
        """Take note that the service isn't heard."""
        self._lost = lost
        self._unwatched.note(now, true=True)

    def hear_unit(self, state: UnitState) -> None:
        """Take note of what systemd says of a unit."""
        self._units[state.unit] = state
        if state.active:
            self._ran.add(state.unit)

    def look(
        self, now: float, *, unknown: bool, lost_tunnels: bool, matters: bool, meant: bool = False
    ) -> None:
        """Take note of tunnels: whether any is unknown, or lost with pluto, or told of at all.

        ``meant``: whoever ends a connection ends pluto.
        """
        self._lost_tunnels, self._matters, self._meant = lost_tunnels, matters, meant
        known = self.pluto not in (PlutoState.STOPPED, PlutoState.STARTING)
        hangs = self.pluto is PlutoState.UNREACHABLE and matters
        watched = self._lost is None
        self._unknown.note(now, true=watched and (hangs or (unknown and known)))
        self._stopped.note(now, true=watched and self.pluto is PlutoState.STOPPED)

    def unknown(self, now: float, hush: float) -> Words | None:
        """Return why nobody knows how tunnels are, where that is to be told."""
        if _over(self._unwatched.since, UNKNOWN_AFTER, now, hush) and self._is_missed():
            hangs = self._is_active(Unit.OURS)
            return texts.UNWATCHED_HANGS if hangs else texts.UNWATCHED
        if _over(self._unknown.since, UNKNOWN_AFTER, now, hush):
            hangs = self.pluto is PlutoState.UNREACHABLE
            return texts.UNREACHABLE if hangs else texts.UNREADABLE
        return None

    def details(self, unit: str) -> str:
        """Return what an administrator wants to read of why nobody knows; ``unit`` is pluto's."""
        if self._lost is not None:
            return ". ".join(filter(None, (self._lost.why, self._lost.hint)))
        hangs = self.pluto is PlutoState.UNREACHABLE
        told = words_for(Reason.PLUTO_UNREACHABLE if hangs else Reason.BAD_OUTPUT, unit)
        return f"{told.sentence} {told.advice}"

    def stopped(self, now: float, hush: float) -> bool:
        """Return whether it is to be told that pluto stopped."""
        if self._stopped.since is None:
            return False
        if self._lost_tunnels:
            return True
        went = Unit.IPSEC in self._ran and self._matters and not self._meant
        failed = self._has_failed(Unit.IPSEC)
        return (went or failed) and _over(self._stopped.since, STOPPED_AFTER, now, hush)

    def times(self, hush: float) -> Iterator[float]:
        """Return the times at which the answers above may change by themselves."""
        waits = (
            (self._unwatched.since, UNKNOWN_AFTER),
            (self._unknown.since, UNKNOWN_AFTER),
            (self._stopped.since, STOPPED_AFTER),
        )
        for since, wait in waits:
            if since is not None:
                yield max(since + wait, hush)

    def _is_missed(self) -> bool:
        """Return whether the service ought to be heard."""
        if self._lost is None or self._lost.denied or not self._matters:
            return False
        ran = Unit.OURS in self._ran
        return ran or self._has_failed(Unit.OURS) or self._is_active(Unit.OURS)

    def _has_failed(self, unit: Unit) -> bool:
        return unit in self._units and self._units[unit].failed

    def _is_active(self, unit: Unit) -> bool:
        return unit in self._units and self._units[unit].active


def _over(since: float | None, wait: float, now: float, hush: float) -> bool:
    return since is not None and now >= max(since + wait, hush)
