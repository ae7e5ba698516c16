# SPDX-License-Identifier: MIT
"""Convert monotonic times of one boot to the wall clock, even if the wall clock was set meanwhile.

Each journal entry has a time on both clocks. The offset, that is, wall clock minus monotonic clock,
grows while the machine sleeps, and otherwise stays the same if both clocks are right. Where the
offset becomes smaller, the wall clock had been wrong and was set back: times before that are
computed with the later offset. Durations always come from the monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipsecwatch.history.entries import Stamp

STEP: Final = 0.5
"""Seconds by which the offset of the two clocks must change before the wall clock counts as set.
Smaller differences aren't steps: both clocks run at the same rate, also while NTP corrects it."""

EARLY: Final = 600.0
"""Seconds after the boot in which a wall clock that jumps forward counts as corrected, and not only
as set: many machines boot with the time of their last shutdown, or with 1970."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A span of time in which the wall clock wasn't set. It ends where the next one begins."""

    mono: float
    """When the span begins, on the monotonic clock."""
    offset: float
    """Seconds to add to a monotonic time of this span to get the time on the wall clock."""


class BootClock:
    """Converts monotonic times of one boot to the wall clock, by the stamps of journal entries."""

    def __init__(self, stamps: Iterable[Stamp], wakes: Iterable[float] = ()) -> None:
        """Compute from the stamps when the wall clock was set. At least one stamp is needed.

        ``stamps`` are all of one boot, in any order. ``wakes`` are the times at which the machine
        is known to have woken up from sleep, on the monotonic clock.
        """
        self._pieces: list[Piece] = []
        for stamp in sorted(stamps, key=lambda s: s.mono):
            offset = stamp.wall - stamp.mono
            if not self._pieces or abs(offset - self._pieces[-1].offset) > STEP:
                self._pieces.append(Piece(stamp.mono, offset))
        _correct(self._pieces, tuple(wakes))
        self._begins = [p.mono for p in self._pieces]

    def wall(self, mono: float) -> float:
        """Return the time on the wall clock, corrected, for a monotonic time of this boot."""
        return mono + self._pieces[self._index(mono)].offset

    def spans(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield a span of monotonic time as one or more spans on the wall clock.

        There are several if the wall clock was set in between. Their total length is that of the
        monotonic span.
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
    """Where the wall clock was wrong in a piece, give it the offset of the next piece, in place.

    The wall clock was wrong in a piece if it was set back at its end. It was also wrong if it was
    set forward at its end in the first EARLY seconds of the boot, unless the machine woke up just
    then (``wakes``), so that only the sleep had changed the offset.
    """
    for n in range(len(pieces) - 2, -1, -1):
        this, following = pieces[n], pieces[n + 1]
        slept = any(abs(at - following.mono) < 1 for at in wakes)
        if this.offset > following.offset or (following.mono < EARLY and not slept):
            pieces[n] = Piece(this.mono, following.offset)
