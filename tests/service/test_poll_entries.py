# SPDX-License-Identifier: MIT
"""Tests of which journal entries the outcomes of polls cause."""

from __future__ import annotations

import io

import pytest

from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import PlutoState, Poll, Report
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.object_tree import Publication
from ipsecwatch.service.poll_entries import PollEntries
from ipsecwatch.service.poll_outcome import PollOutcome
from ipsecwatch.service.state_file import Saved, StateFile
from ipsecwatch.tunnel import TunnelState
from tests.support.recordings import ROOT, statuses
from tests.support.tunnels import transition, tunnel

DOWN = statuses(ROOT / "4.10/site.jsonl.gz")[0].stdout


def outcome(
    report: Report | None = None,
    pluto: PlutoState = PlutoState.RUNNING,
    news: Publication | None = None,
) -> PollOutcome:
    poll = Poll(1.0, 1.0, report, pluto)
    return PollOutcome(news or Publication(pluto=pluto), poll, 1.0, known=report is not None)


class Entries:
    """The entries that polls cause, as text."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.writer = PollEntries(Journal(Sender(None, self._stream), "run"), StateFile(None))

    def new(self) -> list[str]:
        """Return the entries since the last call."""
        lines = self._stream.getvalue().splitlines()
        self._stream.seek(0)
        self._stream.truncate()
        return lines


async def test_unknown_lines_are_told_of_once_a_kind() -> None:
    entries = Entries()
    told = []
    for line in ("000 A brave new section: 17", "000 A brave new section: 18", "000 Another: 1"):
        text = DOWN.replace("000 Connection list:", f"{line}\n000 Connection list:")
        await entries.writer.write(outcome(parse(text)))
        told.append(sum("not recognised" in entry for entry in entries.new()))
    assert told == [1, 0, 1]


@pytest.mark.parametrize("ill", [PlutoState.STOPPED, PlutoState.UNREACHABLE])
async def test_that_pluto_is_lost_and_back_is_told_once(ill: PlutoState) -> None:
    entries = Entries()
    told = []
    for pluto in (PlutoState.RUNNING, ill, ill, PlutoState.STARTING, PlutoState.RUNNING):
        await entries.writer.write(outcome(pluto=pluto))
        told.append(len(entries.new()))
    assert told == [0, 1, 0, 0, 1]


async def test_each_tunnel_is_told_of_where_its_last_entry_may_differ() -> None:
    tunnels = (tunnel("a", TunnelState.UP), tunnel("b", TunnelState.UP))
    change = transition(TunnelState.DOWN, TunnelState.UP, name="a")
    news = Publication(tunnels, ((1, change),), PlutoState.RUNNING)
    for behind, told in ((False, 1), (True, 2)):
        entries = Entries()
        await entries.writer.write_began(outcome(news=news), Saved(None, 0.0, behind=behind))
        assert len(entries.new()) == told
