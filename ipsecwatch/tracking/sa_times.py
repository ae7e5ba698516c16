# SPDX-License-Identifier: MIT
"""Since when SAs exist, and since when their counters haven't changed.

pluto's status shows neither. A change between two answers counts from the second one. For SAs that
were there at the first answer, or came while pluto couldn't be asked, the time isn't exact: it has
been so for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ipsecwatch.report import SaKind

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Compares each answer with the one before it, to keep the times of SAs."""

    def __init__(self) -> None:
        self.times = SaTimes()
        self._counters: dict[int, int] = {}
        """For each SA a hash of the line with its counters, since parsing it takes longer."""
        self._continuous = False

    def interrupt(self, *, another_pluto: bool = False) -> None:
        """Record that pluto gave no answer, or that another pluto answers, with serials from 1."""
        self._continuous = False
        if another_pluto:
            self.times = SaTimes()
            self._counters = {}

    def note(self, report: Report, poll: Poll) -> None:
        """Update the times by a complete report."""
        now = Since(poll.at, poll.boot, known=self._continuous)
        old, before = self.times, self._counters
        sas: dict[int, Since] = {}
        idle: dict[ConnectionKey, Since] = {}
        counters: dict[int, int] = {}
        for s in report.states:
            serial = s.serial
            sas[serial] = old.sas.get(serial, now)
            counters[serial] = printed = hash(s.text.partition("\n")[2])
            if s.kind is not SaKind.CHILD:
                continue
            moved = before[serial] != printed if serial in before else _has_carried(s)
            since = now if moved else old.idle.get(s.key, now)
            idle[s.key] = max(since, idle.get(s.key, since), key=_boot)
        self.times = SaTimes(sas, idle, poll.boot)
        self._counters = counters
        self._continuous = True


def _boot(since: Since) -> float:
    return since.boot


def _has_carried(s: SaState) -> bool:
    return s.sa is not None and bool(s.sa.bytes_in or s.sa.bytes_out)
