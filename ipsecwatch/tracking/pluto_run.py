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
    """What is remembered about one run of pluto between two reports."""

    started: float | None = None
    """When it was first seen, on the monotonic clock; None: it wasn't seen to start."""
    pid: int | None = None
    top: int = 0
    """The highest serial in the last report that listed any SA."""
    serials: frozenset[int] = frozenset()
    """The serials of all SAs in the last report."""
    ikes: dict[int, ConnectionKey] | None = None
    """The established IKE SAs of the last report; None: there was no report yet."""
    idle: frozenset[int] = frozenset()
    """IKE SAs that are no sign of trying: they have carried a Child, or were there before us."""
    busy: frozenset[ConnectionKey] = frozenset()
    """Connections that had a Child SA in the last report."""
    loaded: int = 0
    """How many connections the last report listed."""
    grew: float = 0.0
    """When a report last had more connections than the one before, on the monotonic clock."""
    counted: int | None = None
    """The highest serial ever seen, up to which count_missed() has counted; None: no report yet."""
    gone: bool = False
    """It ended so long ago that its tunnels are DOWN, or its unit has ended."""

    def is_another(self, poll: Poll, report: Report) -> bool:
        """Return whether a report surely comes from another pluto than the last one did.

        The pid shows it; where that isn't known, a new serial that isn't the highest.
        """
        if self.pid is not None and poll.pid is not None:
            return self.pid != poll.pid
        # Serials only grow in one run: a new one that isn't the highest is another pluto's.
        return any(s.serial <= self.top and s.serial not in self.serials for s in report.states)

    def is_same(self, poll: Poll, report: Report) -> bool:
        """Return whether a report surely comes from the same pluto as the last one did.

        The pid shows it; where that isn't known, a serial that both have.
        """
        if self.pid is not None and poll.pid is not None:
            return self.pid == poll.pid
        return any(s.serial in self.serials for s in report.states)

    def note_list(self, report: Report, now: float) -> None:
        """Record that pluto is there, and how many connections it lists.

        Called before tunnels are compared.
        """
        self.gone = False
        if len(report.connections) > self.loaded:
            self.grew = now
        self.loaded = len(report.connections)

    def count_missed(self, report: Report) -> int:
        """Return how many SAs came and went unseen since the last report.

        They are the serials that no report showed: pluto leaves none out. 0 where ``counted`` is
        None: the first report.
        """
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
        """When this run is expected to have loaded all connections, on the monotonic clock.

        START_GRACE after its start, or after the list last grew, but LOADING_GRACE after its start
        at the latest. None where it wasn't seen to start.
        """
        if self.started is None:
            return None
        grown = min(self.grew + START_GRACE, self.started + LOADING_GRACE)
        return max(self.started + START_GRACE, grown)

    def is_loading(self, now: float) -> bool:
        """Return whether pluto started so recently that it may still load connections."""
        by = self.loaded_by
        return by is not None and now < by
