# SPDX-License-Identifier: MIT
"""One run of pluto, from its start to its end: which pluto it is, and whether it still loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.report import ConnectionKey, Poll, Report

START_GRACE: Final = 3.0
"""Seconds after a start of pluto for which a connection that isn't listed counts as not loaded
yet."""

LOADING_GRACE: Final = 60.0
"""Seconds after a start of pluto for which this is so if the list is still growing: thousands of
connections take their time."""


@dataclass(slots=True)
class PlutoRun:
    """What is remembered about one run of pluto between two reports."""

    started: float | None = None
    """When this pluto was first seen, on the monotonic clock, if it may have started just then;
    None: it had started before."""
    pid: int | None = None
    top: int = 0
    """The highest serial of an SA in the last report that listed any."""
    serials: frozenset[int] = frozenset()
    """The serials of all SAs in the last report."""
    ikes: dict[int, ConnectionKey] | None = None
    """The established IKE SAs of the last report, and each one's connection, by serial; None: there
    was no report yet."""
    idle: frozenset[int] = frozenset()
    """Serials of the IKE SAs that are no sign that a tunnel is tried (idle_ike.py)."""
    busy: frozenset[ConnectionKey] = frozenset()
    """Connections that had a Child SA in the last report."""
    loaded: int = 0
    """How many connections the last report listed."""
    grew: float = 0.0
    """When a report last had more connections than the report before it, on the monotonic clock."""
    counted: int | None = None
    """The highest serial up to which count_missed() has counted; None: it wasn't called yet."""
    gone: bool = False
    """Whether pluto has been away for so long that tunnels are DOWN, or its unit has ended."""

    def is_another(self, poll: Poll, report: Report) -> bool:
        """Return whether it is certain that a report is from another pluto than the last report.

        The process ids show it. If one isn't known, an SA shows it that is new and whose serial
        isn't above all earlier ones: within one run, serials only grow. False if neither shows it.
        """
        if self.pid is not None and poll.pid is not None:
            return self.pid != poll.pid
        # Serials only grow in one run: a new one that isn't the highest is another pluto's.
        return any(s.serial <= self.top and s.serial not in self.serials for s in report.states)

    def is_same(self, poll: Poll, report: Report) -> bool:
        """Return whether it is certain that a report is from the same pluto as the last report.

        The process ids show it. If one isn't known, an SA shows it that both reports list. False if
        neither shows it.
        """
        if self.pid is not None and poll.pid is not None:
            return self.pid == poll.pid
        return any(s.serial in self.serials for s in report.states)

    def note_list(self, report: Report, now: float) -> None:
        """Record that pluto answers, so that it isn't ``gone``, and how many connections it lists.

        Call this before tunnels are compared.
        """
        self.gone = False
        if len(report.connections) > self.loaded:
            self.grew = now
        self.loaded = len(report.connections)

    def count_missed(self, report: Report) -> int:
        """Return how many SAs came and went unseen: older than the newest one that a report shows.

        pluto leaves no serial out, so these are the serials that no report showed, without those
        that were returned before. 0 at the first report.
        """
        if self.counted is None:  # found at the first look
            self.counted = max((s.serial for s in report.states), default=0)
        new = {s.serial for s in report.states if s.serial > self.counted}
        before, self.counted = self.counted, max(new, default=self.counted)
        return self.counted - before - len(new)

    def note_states(self, poll: Poll, report: Report) -> None:
        """Record pluto's process id and its serials. Call this after tunnels were compared."""
        self.pid = poll.pid if poll.pid is not None else self.pid
        self.serials = frozenset(s.serial for s in report.states)
        self.top = max(self.serials, default=self.top)

    @property
    def loaded_by(self) -> float | None:
        """When this pluto is expected to have loaded all its connections, on the monotonic clock.

        That is START_GRACE seconds after its start or after the list last grew, whichever is later,
        but at most LOADING_GRACE seconds after its start. None: its start wasn't seen.
        """
        if self.started is None:
            return None
        grown = min(self.grew + START_GRACE, self.started + LOADING_GRACE)
        return max(self.started + START_GRACE, grown)

    def is_loading(self, now: float) -> bool:
        """Return whether pluto may still be loading connections at ``now`` (monotonic).

        False as well if its start wasn't seen.
        """
        by = self.loaded_by
        return by is not None and now < by
