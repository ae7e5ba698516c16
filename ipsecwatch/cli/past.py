# SPDX-License-Identifier: MIT
"""Transitions that the journal has: what was told after one that somebody knows.

The service numbers its transitions in each of its runs; signals and journal entries have the same
numbers, so that what the journal has and what comes on the bus fit together without a seam.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from systemd import journal

from ipsecwatch.cli.catching_up import Transition
from ipsecwatch.client.events import reason, tunnel_state
from ipsecwatch.history.message_ids import DOWN, OTHER, STUCK, UP
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.client import Told

LATE: Final = 2.0
"""Seconds that an entry may come after its signal."""
_TOLD: Final[dict[str, Told]] = {UP: "up", DOWN: "down", STUCK: "stuck"}
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


def between(begin: Position, end: Position, files: str | None = None) -> Past:
    """Return what was told after ``begin``, up to and with ``end``. Raise OSError.

    ``files`` is a folder with the journal's files, for tests.
    """
    give_up = time.monotonic() + LATE
    while True:
        past = _between(begin, end, files)
        if past.missed == 0 or time.monotonic() > give_up:
            return past
        time.sleep(0.1)


def _between(begin: Position, end: Position, files: str | None) -> Past:
    if begin == end:
        return Past()
    known = begin
    past = Past(missed=0)
    with journal.Reader(path=files) as reader:
        found = _seek(reader, begin)
        for entry in _entries(reader) if found else ():
            at = Position(str(entry.get("IPSECWATCH_RUN_ID", "")), _serial(entry))
            if at.run_id == begin.run_id and at.serial <= begin.serial:
                continue
            if at.run_id == end.run_id and at.serial > end.serial:
                break
            past.transitions.append(_transition(entry, at))
            past.missed = (past.missed or 0) + _gap(known, at)
            known = at
            if at == end:
                break
    if known.run_id == end.run_id:
        past.missed = (past.missed or 0) + end.serial - known.serial
    elif end.serial or not found:
        past.missed = None
    return past


def _gap(before: Position, after: Position) -> int:
    """Count the transitions that are missing between two; a run begins with 1."""
    first = before.serial if before.run_id == after.run_id else 0
    return after.serial - first - 1


def _seek(reader: journal.Reader, begin: Position) -> bool:
    """Go to the entry of a position, or to the first of its run; False where there is none."""
    for matches in ({"IPSECWATCH_SERIAL": str(begin.serial)}, {}):
        reader.flush_matches()
        reader.add_match(_UID=0, IPSECWATCH_RUN_ID=begin.run_id, **matches)
        reader.seek_head()
        if entry := reader.get_next():
            reader.flush_matches()
            reader.seek_cursor(entry["__CURSOR"])
            return True
    return False


def _entries(reader: journal.Reader) -> Iterator[dict[str, Any]]:
    """Go through transitions from here on; only root can have written them."""
    reader.add_match(_UID=0)
    for message_id in (*_TOLD, OTHER):
        reader.add_match(MESSAGE_ID=message_id)
    while entry := reader.get_next():
        if _serial(entry):
            yield entry


def _serial(entry: dict[str, Any]) -> int:
    text = str(entry.get("IPSECWATCH_SERIAL", ""))
    return int(text) if _NUMBER.fullmatch(text) else 0


def _transition(entry: dict[str, Any], position: Position) -> Transition:
    at = str(entry.get("IPSECWATCH_AT", ""))
    logged = entry["__REALTIME_TIMESTAMP"].timestamp()
    return Transition(
        # The name was cleaned when it was written, which must not be done twice.
        name=_shown(str(entry.get("IPSECWATCH_TUNNEL", ""))),
        old=tunnel_state(str(entry.get("IPSECWATCH_OLD_STATE", ""))),
        new=tunnel_state(str(entry.get("IPSECWATCH_STATE", ""))),
        reason=reason(str(entry.get("IPSECWATCH_REASON", ""))),
        at=int(at) / 1e6 if _NUMBER.fullmatch(at) else logged,
        serial=position.serial,
        run_id=position.run_id,
        told=_TOLD.get(str(entry["MESSAGE_ID"]).replace("-", "")),
        caught_up=True,
    )


def _shown(name: str) -> str:
    """Return a name as it was written, if it is fit to be shown."""
    return name if clean(name.replace("\\", "")) == name.replace("\\", "") else clean(name)
