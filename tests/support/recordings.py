# SPDX-License-Identifier: MIT
"""Reads the tests' recordings, and compares the timelines of a replay with the true ones."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch import recording
from ipsecwatch.cli.replay import transitions
from tests.support.paths import TESTS

if TYPE_CHECKING:
    from pathlib import Path

ROOT: Final = TESTS / "recordings"

Timeline = list[tuple[float, str]]
"""The states of a tunnel as (second, state), in order of time; each state begins at its second. The
state is "gone" if pluto doesn't list the tunnel."""


@dataclass(frozen=True)
class Truth:
    """The true timelines of all tunnels of a recording, from truth.json."""

    path: Path
    start: float
    """The wall clock's time of second 0 of the timelines."""
    tunnels: dict[str, Timeline]


def truths() -> list[Truth]:
    """Return the true timelines of all recordings, one Truth for each recording."""
    known = json.loads((ROOT / "truth.json").read_text())
    return [
        Truth(
            ROOT / name, what["t0"], {n: [tuple(x) for x in t] for n, t in what["tunnels"].items()}
        )
        for name, what in sorted(known.items())
    ]


def replayed(path: Path, start: float) -> dict[str, Timeline]:
    """Replay a recording; return the timeline of each tunnel, in seconds since ``start``."""
    out: dict[str, Timeline] = {}
    for change in transitions(path):
        state = "gone" if change.new is None else change.new.value
        out.setdefault(change.tunnel.name, []).append((change.at - start, state))
    return out


def statuses(path: Path) -> list[recording.RecordedAnswer]:
    """Return a recording's answers to the command ``status``, oldest first."""
    return [
        entry
        for entry in recording.read(path)[1]
        if isinstance(entry, recording.RecordedAnswer) and entry.command == "status"
    ]


def disagreements(ours: Timeline, truth: Timeline) -> list[tuple[float, float, str, str]]:
    """Return the spans in which two timelines differ, as (begin, length, our state, true state).

    A change of either state within a span adds a longer entry with the same begin. Times before
    second 0 are ignored.
    """
    edges = sorted({at for at, _ in ours} | {at for at, _ in truth})
    out: list[tuple[float, float, str, str]] = []
    begin: float | None = None
    for at, end in zip(edges, [*edges[1:], edges[-1]], strict=True):
        mine, true = _at(ours, at), _at(truth, at)
        if mine == true or at < 0:
            begin = None
            continue
        begin = at if begin is None else begin
        out.append((begin, end - begin, mine, true))
    return out


def _at(timeline: Timeline, when: float) -> str:
    state = "gone"
    for at, next_ in timeline:
        if at <= when:
            state = next_
    return state
