# SPDX-License-Identifier: MIT
"""Compute each tunnel's timeline: spans of time, each with the tunnel's state.

A span's length comes from the monotonic clock, its place from the wall clock. There is none for
times in which the service didn't watch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipsecwatch.history.entries import Kind
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.history.entries import Entry
    from ipsecwatch.history.watches import Run


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which a tunnel's state didn't change. Wall clock, in seconds since the epoch."""

    begin: float
    end: float
    state: TunnelState | None
    """UNKNOWN where it isn't known, although the service watched; None: the tunnel is no longer
    listed from then on, and the span has no length."""
    entry: Entry | None = None
    """The entry that reports it; None: a later entry, or a missing one, shows it."""
    anew: bool = False
    """Nothing is known of the time before: it is newly listed, or the service knew nothing."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.begin


@dataclass(slots=True)
class Timeline:
    """The spans and transitions of one tunnel."""

    name: str
    spans: list[Span] = field(default_factory=list)
    transitions: list[tuple[float, Entry]] = field(default_factory=list)
    """All entries about it with their wall-clock times: those of first looks, and UNLISTED ones,
    as well."""


def timelines_of(runs: Iterable[Run]) -> dict[str, Timeline]:
    """Return the timeline of each tunnel, by name. The runs come oldest first."""
    walk = _Walk()
    for run in runs:
        walk.add_run(run)
    return dict(sorted(walk.timelines.items()))


@dataclass(slots=True)
class _Now:
    """The state of a tunnel just before the entry that is being read."""

    since: float
    """Monotonic: the time before is in the timeline already."""
    state: TunnelState | None
    """None: an entry is missing. The next one has the old state."""
    entry: Entry | None = None
    anew: bool = False


class _Walk:
    """Reads the entries of all runs in order of time, and builds the timelines."""

    def __init__(self) -> None:
        self.timelines: dict[str, Timeline] = {}
        self._now: dict[str, _Now] = {}
        """The tunnels that are listed."""
        self._last_run = ""
        self._counted: tuple[int, float] | None = None
        """The last serial of this run, and when it came (monotonic); None: there was none yet, and
        the entry of the run's begin is missing."""

    def add_run(self, run: Run) -> None:
        """Add the entries of one run of the service to the timelines.

        If the run took over the states of the last one (``previous``), these still hold at its
        begin; else nothing is known of a tunnel until its first entry.
        """
        began = run.began
        goes_on = began is not None and began.previous == self._last_run != ""
        if not goes_on:
            self._now = {}
        for now in self._now.values():
            now.since = run.begin
        self._counted = (0, run.begin) if began is not None else None
        for entry in run.entries:
            if entry.serial is not None:
                self._count(run, entry, entry.serial)
            if entry.kind in (Kind.FIRST_LOOK, Kind.TRANSITION, Kind.UNLISTED):
                self._add(run, entry)
        for name, now in self._now.items():
            self._write(run, name, now, run.end)
        self._last_run = run.id

    def _count(self, run: Run, entry: Entry, serial: int) -> None:
        """Check the serial of an entry. If entries are missing before it, write UNKNOWN.

        That is written for all tunnels, from the last counted entry to this one.
        """
        at = entry.stamp.mono
        if self._counted is not None and serial > self._counted[0] + 1:
            for name, now in self._now.items():
                self._write(run, name, now, max(now.since, self._counted[1]))
                lost = _Now(max(now.since, self._counted[1]), TunnelState.UNKNOWN)
                self._write(run, name, lost, at)
                self._now[name] = _Now(at, None)
        self._counted = serial, at

    def _add(self, run: Run, entry: Entry) -> None:
        """Add an entry about a tunnel to its timeline, after the span up to the entry."""
        name, at = entry.tunnel, entry.stamp.mono
        timeline = self.timelines.setdefault(name, Timeline(name))
        now = self._now.get(name)
        anew = now is None
        if now is None and entry.listed == "yes" and entry.kind is Kind.TRANSITION:
            # It was listed before, and the entries about it are missing.
            now, anew = _Now(run.begin, None, anew=True), False
        if now is not None:
            if entry.kind is Kind.TRANSITION:
                _compare(now, entry)
            self._write(run, name, now, at)
        wall = run.clock.wall(at)
        timeline.transitions.append((wall, entry))
        if entry.gone:
            timeline.spans.append(Span(wall, wall, None, entry))
            self._now.pop(name, None)
        else:
            self._now[name] = _Now(at, entry.state, entry, anew)

    def _write(self, run: Run, name: str, now: _Now, end: float) -> None:
        """Add the spans of a tunnel's state, up to ``end`` (monotonic), to its timeline."""
        state = TunnelState.UNKNOWN if now.state is None else now.state
        spans = self.timelines[name].spans
        for begin, until in run.spans(now.since, end):
            spans.append(Span(begin, until, state, now.entry, now.anew))
            now.anew = False


def _compare(now: _Now, entry: Entry) -> None:
    """Correct the state before a transition (``now``) by the old state that its entry states.

    If it was None, it becomes that one. If the two differ, an entry is missing, and it becomes
    UNKNOWN.
    """
    if now.state is None:
        now.state = entry.old
    elif now.state is not entry.old:
        now.state, now.entry = TunnelState.UNKNOWN, None
