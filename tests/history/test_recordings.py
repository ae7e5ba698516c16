# SPDX-License-Identifier: MIT
"""Tests that the history of each recording, through tracker and journal entries, is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.replay import transitions
from ipsecwatch.history.entries import Entry, Stamp, entry_of
from ipsecwatch.history.summary import summarize
from ipsecwatch.history.timelines import Timeline as Told
from ipsecwatch.history.timelines import timelines_of
from ipsecwatch.history.visits import visits_of
from ipsecwatch.history.watches import Found, runs_of
from ipsecwatch.report import PlutoState
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.journald import Sender
from tests.support.recordings import ROOT, Timeline, Truth, disagreements, truths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ipsecwatch.tunnel import Transition

TOLERANCE = 4.0
"""By how many seconds a change in the history may differ from the true one. Three, and one more
since the truth has one sample a second."""


class Kept(Sender):
    """A sender that keeps all entries, in the form in which history reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []

    def send(self, fields: Mapping[str, str], *, later: bool = False) -> None:
        at = int(fields["IPSECWATCH_AT"]) / 1e6
        plain = {name: str(value) for name, value in fields.items()}
        entry = entry_of(Stamp("boot", at, at), plain)
        assert entry is not None
        self.entries.append(entry)


def history(path: Path) -> dict[str, Told]:
    """Return the timelines that history makes of the service's entries about a recording."""
    changes = list(transitions(path))
    journal = Journal(kept := Kept(), "run")
    journal.began([], PlutoState.RUNNING, changes[0].at)
    serial = 0
    for change in changes:
        serial += change.announced
        write(journal, change, serial)
    journal.ended(changes[-1].at + 60)
    return timelines_of(runs_of(Found(kept.entries)))


def write(journal: Journal, change: Transition, serial: int) -> None:
    if change.announced:
        journal.announce(change, serial)
    elif change.new is None:
        journal.unlisted(change)
    else:
        journal.found(change.tunnel, change.at)


SAMPLE = 4
"""The test command reads every fourth recording here; it replays all of them in other tests."""
RECORDINGS = [
    pytest.param(
        truth,
        marks=[] if n % SAMPLE == 0 else [pytest.mark.thorough],
        id=f"{truth.path.parent.name}-{truth.path.stem}",
    )
    for n, truth in enumerate(truths())
]


@pytest.mark.parametrize("truth", RECORDINGS)
def test_the_history_of_every_recording_agrees_with_the_truth(truth: Truth) -> None:
    told = history(truth.path)
    for name, timeline in truth.tunnels.items():
        spans = told[name].spans if name in told else []
        ours: Timeline = [
            (s.begin - truth.start, "gone" if s.state is None else s.state.value) for s in spans
        ]
        for begin, length, mine, true in disagreements(ours, timeline):
            assert length <= TOLERANCE, f"{name} at {begin:.0f} s: {mine}, but it was {true}"


def test_what_happened_in_a_recording_is_counted() -> None:
    told = history(ROOT / "5.4/dpd-cut.jsonl.gz")["dpd"]
    s = summarize(told, 0, 1e12)
    (outage,) = s.outages
    assert (outage.reason, outage.mended, outage.flap) == ("peer-dead", True, True)
    assert 40 < outage.seconds < 45
    assert s.uptime is not None
    assert 0 < s.uptime < 1


@pytest.mark.parametrize(
    ("name", "tunnel", "user"),
    [
        ("4.10/xauth-server", "xauth[1]", "paula"),
        ("5.4/xauth-server", "xauth[1]", "paula"),
        ("4.10/cp-server", "cp[1]", "@roadcp"),
        ("5.4/cp-server", "cp[1]", "@roadcp"),
    ],
)
def test_a_client_is_told_by_its_user_name_or_else_by_its_identity(
    name: str, tunnel: str, user: str
) -> None:
    (visit,) = visits_of(history(ROOT / f"{name}.jsonl.gz").values())
    assert (visit.tunnel, visit.user, visit.came_seen) == (tunnel, user, True)
    assert visit.went is not None
    assert 20 < visit.seconds < 30


def test_a_tunnel_of_our_own_is_nobodys_visit() -> None:
    assert visits_of(history(ROOT / "5.4/cp.jsonl.gz").values()) == []
