# SPDX-License-Identifier: MIT
"""Since when SAs exist, and since when their counters haven't changed.

pluto's status has neither. If two answers differ, the change counts as of the time of the second
one. For SAs that the first answer had, or that came while pluto couldn't be asked, the time is only
the latest possible: they may be older.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ipsecwatch.report import SaKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipsecwatch.report import ConnectionKey, Poll, Report, SaState


class Since(NamedTuple):
    """When something changed; if not ``known``, the latest time at which it can have changed.

    Both times, in seconds, are of the same moment: ``at`` by the wall clock, ``boot`` by
    CLOCK_BOOTTIME.
    """

    at: float
    boot: float
    known: bool
    """Whether the change was seen between two answers. False: it may have been at any time
    before."""


@dataclass(frozen=True, slots=True)
class SaTimes:
    """The times of all SAs as of pluto's last answer. Each new answer makes a new object."""

    sas: Mapping[int, Since] = field(default_factory=dict)
    """By the serial of each SA: since when it exists."""
    idle: Mapping[ConnectionKey, Since] = field(default_factory=dict)
    """By connection: since when no counter of its Child SAs has changed. A rekey alone is no
    change."""
    answered: float = 0.0
    """When pluto gave the last answer, in seconds of CLOCK_BOOTTIME."""


class SaWatch:
    """Compares each report with the one before, to find the times of SAs that ``times`` has.

    The lines with SPIs and counters are compared as printed, since parsing them takes longer.
    """

    def __init__(self) -> None:
        self.times = SaTimes()
        self._serials: list[int] = []
        self._lines: list[str] = []
        """The lines with SPIs and counters in the last report, one for each serial; "": none was
        printed."""
        self._continuous = False

    def interrupt(self, *, another_pluto: bool = False) -> None:
        """Record that a poll got no report, so that the next change isn't seen when it happens.

        ``another_pluto``: pluto was restarted, with serials from 1 on; all times are forgotten.
        """
        self._continuous = False
        if another_pluto:
            self.times = SaTimes()
            self._serials, self._lines = [], []

    def note(self, report: Report, poll: Poll) -> None:
        """Update ``times`` by a complete report, which is that of ``poll``."""
        states, sas = report.states, self.times.sas
        serials, lines = list(map(_serial, states)), list(map(_sa_text, states))
        now = Since(poll.at, poll.boot, known=self._continuous)
        idle = None
        if serials == self._serials:
            idle = self.times.idle if lines == self._lines else self._moved(states, lines, now)
        else:
            sas = {serial: sas.get(serial, now) for serial in serials}
        if idle is None:
            idle = self._compare(states, now)
        self.times = SaTimes(sas, idle, poll.boot)
        self._serials, self._lines = serials, lines
        self._continuous = True

    def _moved(
        self, states: Sequence[SaState], lines: Sequence[str], now: Since
    ) -> dict[ConnectionKey, Since] | None:
        """Return by connection since when no counter of its Child SAs has changed.

        For a report with the same serials as the last one. Connections whose lines differ get
        ``now``. Return None if one of these had no Child SA in the last report: then a serial
        belongs to another connection by now, and only _compare() finds the times.
        """
        pairs = zip(states, lines, self._lines, strict=True)
        moved = [s for s, line, before in pairs if line != before and s.kind is SaKind.CHILD]
        keys = {(s.name, s.instance): now for s in moved}
        return {**self.times.idle, **keys} if keys.keys() <= self.times.idle.keys() else None

    def _compare(self, states: Sequence[SaState], now: Since) -> dict[ConnectionKey, Since]:
        """Return by connection since when no counter of its Child SAs has changed.

        A connection without Child SAs is left out. A new Child SA counts as a change only if it has
        already carried traffic.
        """
        old, before = self.times.idle, dict(zip(self._serials, self._lines, strict=True))
        idle: dict[ConnectionKey, Since] = {}
        moved: list[ConnectionKey] = []
        for s in states:
            if s.kind is not SaKind.CHILD:
                continue
            key = s.name, s.instance
            idle[key] = old.get(key, now)
            if (line := before.get(s.serial)) != s.sa_text and (line is not None or _carried(s)):
                moved.append(key)
        return idle | dict.fromkeys(moved, now)


_serial = attrgetter("serial")
_sa_text = attrgetter("sa_text")


def _carried(s: SaState) -> bool:
    """Return whether an SA has carried traffic, by its counters."""
    return s.sa is not None and bool(s.sa.bytes_in or s.sa.bytes_out)
