# SPDX-License-Identifier: MIT
"""Compute from when until when each run of the service watched.

Only what an entry shows is stated. A run that wrote no end, because it was killed or the power
failed, ended at its last entry; or later, where an entry of systemd about its unit shows that. The
last run of a boot ended at the boot's last entry if systemd logged no end of the unit.
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
    """All that was read from the journal."""

    entries: Sequence[Entry] = ()
    """The service's entries, in the journal's order."""
    system: Sequence[SystemEntry] = ()
    boot_ends: Mapping[str, Stamp] = field(default_factory=dict)
    """The time of a boot's last entry, whoever wrote it; at least of the boots whose last run wrote
    no end."""
    running: str = ""
    """The run that is watching now; "": not known, or none."""
    now: Stamp | None = None
    """The present time; None: the journal isn't this machine's own."""
    since: float | None = None
    """When the journal's oldest entry was written, on the wall clock; None: it has none."""


class End(StrEnum):
    """What shows the end of a run."""

    GOES_ON = "goes-on"
    """The run is still watching."""
    WRITTEN = "written"
    """The service wrote its end."""
    SYSTEMD = "systemd"
    """systemd wrote that the process had ended."""
    BOOT = "boot"
    """The boot's last entry: the service ran until the machine stopped."""
    LAST_ENTRY = "last-entry"
    """Its own last entry, or one of systemd that shows that it ran."""


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
        """The entry of its begin; None: the journal has no such entry (any more)."""
        return self.entries[0] if self.entries[0].kind is Kind.BEGAN else None

    def spans(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield the wall-clock spans of a part of the run, without the times of sleep.

        The part is from ``begin`` to ``end`` on the monotonic clock.
        """
        for until, again in self.asleep:
            if begin < until < end:
                yield from self.clock.spans(begin, until)
                begin = again
            elif until <= begin < again:
                begin = min(again, end)
        yield from self.clock.spans(begin, end)


def runs_of(found: Found) -> list[Run]:
    """Return the runs of the service, oldest first."""
    by_run: dict[str, list[Entry]] = {}
    for entry in found.entries:
        # A process lives in one boot: entries of another boot with its id were copied.
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
    """Knows each boot's clock, order, and entries of systemd, to work out the runs in it."""

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
        """Return a key to sort runs by time: the boot's place, and the monotonic begin."""
        first = entries[0].stamp
        return self._rank[first.boot], first.mono

    def run(self, entries: Sequence[Entry], after: Sequence[Entry] | None) -> Run:
        """Return a run from its entries; ``after``: those of the next run; None: it is the last."""
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
        """Return when a run ended (monotonic), and what shows it.

        ``limit``: when the next run of the same boot began; None: there is none.
        """
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
        """Return the end of a run that wrote none, by systemd's entries about its unit.

        They come after the run's last entry, and before ``limit``: when the next run of the same
        boot began; None: there is none. The run ended when its process did. If it hung, it ended at
        the last entry that shows that it ran; also if nothing shows its end, but at the boot's last
        entry if it is the boot's last run.
        """
        over = next((at for sign, at in signs if sign in (Sign.OVER, Sign.HUNG)), None)
        shown = max((at for sign, at in signs if sign is Sign.RUNS), default=last.stamp.mono)
        if any(sign is Sign.HUNG for sign, _ in signs):
            return shown, End.LAST_ENTRY  # after that it ran, but hung
        if over is not None:
            return over, End.SYSTEMD
        boot_end = self._found.boot_ends.get(last.stamp.boot)
        if limit is None and is_our_unit(last.unit) and boot_end is not None:
            return max(boot_end.mono, last.stamp.mono), End.BOOT
        return shown, End.LAST_ENTRY

    def _asleep(self, boot: str) -> Iterator[tuple[float, float]]:
        """Yield each begin and end of the machine's sleep in a boot (monotonic).

        The end is infinity if the machine isn't known to have woken up.
        """
        begin: float | None = None
        for entry in self._system[boot]:
            if entry.sign is Sign.SLEEP and begin is None:
                begin = entry.stamp.mono
            elif entry.sign is Sign.WAKE and begin is not None:
                yield begin, entry.stamp.mono
                begin = None
        if begin is not None:
            yield begin, float("inf")
