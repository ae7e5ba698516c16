# SPDX-License-Identifier: MIT
"""Since when SAs are there, and since when their counters stand still.

pluto's status tells neither. What comes and moves between two answers is seen at the second one;
what was there at the first look, or came while pluto couldn't be asked, has been so for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ipsecwatch.report import SaKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.report import ConnectionKey, Poll, Report, SaState


class Since(NamedTuple):
    """A moment: on the wall clock and on CLOCK_BOOTTIME, in seconds."""

    at: float
    boot: float
    known: bool
    """The change was seen. False: it has been so for longer."""


@dataclass(frozen=True, slots=True)
class SaTimes:
    """What the last answer adds up to. Never changed: each answer makes another one."""

    sas: Mapping[int, Since] = field(default_factory=dict)
    """Since when each SA is there, by serial."""
    idle: Mapping[ConnectionKey, Since] = field(default_factory=dict)
    """Since when the counters of a connection's Child SAs stand still, through rekeys."""
    answered: float = 0.0
    """When pluto gave that answer, in seconds of CLOCK_BOOTTIME."""


class SaWatch:
    """Compares each answer with the one before it."""

    def __init__(self) -> None:
        self.times = SaTimes()
        self._counters: dict[int, int] = {}
        """What was printed of each SA's SPIs and counters, as a hash: reading them takes longer."""
        self._continuous = False

    def interrupt(self, *, another_pluto: bool = False) -> None:
        """Record that pluto gave no answer, or that another one answers: serials begin anew."""
        self._continuous = False
        if another_pluto:
            self.times = SaTimes()
            self._counters = {}

    def note(self, report: Report, poll: Poll) -> None:
        """Compare a complete report with the last one."""
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
