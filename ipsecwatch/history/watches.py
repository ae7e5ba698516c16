# SPDX-License-Identifier: MIT
"""From when until when somebody watched: one run of the service after the other.

What isn't shown by an entry isn't claimed. A run that wrote no end, because it was killed or the
power failed, ended at its last entry; or later, where systemd's own entry about its unit shows
that, or the last entry of a boot in which systemd told of no end.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING

from ipsecwatch.history.clock import BootClock
from ipsecwatch.history.entries import Kind, Sign, is_our_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ipsecwatch.history.entries import Entry, Stamp, SystemEntry


@dataclass(frozen=True, slots=True)
class Found:
    """All that was read of the journal."""

    entries: Sequence[Entry] = ()
    """The service's, in the journal's order."""
    system: Sequence[SystemEntry] = ()
    boot_ends: Mapping[str, Stamp] = field(default_factory=dict)
    """For each boot the last entry of anybody's."""
    running: str = ""
    """The run that watches just now; "": none that is known."""
    now: Stamp | None = None
    since: float | None = None
    """When the journal's oldest entry was written, on the wall clock; None: it has none."""


class End(StrEnum):
    """What shows until when a run watched."""

    GOES_ON = "goes-on"
    """It still does."""
    WRITTEN = "written"
    """The service wrote it."""
    SYSTEMD = "systemd"
    """systemd wrote that the process had ended."""
    BOOT = "boot"
    """The boot's last entry: the machine went down with it."""
    LAST_ENTRY = "last-entry"
    """Its own last entry, or one of systemd's that shows that it ran."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the service."""

    id: str
    entries: Sequence[Entry]
    clock: BootClock
    begin: float
    """Monotonic, as all times here."""
    end: float
    ended_by: End
    asleep: Sequence[tuple[float, float]]
    """When the machine slept meanwhile: on the monotonic clock that takes no time."""

    @property
    def began(self) -> Entry | None:
        """The entry with which it began; None: it is older than the journal reaches back."""
        return self.entries[0] if self.entries[0].kind is Kind.BEGAN else None

    def spans(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """Return where a part of it lies on the wall clock."""
        for until, again in self.asleep:
            if begin < until < end:
                yield from self.clock.spans(begin, until)
                begin = again
            elif until <= begin < again:
                begin = min(again, end)
        yield from self.clock.spans(begin, end)


def runs_of(found: Found) -> list[Run]:
    """Return the runs of the service, the oldest first."""
    by_run: dict[str, list[Entry]] = {}
    for entry in found.entries:
        # A process lives in one boot: what else has its id was copied.
        members = by_run.setdefault(entry.run, [])
        if not members or members[0].stamp.boot == entry.stamp.boot:
            members.append(entry)
    for members in by_run.values():
        members.sort(key=lambda e: e.stamp.mono)
    boots = _Boots(found)
    groups = sorted(by_run.values(), key=boots.order)
    following = zip_longest(groups, groups[1:])
    return [boots.run(group, after) for group, after in following]


class _Boots:
    """What is known of each boot."""

    def __init__(self, found: Found) -> None:
        self._found = found
        stamps: dict[str, list[Stamp]] = defaultdict(list)
        for stamp in [e.stamp for e in found.entries] + [e.stamp for e in found.system]:
            stamps[stamp.boot].append(stamp)
        for stamp in (*found.boot_ends.values(), *([found.now] if found.now else [])):
            if stamp.boot in stamps:
                stamps[stamp.boot].append(stamp)
        wakes: dict[str, list[float]] = defaultdict(list)
        for e in found.system:
            if e.sign is Sign.WAKE:
                wakes[e.stamp.boot].append(e.stamp.mono)
        self._clocks = {boot: BootClock(s, wakes[boot]) for boot, s in stamps.items()}
        # A clock that was wrong at the start of a boot is right by its end, if ever.
        last = {boot: max(s, key=lambda x: x.mono).wall for boot, s in stamps.items()}
        self._rank = {boot: n for n, boot in enumerate(sorted(last, key=last.__getitem__))}
        self._system: dict[str, list[SystemEntry]] = defaultdict(list)
        for entry in sorted(found.system, key=lambda x: x.stamp.mono):
            self._system[entry.stamp.boot].append(entry)

    def order(self, entries: Sequence[Entry]) -> tuple[int, float]:
        first = entries[0].stamp
        return self._rank[first.boot], first.mono

    def run(self, entries: Sequence[Entry], after: Sequence[Entry] | None) -> Run:
        boot, begin = entries[0].stamp.boot, entries[0].stamp.mono
        limit = None
        if after is not None and after[0].stamp.boot == boot:
            limit = after[0].stamp.mono
        end, by = self._end(entries, limit)
        asleep = [(a, b) for a, b in self._asleep(boot) if begin < b and a < end]
        if asleep and asleep[-1][1] == float("inf"):
            at = asleep.pop()[0]
            if by is not End.GOES_ON and entries[-1].stamp.mono <= at:  # it never woke up
                end = max(begin, at)
        return Run(entries[0].run, entries, self._clocks[boot], begin, end, by, asleep)

    def _end(self, entries: Sequence[Entry], limit: float | None) -> tuple[float, End]:
        """Return when and how a run ended; ``limit``: when the next one of its boot began."""
        last, boot = entries[-1], entries[0].stamp.boot
        now = self._found.now
        if last.kind is Kind.ENDED:
            return last.stamp.mono, End.WRITTEN
        if now is not None and now.boot == boot and self._found.running == last.run:
            return max(now.mono, last.stamp.mono), End.GOES_ON
        signs = [
            (s.sign, s.stamp.mono)
            for s in self._system[boot]
            if is_our_unit(last.unit)
            and s.unit == last.unit
            and last.stamp.mono <= s.stamp.mono
            and (limit is None or s.stamp.mono < limit)
        ]
        return self._end_by_systemd(last, signs, limit)

    def _end_by_systemd(
        self, last: Entry, signs: Sequence[tuple[Sign, float]], limit: float | None
    ) -> tuple[float, End]:
        over = next((at for sign, at in signs if sign in (Sign.OVER, Sign.HUNG)), None)
        shown = max((at for sign, at in signs if sign is Sign.RUNS), default=last.stamp.mono)
        if any(sign is Sign.HUNG for sign, _ in signs):
            return shown, End.LAST_ENTRY  # after that it ran, and watched nothing
        if over is not None:
            return over, End.SYSTEMD
        boot_end = self._found.boot_ends.get(last.stamp.boot)
        if limit is None and is_our_unit(last.unit) and boot_end is not None:
            return max(boot_end.mono, last.stamp.mono), End.BOOT
        return shown, End.LAST_ENTRY

    def _asleep(self, boot: str) -> Iterator[tuple[float, float]]:
        """Return from when until when the machine slept; without an end, for ever."""
        begin: float | None = None
        for entry in self._system[boot]:
            if entry.sign is Sign.SLEEP and begin is None:
                begin = entry.stamp.mono
            elif entry.sign is Sign.WAKE and begin is not None:
                yield begin, entry.stamp.mono
                begin = None
        if begin is not None:
            yield begin, float("inf")
