# SPDX-License-Identifier: MIT
"""Tests with a recorded gateway with 60 road warriors: who gets which reason, and what is counted.

The true states are in truth.json; test_replay.py tests them.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.tunnel import Transition

PATH: Final = ROOT / "gateway.jsonl.gz"

ESTABLISHED: Final = re.compile(r'"(rw)"(\[\d+\]) \S+ #(\d+): responder established Child SA')
SERIAL: Final = re.compile(r"^(?:\d{3} )?#(\d+): ", re.MULTILINE)


@cache
def shown() -> tuple[frozenset[int], ...]:
    """Return the serial numbers of SAs in each answer, found without ipsecwatch's parser."""
    return tuple(frozenset(map(int, SERIAL.findall(a.stdout))) for a in statuses(PATH))


def children() -> dict[str, set[int]]:
    """Return the serial numbers of the Child SAs that pluto logged, by tunnel."""
    found: dict[str, set[int]] = {}
    for entry in recording.read(PATH)[1]:
        if isinstance(entry, LogLine) and (m := ESTABLISHED.match(entry.text)):
            found.setdefault(m[1] + m[2], set()).add(int(m[3]))
    return found


def played(tracker: Tracker) -> Iterator[tuple[recording.Entry, list[Transition]]]:
    """Play the recording to a tracker; yield each entry with the transitions that it causes."""
    reader = Reader()
    for entry in recording.settled(recording.read(PATH)[1]):
        changes: list[Transition] = []
        if isinstance(entry, LogLine):
            tracker.add_log_line(entry)
        elif isinstance(entry, recording.RecordedAnswer):
            changes = tracker.observe(recording.poll(entry, reader))
        yield entry, changes


def test_only_clients_that_an_answer_shows_are_told_and_the_others_are_counted() -> None:
    tracker = Tracker()
    told = {c.tunnel.name for _, changes in played(tracker) for c in changes}
    seen = frozenset[int]().union(*shown())
    brief = {name for name, serials in children().items() if not serials & seen}
    assert len(brief) > 100
    assert told == children().keys() - brief | {"rw"}
    first, last = max(shown()[0], default=0), max(seen)
    assert tracker.missed == len(set(range(first + 1, last + 1)) - seen)


# --- Why they were lost ---------------------------------------------------------------------------

IDENTIFIED: Final = re.compile(
    r'"(rw)"(\[\d+\]) \S+ #\d+: responder established IKE SA; .* and ID_FQDN \'(@\w+)\''
)
CAUSES: Final = {
    "closes its tunnel": {"peer-deleted"},
    "dies": {"peer-dead"},
    "is switched off": {"peer-dead"},
    # Whichever is first: it is back, or is found dead.
    "is cut off, and connects anew from another address": {"replaced", "peer-dead"},
    "sleeps: its twin takes its place": {"replaced", "peer-dead"},
}
"""By what a client's script did last: the reasons that are right for it."""


def losses() -> list[tuple[str, str, str]]:
    """Return each loss that is announced: the tunnel, what its client did last, and the reason.

    Clients that restart without telling pluto are left out: pluto removes their old SAs at any
    time.
    """
    who: dict[str, str] = {}
    did: dict[str, str] = {}
    restarted: set[str] = set()
    told: list[tuple[str, str, str]] = []
    for entry, changes in played(Tracker()):
        if isinstance(entry, LogLine) and (m := IDENTIFIED.match(entry.text)):
            who[m[1] + m[2]] = m[3]
        elif isinstance(entry, recording.Note) and " connects from " not in entry.text:
            client, _, what = entry.text.partition(" ")
            did[client] = what
            if what.startswith("restarts "):
                restarted.add(client)
        lost = (c for c in changes if c.goes_down)
        told += [(c.tunnel.name, did[who[c.tunnel.name]], str(c.reason)) for c in lost]
    return [t for t in told if who[t[0]] not in restarted]


def test_each_loss_has_the_cause_that_its_client_was() -> None:
    told = losses()
    assert len(told) > 80
    assert len({what for _, what, _ in told}) >= 4
    assert [t for t in told if t[2] not in CAUSES[t[1]]] == []
    assert sum(reason == "replaced" for _, _, reason in told) > 15
