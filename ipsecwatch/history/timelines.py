# SPDX-License-Identifier: MIT
"""How each tunnel was, one span of time after the other.

A span is as long as the monotonic clock says, and lies where the wall clock of then puts it. Where
nobody watched there is none.
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
    """A time in which a tunnel was the same. Wall clock, in seconds since the epoch."""

    begin: float
    end: float
    state: TunnelState | None
    """UNKNOWN where that isn't known, although somebody watched; None: the tunnel ceased to be
    listed just then, and the span has no length."""
    entry: Entry | None = None
    """The entry that tells of it; None: what came after, or was missing, shows it."""
    anew: bool = False
    """Nothing is known of the time before: it is listed anew, or the service knew nothing."""

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin


@dataclass(slots=True)
class Timeline:
    """One tunnel's."""

    name: str
    spans: list[Span] = field(default_factory=list)
    transitions: list[tuple[float, Entry]] = field(default_factory=list)
    """What was told of it and when, first looks included."""


def timelines_of(runs: Iterable[Run]) -> dict[str, Timeline]:
    """Return the timeline of each tunnel, by name."""
    walk = _Walk()
    for run in runs:
        walk.through(run)
    return dict(sorted(walk.timelines.items()))


@dataclass(slots=True)
class _Now:
    """How a tunnel is, on the way through a run."""

    since: float
    """On the monotonic clock: what was before is written down."""
    state: TunnelState | None
    """None: an entry is missing. The next one tells how it was."""
    entry: Entry | None = None
    anew: bool = False


class _Walk:
    """Goes through all entries in order of time."""

    def __init__(self) -> None:
        self.timelines: dict[str, Timeline] = {}
        self._now: dict[str, _Now] = {}
        """The tunnels that are listed."""
        self._last_run = ""
        self._counted: tuple[int, float] | None = None
        """The last serial of this run, and when it came."""

    def through(self, run: Run) -> None:
        """Read the entries of one run of the service."""
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
                self._take(run, entry)
        for name, now in self._now.items():
            self._write(run, name, now, run.end)
        self._last_run = run.id

    def _count(self, run: Run, entry: Entry, serial: int) -> None:
        """Note if entries are missing: then nothing is known from the last one to this one."""
        at = entry.stamp.mono
        if self._counted is not None and serial > self._counted[0] + 1:
            for name, now in self._now.items():
                self._write(run, name, now, max(now.since, self._counted[1]))
                lost = _Now(max(now.since, self._counted[1]), TunnelState.UNKNOWN)
                self._write(run, name, lost, at)
                self._now[name] = _Now(at, None)
        self._counted = serial, at

    def _take(self, run: Run, entry: Entry) -> None:
        """Record what an entry tells of a tunnel."""
        name, at = entry.tunnel, entry.stamp.mono
        timeline = self.timelines.setdefault(name, Timeline(name))
        now = self._now.get(name)
        anew = now is None
        if now is None and entry.listed == "yes" and entry.kind is Kind.TRANSITION:
            # It was listed, and what was told of it isn't there.
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
        """Write down how a tunnel was until some moment."""
        state = TunnelState.UNKNOWN if now.state is None else now.state
        spans = self.timelines[name].spans
        for begin, until in run.spans(now.since, end):
            spans.append(Span(begin, until, state, now.entry, now.anew))
            now.anew = False


def _compare(now: _Now, entry: Entry) -> None:
    """Compare a tunnel's state with the old state of a transition: an entry may be missing."""
    if now.state is None:
        now.state = entry.old
    elif now.state is not entry.old:
        now.state, now.entry = TunnelState.UNKNOWN, None
