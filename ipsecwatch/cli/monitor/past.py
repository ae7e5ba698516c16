# SPDX-License-Identifier: MIT
"""Finds in the journal the transitions after a known one, for ``ipsecwatch monitor --since``.

In each of its runs, the service numbers its transitions from 1. A transition's signal and its
journal entry have the same number. So the transitions from the journal can be continued by those
from the bus, without a gap or a repetition.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.history.reading import Source
from ipsecwatch.cli.monitor.catching_up import Transition, signal_for
from ipsecwatch.history.entries import Entry, Kind
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LATE: Final = 2.0
"""The journal entry of a transition may come so many seconds later than its signal."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Position:
    """Names one transition: by a run of the service, and the transition's number in this run."""

    run_id: str
    serial: int


@dataclass(slots=True)
class Past:
    """The transitions between two positions that the journal has, in its order."""

    transitions: list[Transition] = field(default_factory=list)
    missed: int | None = 0
    """How many transitions between the two positions the journal lacks, by their numbers; None: it
    isn't known, as the positions are in different runs, and the journal lacks one of these runs."""


def parse_position(text: str) -> Position | None:
    """Return the position that a text ``RUN_ID:SERIAL`` names; None for a text of another form."""
    run_id, _, serial = text.rpartition(":")
    return Position(run_id, int(serial)) if run_id and _NUMBER.fullmatch(serial) else None


def between(begin: Position, end: Position, source: Source | None = None) -> Past:
    """Return the transitions after ``begin``, up to and including ``end``, from the journal.

    If some are missing, wait for up to LATE seconds, since their entries may come late. This
    blocks. ``source``: the journal to read; None: this machine's. Raise Failure if it can't be
    read.
    """
    if begin == end:
        return Past()
    give_up = time.monotonic() + LATE
    while True:
        past = _between(begin, end, (source or Source()).entries())
        if past.missed == 0 or time.monotonic() > give_up:
            return past
        time.sleep(0.1)


def _between(begin: Position, end: Position, entries: Iterable[Entry]) -> Past:
    """Return the transitions after ``begin``, up to and including ``end``, in ``entries``.

    ``entries`` are all of the service's entries, in the journal's order.
    """
    past, found, at = Past(), False, begin
    states: dict[str, TunnelState] = {}
    """Each tunnel's last known state so far, by the tunnel's name."""
    for entry in _up_to(end, entries):
        found = found or entry.run == begin.run_id
        known = _update_state(entry, states)
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
    """Yield the entries before the position ``end``, and the entry at it.

    If no entry has this position, stop before the first entry of the same run with a higher number.
    If there is no such entry either, yield all entries.
    """
    for entry in entries:
        serial = entry.serial or 0
        if entry.run == end.run_id and serial > end.serial:
            return
        yield entry
        if serial and (entry.run, serial) == (end.run_id, end.serial):
            return


def _after(begin: Position, now: Position) -> bool:
    return now.run_id != begin.run_id or now.serial > begin.serial


def _update_state(entry: Entry, states: dict[str, TunnelState]) -> TunnelState:
    """Return the last known state that an entry's tunnel had before this entry; at first DOWN.

    In ``states``, set the tunnel's last known state after this entry.
    """
    known = states.get(entry.tunnel, TunnelState.DOWN)
    if entry.kind is Kind.TRANSITION and entry.old is not TunnelState.UNKNOWN:
        known = entry.old
    states[entry.tunnel] = known if entry.state is TunnelState.UNKNOWN else entry.state
    return known


def _gap(before: Position, after: Position) -> int:
    """Return how many transitions lie between two positions, without those at the positions.

    If they are in different runs, return how many there are in the second run before ``after``.
    """
    first = before.serial if before.run_id == after.run_id else 0
    return after.serial - first - 1


def _transition(entry: Entry, position: Position, known: TunnelState) -> Transition:
    """Return the transition that an entry reports. ``known``: the tunnel's last known state before.

    ``position`` is the entry's.
    """
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
        told="stuck" if stays else signal_for(known, entry.state),
        caught_up=True,
    )
