# SPDX-License-Identifier: MIT
"""Tests of what ``explain`` concludes from all log lines of a text."""

from __future__ import annotations

import pytest

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import log_overview
from ipsecwatch.cli.replay import transitions
from ipsecwatch.libreswan import log_text
from ipsecwatch.recording.format import read
from ipsecwatch.report import LogLine
from ipsecwatch.tunnel import Reason
from tests.support.paths import FIXTURES
from tests.support.recordings import ROOT

FIELD = FIXTURES / "field"


@pytest.mark.parametrize(
    "name",
    [f"{v}/{n}" for v in ("4.10", "5.4") for n in ("badesp", "badprop", "closed", "hole",
                                                   "wrongpsk", "peer-deletes", "site", "v1main")],
)  # fmt: skip
def test_a_recorded_log_has_the_reason_that_the_service_gives_or_none(name: str) -> None:
    path = ROOT / f"{name}.jsonl.gz"
    log = "\n".join(
        f"Nov 28 10:00:00 west pluto[7]: {e.text}"
        for e in read(path)[1]
        if isinstance(e, LogLine) and e.identifier == "pluto"
    )
    (told,) = log_overview.as_json(log_text.read(log))
    last = {t.tunnel.name: t for t in transitions(path)}[told["name"]]
    assert told["reason"] in (last.reason, None)
    assert (told["reason"] is None) == (last.reason is Reason.OPERATOR and name[0] == "4")


def test_many_connections_are_summed_up() -> None:
    lines = "\n".join(f'"c{i}" #{i}: authentication failed: x' for i in range(1, 41))
    told = log_overview.lines_of(log_text.read(lines), terminal.Paint(False), 80)
    assert len(told) < 120
    assert any("28 more" in line for line in told)


@pytest.mark.parametrize("wide", [40, 80, 100])
def test_lines_are_no_wider_than_the_terminal(wide: int) -> None:
    for path in sorted(FIELD.glob("*.txt")):
        log = log_text.read(path.read_text())
        for line in log_overview.lines_of(log, terminal.Paint(False), wide):
            assert len(line) <= wide
