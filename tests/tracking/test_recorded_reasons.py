# SPDX-License-Identifier: MIT
"""Tests of the reasons for losses and failures in all recordings, also with polls or log late."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.late_reasons import is_unexplained
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import TunnelState
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.report import Poll
    from ipsecwatch.tunnel import Transition

# For what is lost, and for what gets stuck. The same in every release.
CAUSES: dict[str, tuple[set[str], set[str]]] = {
    "site": ({"operator"}, set()),
    "multi": ({"operator"}, set()),
    "v1main": ({"operator"}, set()),
    "v1aggr": ({"operator"}, set()),
    "xauth": ({"operator"}, set()),
    "cp": ({"operator"}, set()),
    "route": ({"operator"}, set()),
    "peer-deletes": ({"peer-deleted"}, set()),
    "autostart": ({"peer-deleted"}, {"unreachable"}),
    # When the ARP entries are gone, the kernel says that there is no route.
    "dpd-cut": ({"peer-dead"}, {"unreachable", "no-answer"}),
    "dpd-killed": ({"peer-dead"}, {"unreachable"}),
    "daemon": ({"pluto-restarted", "operator"}, set()),
    "wrongpsk": (set(), {"authentication"}),
    "badprop": (set(), {"proposal"}),
    "badesp": (set(), {"proposal"}),
    "hole": (set(), {"no-answer"}),
    "hole1": (set(), {"no-answer"}),
    "closed": (set(), {"unreachable"}),
    # Names that don't resolve: one of them does in the end.
    "dns": (set(), {"unreachable"}),
    # Of two connections with one peer that doesn't answer, one waits for the other's IKE SA.
    "added-again-15": ({"operator"}, {"no-answer"}),
    "added-again-30": ({"operator"}, {"no-answer"}),
    # The gateway's side, whose log wasn't recorded: the instance is gone, and that is all.
    "cp-server": ({"other"}, set()),
    "xauth-server": ({"other"}, set()),
}
CALM = {"rekey", "rekey1", "cut-nodpd", "oe", "unoriented"}
PATIENCE = 0.4
"""For how many seconds the service waits for log lines about an unexplained loss."""
CRASHED = "4.10/route"
"""The recording at whose end pluto crashes."""

NAMES = sorted(
    f"{path.parent.name}/{path.name.removesuffix('.jsonl.gz')}"
    for path in ROOT.glob("[345].*/*.jsonl.gz")
)


@lru_cache(maxsize=1)
def entries(name: str) -> tuple[tuple[float, Poll | LogLine], ...]:
    """Return a recording's reports, at the times when they were complete, and its log lines."""
    reader, found = Reader(), list[tuple[float, "Poll | LogLine"]]()
    for entry in recording.settled(recording.read(ROOT / f"{name}.jsonl.gz")[1]):
        if isinstance(entry, LogLine):
            found.append((entry.at, entry))
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            found.append((entry.at + entry.took, recording.poll(entry, reader)))
    return tuple(found)


def changes(name: str, tick: int = 1, first: int = 0, late: float = 0.0) -> Iterator[Transition]:
    """Yield the transitions of a recording, of which only every ``tick``-th poll is played.

    ``first``: which one of them. ``late``: how many seconds each log line comes late.
    """
    played: list[tuple[float, Poll | LogLine]] = []
    polls = 0
    for at, entry in entries(name):
        if isinstance(entry, LogLine):
            played.append((at + late, entry))
        else:
            polls += 1
            if polls % tick == first:
                played.append((at, entry))
    played.sort(key=lambda timed: timed[0])
    tracker = Tracker()
    while played:
        at, entry = played.pop(0)
        if isinstance(entry, LogLine):
            tracker.add_log_line(entry)
            continue
        told = tracker.observe(entry)
        if any(is_unexplained(c) for c in told):  # as the service, which waits a little for the log
            for line in [e for t, e in played if t <= at + PATIENCE and isinstance(e, LogLine)]:
                tracker.add_log_line(line)
                played = [(t, e) for t, e in played if e is not line]
            told = tracker.explain(told)
        yield from (c for c in told if not c.silent)


def causes(told: list[Transition]) -> tuple[set[str], set[str]]:
    lost = {
        str(c.reason)
        for c in told
        if c.goes_down or (c.known is TunnelState.UP and c.becomes is TunnelState.PARTIAL)
    }
    return lost, {str(c.reason) for c in told if c.gets_stuck}


def true_causes(name: str) -> tuple[set[str], set[str]]:
    scenario = name.partition("/")[2]
    lost, stuck = CAUSES.get(scenario, (set(), set()))
    return (lost | {"pluto-restarted"} if name == CRASHED else lost), stuck


def test_every_recording_is_looked_at() -> None:
    assert {name.partition("/")[2] for name in NAMES} == CAUSES.keys() | CALM


@pytest.mark.parametrize("name", NAMES)
def test_what_is_lost_or_stuck_has_its_true_cause(name: str) -> None:
    told = list(changes(name))
    (lost, stuck), (true_lost, true_stuck) = causes(told), true_causes(name)
    assert lost == true_lost
    assert stuck <= true_stuck
    # In 4.10/autostart, the tunnel is up again just before it would be stuck.
    assert bool(stuck) == bool(true_stuck) or name == "4.10/autostart"
    for change in told:
        if change.reason in {"operator", "peer-deleted", "peer-dead"}:
            assert change.detail, "the line that tells it isn't told"


OUT_OF_STEP = [
    (1, 0, -1.5), (1, 0, -0.3), (1, 0, 0.2), (2, 1, 0.2), (5, 0, -1.0), (5, 2, 0.0), (5, 4, 0.3),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "tick", "first", "late"),
    [
        # Two of the seven for each recording.
        pytest.param(name, *step, marks=[pytest.mark.thorough] if (i + k) % 7 > 1 else [])
        for i, name in enumerate(NAMES)
        for k, step in enumerate(OUT_OF_STEP)
    ],
)
def test_so_it_has_with_other_polls_and_a_log_ahead_or_behind(
    name: str, tick: int, first: int, late: float
) -> None:
    told = list(changes(name, tick, first, late))
    (lost, stuck), (true_lost, true_stuck) = causes(told), true_causes(name)
    if late > 0 and "pluto-restarted" in true_lost:
        true_lost = true_lost | {"pluto-stopped"}  # the log line about the start hasn't come yet
    assert lost <= true_lost
    assert stuck <= true_stuck
    assert bool(lost) == bool(true_lost) or tick > 1
