# SPDX-License-Identifier: MIT
"""A recorded gateway with 60 road warriors: what is told of whom, and what is only counted.

How the tunnels truly were stands in truth.json, and is another test's: test_replay.py.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from tests.support.recordings import ROOT, statuses

PATH: Final = ROOT / "gateway.jsonl.gz"

ESTABLISHED: Final = re.compile(r'"(rw)"(\[\d+\]) \S+ #(\d+): responder established Child SA')
SERIAL: Final = re.compile(r"^(?:\d{3} )?#(\d+): ", re.MULTILINE)


@cache
def shown() -> tuple[frozenset[int], ...]:
    """The serials that each answer has, read with nothing of ours."""
    return tuple(frozenset(map(int, SERIAL.findall(a.stdout))) for a in statuses(PATH))


def children() -> dict[str, set[int]]:
    """The serials of the Child SAs that pluto logged, by the client's tunnel."""
    found: dict[str, set[int]] = {}
    for entry in recording.read(PATH)[1]:
        if isinstance(entry, LogLine) and (m := ESTABLISHED.match(entry.text)):
            found.setdefault(m[1] + m[2], set()).add(int(m[3]))
    return found


def played() -> tuple[Tracker, set[str]]:
    """Play the recording; answers the tracker, and the tunnels of which it has told anything."""
    tracker, reader, told = Tracker(), Reader(), set[str]()
    for entry in recording.settled(recording.read(PATH)[1]):
        if isinstance(entry, LogLine):
            tracker.hear(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            told |= {c.tunnel.name for c in tracker.observe(recording.poll(entry, reader))}
    return tracker, told


def test_only_clients_that_an_answer_shows_are_told_and_the_others_are_counted() -> None:
    tracker, told = played()
    seen = frozenset[int]().union(*shown())
    brief = {name for name, serials in children().items() if not serials & seen}
    assert len(brief) > 100
    assert told == children().keys() - brief | {"rw"}
    first, last = max(shown()[0], default=0), max(seen)
    assert tracker.missed == len(set(range(first + 1, last + 1)) - seen)
