# SPDX-License-Identifier: MIT
"""Compute each tunnel's timeline: spans of time, each with the tunnel's state in it.

The length of a span comes from the monotonic clock, and its place from the wall clock. There are no
spans for times in which the service didn't watch.
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
    """A span of time in which a tunnel's state didn't change.

    ``begin`` and ``end`` are wall-clock times, in seconds since the epoch.
    """

    begin: float
    end: float
    state: TunnelState | None
    """UNKNOWN if the state isn't known, although the service watched. None if the tunnel is no
    longer listed from then on; such a span has no length."""
    entry: Entry | None = None
    """The journal entry that reports the state. None if there is no such entry, and the state
    follows from a later one, or is UNKNOWN because entries are missing."""
    anew: bool = False
    """Whether nothing is known of the tunnel just before the span: pluto listed it for the first
    time then, or the run of the service began without knowing it."""

    @property
    def seconds(self) -> float:
        """The length of the span, in seconds."""
        return self.end - self.begin


@dataclass(slots=True)
class Timeline:
    """All spans of one tunnel and all journal entries about it, in order of time."""

    name: str
    spans: list[Span] = field(default_factory=list)
    transitions: list[tuple[float, Entry]] = field(default_factory=list)
    """All journal entries about the tunnel, each with its wall-clock time. First looks and UNLISTED
    entries are among them."""


def timelines_of(runs: Iterable[Run]) -> dict[str, Timeline]:
    """Return the timeline of each tunnel, by the tunnel's name.

    ``runs`` must be in order of time.
    """
    walk = _Walk()
    for run in runs:
        walk.add_run(run)
    return dict(sorted(walk.timelines.items()))


@dataclass(slots=True)
class _Now:
    """The state of a tunnel at the point of time that _Walk has reached."""

    since: float
    """Since when this state isn't in the timeline yet, on the monotonic clock."""
    state: TunnelState | None
    """None if entries are missing, so that the state isn't known before the next entry, which names
    the old state."""
    entry: Entry | None = None
    anew: bool = False


class _Walk:
    """Reads the journal entries of all runs in order of time, and builds timelines from them."""

    def __init__(self) -> None:
        self.timelines: dict[str, Timeline] = {}
        self._now: dict[str, _Now] = {}
        """The state of each tunnel that is listed, by the tunnel's name."""
        self._last_run = ""
        self._counted: tuple[int, float] | None = None
        """The serial of the run's last transition so far, and its monotonic time. After a BEGAN
        entry it is 0 and the time of that entry. None: the run has no BEGAN entry, and no
        transition was read yet."""

    def add_run(self, run: Run) -> None:
        """Add the journal entries of one run of the service to the timelines.

        If the run restored the states of the run before it (Entry.previous), these states hold when
        it begins. Otherwise no tunnel's state is known before the first entry about it.
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
        """Compare a transition's serial with the last one. If some are missing, fill the gap.

        The gap is filled for all listed tunnels: they are UNKNOWN from the last transition that
        isn't missing until this one.
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
        """Add an entry about a tunnel to its timeline, after the span that ends with it."""
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
        """Add a tunnel's present state to its timeline, until ``end`` (monotonic).

        That is one span, or several if the machine slept or its wall clock was set meanwhile.
        """
        state = TunnelState.UNKNOWN if now.state is None else now.state
        spans = self.timelines[name].spans
        for begin, until in run.spans(now.since, end):
            spans.append(Span(begin, until, state, now.entry, now.anew))
            now.anew = False


def _compare(now: _Now, entry: Entry) -> None:
    """Correct a tunnel's state before a transition by the old state in the transition's entry.

    A state of None becomes that old state. If the two states differ, an entry between is missing,
    and ``now`` becomes UNKNOWN.
    """
    if now.state is None:
        now.state = entry.old
    elif now.state is not entry.old:
        now.state, now.entry = TunnelState.UNKNOWN, None
