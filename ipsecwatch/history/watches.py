# SPDX-License-Identifier: MIT
"""Compute from when until when each run of the service watched.

Only what a journal entry shows is stated. If a run was killed, or the power failed, it wrote no
entry about its end. Then it ended at its last entry, or later if an entry of systemd about its unit
shows that. If it was the last run of a boot, and systemd logged no end of the unit, it ended at the
last entry of that boot.
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
    """All that the caller read from the journal, and what it knows of the present."""

    entries: Sequence[Entry] = ()
    """The service's journal entries, in the journal's order."""
    system: Sequence[SystemEntry] = ()
    boot_ends: Mapping[str, Stamp] = field(default_factory=dict)
    """By ``_BOOT_ID``: the stamp of a boot's last entry, whoever wrote that. Boots may be missing
    whose last run of the service wrote an entry about its end."""
    running: str = ""
    """The id of the run that is watching now; "": none is, or it isn't known."""
    now: Stamp | None = None
    """The present time; None: the journal isn't this machine's own."""
    since: float | None = None
    """When the oldest entry of the journal was written (wall clock); None: the journal is empty."""


class End(StrEnum):
    """From what it is known when a run of the service ended."""

    GOES_ON = "goes-on"
    """The run hasn't ended: it is watching now."""
    WRITTEN = "written"
    """The service wrote an entry about its end."""
    SYSTEMD = "systemd"
    """systemd wrote an entry that the service's process had ended."""
    BOOT = "boot"
    """The run ended with the boot, at the boot's last entry: the service ran until the machine
    stopped."""
    LAST_ENTRY = "last-entry"
    """The end isn't known. It is taken to be the last entry that shows that the service was
    running, its own or systemd's."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the service. All times in it are monotonic times of its boot."""

    id: str
    entries: Sequence[Entry]
    clock: BootClock
    begin: float
    """When the run's first entry was written."""
    end: float
    ended_by: End
    asleep: Sequence[tuple[float, float]]
    """The times at which the machine went to sleep and woke up during the run. The monotonic clock
    stands still during sleep, so each pair is almost equal."""

    @property
    def began(self) -> Entry | None:
        """The run's BEGAN entry; None: the journal doesn't have it (any more)."""
        return self.entries[0] if self.entries[0].kind is Kind.BEGAN else None

    def spans(self, begin: float, end: float) -> Iterator[tuple[float, float]]:
        """Yield a part of the run as spans on the wall clock, without the times of sleep.

        ``begin`` and ``end`` of the part are on the monotonic clock.
        """
        for until, again in self.asleep:
            if begin < until < end:
                yield from self.clock.spans(begin, until)
                begin = again
            elif until <= begin < again:
                begin = min(again, end)
        yield from self.clock.spans(begin, end)


def runs_of(found: Found) -> list[Run]:
    """Return all runs of the service that have entries in the journal, oldest first."""
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
    """Computes the runs of the service, with what is known of each boot of the machine.

    That is the boot's clock, its place among the boots, and the entries that systemd wrote in it.
    """

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
        """Return a sort key by which runs are put in order of time.

        ``entries`` are those of one run. The key is the place of its boot among all boots, and its
        monotonic begin.
        """
        first = entries[0].stamp
        return self._rank[first.boot], first.mono

    def run(self, entries: Sequence[Entry], after: Sequence[Entry] | None) -> Run:
        """Return a run from its ``entries``.

        ``after`` are the entries of the next run; None: this is the last one.
        """
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
        """Return when a run ended (monotonic), and from what that is known.

        ``limit`` is when the next run in the same boot began; None: there is none.
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
        """Return when a run ended that wrote no end (monotonic), and from what that is known.

        ``signs`` are systemd's entries about the run's unit after ``last``, the run's last entry,
        and before ``limit``, when the next run in the same boot began (None: there is none). If
        systemd logged the end of the process, that is the end. If the service hung, or nothing
        shows its end, it is the last entry that shows that it ran. But without any sign of an end,
        the last run of a boot ended at the boot's last entry, if that is known.
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
        """Yield when the machine went to sleep and woke up, for each sleep in a boot (monotonic).

        If no entry shows that it woke up, the second time is infinity.
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
