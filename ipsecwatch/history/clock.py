# SPDX-License-Identifier: MIT
"""Convert monotonic times of one boot to the wall clock, even if that was set meanwhile.

Durations come from the monotonic clock alone, moments from the wall clock. If both are right, wall
minus monotonic time can only grow, while the machine sleeps. Where it became smaller, the wall
clock was wrong before: times before that are computed with the corrected clock.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipsecwatch.history.entries import Stamp

STEP: Final = 0.5
"""Seconds by which the wall clock may stray from the monotonic one before it counts as set. Both
run at the same rate, also while NTP corrects it."""

EARLY: Final = 600.0
"""Seconds after the boot in which a clock that goes forward is one that is put right: many machines
begin with the time of their last shutdown, or with 1970."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of time in which the wall clock wasn't set."""

    mono: float
    """When it begins, on the monotonic clock."""
    offset: float
    """Seconds to add to a monotonic time to get the wall clock's."""


class BootClock:
    """The wall clock of one boot, as the stamps of its entries show it."""

    def __init__(self, stamps: Iterable[Stamp], wakes: Iterable[float] = ()) -> None:
        """Compute when the wall clock was set, from the stamps of one or more entries of one boot.

        ``wakes``: the known times at which the machine woke up, on the monotonic clock.
        """
        self._pieces: list[Piece] = []
        for stamp in sorted(stamps, key=lambda s: s.mono):
            offset = stamp.wall - stamp.mono
            if not self._pieces or abs(offset - self._pieces[-1].offset) > STEP:
                self._pieces.append(Piece(stamp.mono, offset))
        _correct(self._pieces, tuple(wakes))
        self._begins = [p.mono for p in self._pieces]

    def wall(self, mono: float) -> float:
        """Return the wall-clock time, corrected, of a monotonic time of this boot."""
        return mono + self._pieces[self._index(mono)].offset

    def spans(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield a monotonic span of time as spans on the wall clock, together as long as it.

        There is more than one where the wall clock was set meanwhile.
        """
        index = self._index(begin)
        while begin < end:
            last = index + 1 >= len(self._pieces)
            until = end if last else min(end, self._pieces[index + 1].mono)
            offset = self._pieces[index].offset
            yield begin + offset, until + offset
            begin, index = until, index + 1

    def _index(self, mono: float) -> int:
        return max(0, bisect_right(self._begins, mono) - 1)


def _correct(pieces: list[Piece], wakes: tuple[float, ...]) -> None:
    """Replace the offset of each piece in which the wall clock was wrong by that of the next one.

    It was wrong if it was set back after the piece, or forward in the first EARLY seconds of the
    boot, but not by a sleep from which the machine woke up then (``wakes``).
    """
    for n in range(len(pieces) - 2, -1, -1):
        this, following = pieces[n], pieces[n + 1]
        slept = any(abs(at - following.mono) < 1 for at in wakes)
        if this.offset > following.offset or (following.mono < EARLY and not slept):
            pieces[n] = Piece(this.mono, following.offset)
