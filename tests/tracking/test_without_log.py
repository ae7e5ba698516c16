# SPDX-License-Identifier: MIT
"""What is told of all recordings where pluto's log can't be read: less, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason, Transition, TunnelState
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NEAR: Final = 10.0
"""Seconds: the log may tell that something began before the first poll that shows it."""

NOTHING: Final = {Reason.OTHER, Reason.NONE}
"""What says nothing of the cause."""

AS_FAR_AS_STATES_TELL: Final = {
    # An answer that was refused, or that came from the network, leaves a state that waits for one.
    Reason.UNREACHABLE: {Reason.NO_ANSWER},
    Reason.PROPOSAL: {Reason.NO_ANSWER, Reason.CHILD_MISSING},
    Reason.TRAFFIC_SELECTORS: {Reason.CHILD_MISSING},
    # The peer may refuse us after we have taken it for established.
    Reason.AUTHENTICATION: {Reason.CHILD_MISSING},
    # Who is no longer listed when we look was removed: by hand, too.
    Reason.OPERATOR: {Reason.UNLOADED},
}
"""What is vaguer than a reason, and yet says something."""


def replay(path: Path, *, log: bool) -> tuple[list[Transition], dict[str, Reason]]:
    """Play a recording; return what is told, and each tunnel's reason at the end."""
    tracker, reader = Tracker(), Reader()
    told: list[Transition] = []
    for entry in recording.settled(recording.read(path)[1]):
        if isinstance(entry, LogLine):
            if log:
                tracker.hear(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            told += tracker.observe(recording.poll(entry, reader))
    return told, {t.name: t.reason for t in tracker.tunnels.values()}


def is_no_more(vague: Reason, full: Reason) -> bool:
    return vague is full or vague in NOTHING | AS_FAR_AS_STATES_TELL.get(full, set())


def twin(c: Transition, told: list[Transition]) -> Transition | None:
    """Find the same change of the same tunnel, about the same time."""
    same = [
        d
        for d in told
        if (d.tunnel.key, d.old, d.new) == (c.tunnel.key, c.old, c.new) and abs(d.at - c.at) < NEAR
    ]
    return min(same, key=lambda d: abs(d.at - c.at), default=None)


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*/*.gz")), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_without_its_log_a_tunnel_has_the_same_reason_or_a_vaguer_one(path: Path) -> None:
    (full, ends), (vague, vague_ends) = replay(path, log=True), replay(path, log=False)
    for change in vague:
        if (other := twin(change, full)) is not None:
            assert is_no_more(change.reason, other.reason), (change.tunnel.name, change.at)
        else:
            assert change.becomes is TunnelState.STUCK, "only its time may be another"
    for name, reason in vague_ends.items():
        assert is_no_more(reason, ends[name]), name
