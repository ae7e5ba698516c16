# SPDX-License-Identifier: MIT
"""Finds the transitions after a known one in the journal, for ``ipsecwatch monitor --since``.

The service numbers its transitions in each of its runs. Signals and journal entries have the same
numbers, and so transitions from the bus can follow those from the journal without a gap or a
repetition.
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
"""Seconds by which a transition's journal entry may be later than its signal."""
_NUMBER: Final = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a transition: a run of the service, and the transition's number in it."""

    run_id: str
    serial: int


@dataclass(slots=True)
class Past:
    """The transitions between two positions, as far as the journal has them."""

    transitions: list[Transition] = field(default_factory=list)
    missed: int | None = 0
    """The number of transitions between the positions that the journal lacks; None: not known, as
    the positions are of different runs, and the journal has nothing of one of them."""


def parse_position(text: str) -> Position | None:
    """Return the position in a text ``RUN_ID:SERIAL``; None for another text."""
    run_id, _, serial = text.rpartition(":")
    return Position(run_id, int(serial)) if run_id and _NUMBER.fullmatch(serial) else None


def between(begin: Position, end: Position, source: Source | None = None) -> Past:
    """Return the transitions after ``begin``, up to and including ``end``.

    Wait up to LATE seconds for missing ones, whose entries may not have been written yet.
    ``source`` None: this machine's journal. Raise Failure where the journal can't be read.
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
    """Return the transitions after ``begin``, up to and including ``end``, in these entries."""
    past, found, at = Past(), False, begin
    states: dict[str, TunnelState] = {}
    """The last known state of each tunnel."""
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
    """Yield the entries up to and including the one of a position.

    If no entry has that position, stop before the first later one of the same run; if there is none
    either, yield all.
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
    """Return the last known state of an entry's tunnel before the entry.

    Where none is known, that is DOWN. Set the tunnel's last known state in ``states`` to that after
    the entry.
    """
    known = states.get(entry.tunnel, TunnelState.DOWN)
    if entry.kind is Kind.TRANSITION and entry.old is not TunnelState.UNKNOWN:
        known = entry.old
    states[entry.tunnel] = known if entry.state is TunnelState.UNKNOWN else entry.state
    return known


def _gap(before: Position, after: Position) -> int:
    """Return the number of transitions that are missing between two.

    Where they are of different runs, count from the beginning of the second run, number 1.
    """
    first = before.serial if before.run_id == after.run_id else 0
    return after.serial - first - 1


def _transition(entry: Entry, position: Position, known: TunnelState) -> Transition:
    """Return the transition in an entry; ``known``: the tunnel's last known state before."""
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
