# SPDX-License-Identifier: MIT
"""Since when SAs exist, and since when their counters haven't changed.

pluto's status shows neither. A change between two answers counts from the second one. For SAs that
were there at the first answer, or came while pluto couldn't be asked, the time isn't exact: it has
been so for longer.
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
    """The time of a change: on the wall clock and on CLOCK_BOOTTIME, in seconds."""

    at: float
    boot: float
    known: bool
    """The change was seen. False: it was at some time before."""


@dataclass(frozen=True, slots=True)
class SaTimes:
    """The times of all SAs as of the last answer. It is never changed, but replaced."""

    sas: Mapping[int, Since] = field(default_factory=dict)
    """Since when each SA exists, by serial."""
    idle: Mapping[ConnectionKey, Since] = field(default_factory=dict)
    """Since when no counter of a connection's Child SAs has changed, even if they were rekeyed."""
    answered: float = 0.0
    """When pluto gave that answer, in seconds of CLOCK_BOOTTIME."""


class SaWatch:
    """Compares each answer with the one before it, to keep the times of SAs.

    The lines with SPIs and counters are compared as printed, since parsing them takes longer.
    """

    def __init__(self) -> None:
        self.times = SaTimes()
        self._serials: list[int] = []
        self._lines: list[str] = []
        """The lines of the last answer, one for each serial; "": none was printed."""
        self._continuous = False

    def interrupt(self, *, another_pluto: bool = False) -> None:
        """Record that pluto gave no answer, or that another pluto answers, with serials from 1."""
        self._continuous = False
        if another_pluto:
            self.times = SaTimes()
            self._serials, self._lines = [], []

    def note(self, report: Report, poll: Poll) -> None:
        """Update the times by a complete report."""
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
        """Return since when counters haven't changed, by connection.

        The serials must be the same as before.
        Return None if an SA belongs to another connection now: _compare() must look at all then.
        """
        pairs = zip(states, lines, self._lines, strict=True)
        moved = [s for s, line, before in pairs if line != before and s.kind is SaKind.CHILD]
        keys = {(s.name, s.instance): now for s in moved}
        return {**self.times.idle, **keys} if keys.keys() <= self.times.idle.keys() else None

    def _compare(self, states: Sequence[SaState], now: Since) -> dict[ConnectionKey, Since]:
        """Return since when the counters of each connection with Child SAs haven't changed.

        A new Child SA counts as a change if it has carried traffic already.
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
    """Return whether a new SA has carried traffic already."""
    return s.sa is not None and bool(s.sa.bytes_in or s.sa.bytes_out)
