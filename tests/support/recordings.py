# SPDX-License-Identifier: MIT
"""Where the recordings are, and how ours compares with the truth about them."""

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
"""When a state began (seconds), and which."""


@dataclass(frozen=True)
class Truth:
    """What another reader found in a recording."""

    path: Path
    start: float
    tunnels: dict[str, Timeline]


def truths() -> list[Truth]:
    """List all recordings with what is true of them."""
    known = json.loads((ROOT / "truth.json").read_text())
    return [
        Truth(
            ROOT / name, what["t0"], {n: [tuple(x) for x in t] for n, t in what["tunnels"].items()}
        )
        for name, what in sorted(known.items())
    ]


def replayed(path: Path, start: float) -> dict[str, Timeline]:
    """Replay a recording, and answer each tunnel's timeline."""
    out: dict[str, Timeline] = {}
    for change in transitions(path):
        state = "gone" if change.new is None else change.new.value
        out.setdefault(change.tunnel.name, []).append((change.at - start, state))
    return out


def statuses(path: Path) -> list[recording.RecordedAnswer]:
    """List the answers to ``status`` of a recording."""
    return [
        entry
        for entry in recording.read(path)[1]
        if isinstance(entry, recording.RecordedAnswer) and entry.command == "status"
    ]


def disagreements(ours: Timeline, truth: Timeline) -> list[tuple[float, float, str, str]]:
    """List the spans in which two timelines differ: begin, length, ours and the truth there."""
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
