# SPDX-License-Identifier: MIT
"""Transitions that the journal has: what was told after one that somebody knows.

The service numbers its transitions in each of its runs; signals and journal entries have the same
numbers, so that what the journal has and what comes on the bus fit together without a seam.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.history.reading import Source
from ipsecwatch.cli.monitor.catching_up import Transition, told_of
from ipsecwatch.history.entries import Entry, Kind
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LATE: Final = 2.0
"""Seconds that an entry may come after its signal."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Position:
    """A transition as the service counts them: its run, and its number in it."""

    run_id: str
    serial: int


@dataclass(slots=True)
class Past:
    """What the journal tells from one position to another."""

    transitions: list[Transition] = field(default_factory=list)
    missed: int | None = 0
    """How many it lacks; None: nobody knows."""


def parse_position(text: str) -> Position | None:
    """Read ``RUN_ID:SERIAL``; None where it is none."""
    run_id, _, serial = text.rpartition(":")
    return Position(run_id, int(serial)) if run_id and _NUMBER.fullmatch(serial) else None


def between(begin: Position, end: Position, source: Source | None = None) -> Past:
    """Return what was told after ``begin``, up to and with ``end``. Raise Failure."""
    if begin == end:
        return Past()
    give_up = time.monotonic() + LATE
    while True:
        past = _between(begin, end, (source or Source()).entries())
        if past.missed == 0 or time.monotonic() > give_up:
            return past
        time.sleep(0.1)


def _between(begin: Position, end: Position, entries: Iterable[Entry]) -> Past:
    past, found, at = Past(), False, begin
    states: dict[str, TunnelState] = {}
    """The last known one of each tunnel."""
    for entry in _up_to(end, entries):
        found = found or entry.run == begin.run_id
        known = _know(entry, states)
        now = Position(entry.run, entry.serial or 0)
        if not found or entry.serial is None or not _after(begin, now):
            continue
        past.transitions.append(_transition(entry, now, known))
        past.missed = (past.missed or 0) + _gap(at, now)
        at = now
    if at.run_id == end.run_id:
        past.missed = (past.missed or 0) + end.serial - at.serial
    elif end.serial or not found:
        past.missed = None
    return past


def _up_to(end: Position, entries: Iterable[Entry]) -> Iterator[Entry]:
    """Go through entries up to a position, and with it."""
    for entry in entries:
        serial = entry.serial or 0
        if entry.run == end.run_id and serial > end.serial:
            return
        yield entry
        if serial and (entry.run, serial) == (end.run_id, end.serial):
            return


def _after(begin: Position, now: Position) -> bool:
    return now.run_id != begin.run_id or now.serial > begin.serial


def _know(entry: Entry, states: dict[str, TunnelState]) -> TunnelState:
    """Return a tunnel's last known state before an entry, and take note of what it tells."""
    known = states.get(entry.tunnel, TunnelState.DOWN)
    if entry.kind is Kind.TRANSITION and entry.old is not TunnelState.UNKNOWN:
        known = entry.old
    states[entry.tunnel] = known if entry.state is TunnelState.UNKNOWN else entry.state
    return known


def _gap(before: Position, after: Position) -> int:
    """Count the transitions that are missing between two; a run begins with 1."""
    first = before.serial if before.run_id == after.run_id else 0
    return after.serial - first - 1


def _transition(entry: Entry, position: Position, known: TunnelState) -> Transition:
    # A partial tunnel that has been tried for too long stays partial.
    stays = entry.old is entry.state
    return Transition(
        name=entry.tunnel,
        old=entry.old,
        new=entry.state,
        reason=entry.reason,
        at=entry.stamp.wall,
        serial=position.serial,
        run_id=position.run_id,
        told="stuck" if stays else told_of(known, entry.state),
        caught_up=True,
    )
