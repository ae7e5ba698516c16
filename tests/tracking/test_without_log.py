# SPDX-License-Identifier: MIT
"""Tests without pluto's log, or with parts of it missing: less is known, but nothing wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import JOURNALD, LogLine, Role, Stage
from ipsecwatch.tracking.attempt_log import MAX_NAMES
from ipsecwatch.tracking.stage_reason import is_no_more
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason, Transition, TunnelState
from tests.support.recordings import ROOT
from tests.support.reports import START, connection, ike, poll
from tests.tracking.test_tracker import history

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.report import SaState

NEAR: Final = 10.0
"""By how many seconds the beginning of something in the log can differ from the first poll with
it."""


def replay(path: Path, *, log: bool) -> tuple[list[Transition], dict[str, Reason]]:
    """Play a recording; return its transitions, and each tunnel's reason at the end.

    ``log``: also play its log lines.
    """
    tracker, reader = Tracker(), Reader()
    told: list[Transition] = []
    for entry in recording.settled(recording.read(path)[1]):
        if isinstance(entry, LogLine):
            if log:
                tracker.add_log_line(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            told += tracker.observe(recording.poll(entry, reader))
    return told, {t.name: t.reason for t in tracker.tunnels.values()}


def twin(c: Transition, told: list[Transition]) -> Transition | None:
    """Return the same transition of the same tunnel at about the same time, or None."""
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


WANTED: Final = connection("site", policy="IKEv2+UP")
ASKING: Final = [ike(1, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR)]
ANSWERED: Final = [ike(1, "site")]


def cut(at: float) -> LogLine:
    """Return journald's line about lines of pluto that it dropped."""
    return LogLine(START + at, "Suppressed 12345 messages from ipsec.service", JOURNALD)


SAYS: Final = '"site" #1: STATE_V2_PARENT_I1: retransmission; will wait 8 seconds for response'

CUTS: Final[dict[str, tuple[tuple[float, str], ...]]] = {
    "all is heard": ((2, SAYS),),
    "nothing": (),
    "only what another tries": ((2, SAYS.replace("site", "other")),),
    "only what was tried long before": ((-20, SAYS),),
    "lines were dropped before, and some are heard since": ((-40, "cut"), (2, SAYS)),
    "lines were dropped meanwhile": ((2, SAYS), (3, "cut")),
    "lines were dropped just now, and some are heard since": ((2, SAYS), (20, "cut"), (21, SAYS)),
}
HEARD: Final = {"all is heard", "lines were dropped before, and some are heard since"}


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize(("states", "reason"), [(ASKING, "no-answer"), (ANSWERED, "child-missing")])
def test_what_a_stage_means_is_concluded_only_where_the_log_of_it_was_heard(
    case: str, states: list[SaState], reason: str
) -> None:
    tracker = Tracker(stuck_after=30)
    said = list(CUTS[case])
    idle = connection("site")
    for at in (-50, -40, -30, -15, -1, 1, 5, 15, 25, 30, 31):
        while said and said[0][0] <= at:
            moment, text = said.pop(0)
            tracker.add_log_line(cut(moment) if text == "cut" else LogLine(START + moment, text))
        trying = at >= 1
        told = history(
            poll(at, [WANTED if trying else idle], states if trying else []), tracker=tracker
        )
    assert told == [f"connecting>stuck:{reason if case in HEARD else 'other'}"]


def test_lines_that_strangers_cause_have_no_evidence_go() -> None:
    tracker = Tracker(stuck_after=30)
    refusal = "dropping unexpected IKE_SA_INIT message containing NO_PROPOSAL_CHOSEN notification"
    tracker.add_log_line(LogLine(START + 2, f'"site" #1: {refusal}'))
    for n in range(MAX_NAMES + 10):
        line = f'"rw"[{n}] 192.0.2.7: deleting connection instance'
        tracker.add_log_line(LogLine(START + 3, line))
    attempts = tracker._log.attempts
    assert len(attempts._last_lines) == MAX_NAMES
    assert attempts.failure({"site"}, 0)[0] is Reason.PROPOSAL


def test_what_lines_told_before_some_were_dropped_stays_true() -> None:
    tracker = Tracker(stuck_after=30)
    history(poll(0, [WANTED], ASKING), tracker=tracker)
    refusal = "dropping unexpected IKE_SA_INIT message containing NO_PROPOSAL_CHOSEN notification"
    tracker.add_log_line(LogLine(START + 2, f'"site" #1: {refusal}'))
    tracker.add_log_line(cut(3))
    assert history(poll(30, [WANTED], ASKING), tracker=tracker) == ["connecting>stuck:proposal"]
