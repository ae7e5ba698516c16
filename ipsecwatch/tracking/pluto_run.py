# SPDX-License-Identifier: MIT
"""One run of pluto, from its start to its end: which one it is, and whether it still loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.report import ConnectionKey, Poll, Report

START_GRACE: Final = 3.0
"""Seconds after a start of pluto in which a missing connection is one that isn't loaded yet."""

LOADING_GRACE: Final = 60.0
"""The same, while the list still grows: thousands of connections take their time."""


@dataclass(slots=True)
class PlutoRun:
    """What must be remembered of one run of pluto."""

    started: float | None = None
    """When it was first seen, if it was seen to start; None: it ran before we looked."""
    pid: int | None = None
    top: int = 0
    """The highest serial seen."""
    serials: frozenset[int] = frozenset()
    """Those of the last report."""
    ikes: dict[int, ConnectionKey] | None = None
    """The established IKE SAs of the last report; None: there was none yet."""
    idle: frozenset[int] = frozenset()
    """IKE SAs that are no sign of trying: they have carried a Child, or were there before us."""
    busy: frozenset[ConnectionKey] = frozenset()
    """Connections that had a Child SA in the last report."""
    loaded: int = 0
    """Connections in the last report."""
    grew: float = 0.0
    """When it last had more than before."""
    counted: int | None = None
    """The highest serial ever seen: up to it, it is known which SAs came and went unseen."""
    gone: bool = False
    """It is over, for so long or so surely that its tunnels are down."""

    def is_another(self, poll: Poll, report: Report) -> bool:
        """Return whether a report is another pluto's than the last one."""
        if self.pid is not None and poll.pid is not None:
            return self.pid != poll.pid
        # Serials only grow in one run: one that is new and not the highest is another's.
        return any(s.serial <= self.top and s.serial not in self.serials for s in report.states)

    def is_same(self, poll: Poll, report: Report) -> bool:
        """Return whether a report is surely the same pluto's as the last one."""
        if self.pid is not None and poll.pid is not None:
            return self.pid == poll.pid
        return any(s.serial in self.serials for s in report.states)

    def note_list(self, report: Report, now: float) -> None:
        """Record how many connections are loaded. Called before tunnels are compared."""
        self.gone = False
        if len(report.connections) > self.loaded:
            self.grew = now
        self.loaded = len(report.connections)

    def count_missed(self, report: Report) -> int:
        """Return how many SAs came and went since the last report: pluto leaves no serial out."""
        if self.counted is None:  # found at the first look
            self.counted = max((s.serial for s in report.states), default=0)
        new = {s.serial for s in report.states if s.serial > self.counted}
        before, self.counted = self.counted, max(new, default=self.counted)
        return self.counted - before - len(new)

    def note_states(self, poll: Poll, report: Report) -> None:
        """Record pluto's pid and its serials. Called after tunnels were compared."""
        self.pid = poll.pid if poll.pid is not None else self.pid
        self.serials = frozenset(s.serial for s in report.states)
        self.top = max(self.serials, default=self.top)

    @property
    def loaded_by(self) -> float | None:
        """When a pluto that was seen to start has loaded all, on the monotonic clock."""
        if self.started is None:
            return None
        grown = min(self.grew + START_GRACE, self.started + LOADING_GRACE)
        return max(self.started + START_GRACE, grown)

    def is_loading(self, now: float) -> bool:
        """Return whether pluto started so recently that it may still load connections."""
        by = self.loaded_by
        return by is not None and now < by
