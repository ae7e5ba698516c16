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


def test_a_peer_that_speaks_ikev1_only_is_told_so() -> None:
    line = "packet from 192.0.2.7:500: ignoring IKEv1 packet as policy is set to silently drop all"
    told = " ".join(log_overview.lines_of(log_text.read(f"{line}\n"), terminal.Paint(False), 100))
    assert "packets from 192.0.2.7" in told
    assert "by IKEv1, which this machine doesn't allow" in told
    assert "ikev1-policy=accept" in told


BOTH_ENDS = {
    "syslog": ("Jan 10 10:00:00 left.example.net pluto[1]: ", "Jan 10 10:00:00 right pluto[9]: "),
    "RFC 5424": (
        "<14>1 2026-01-10T10:00:00Z left pluto 1 - - ",
        "<14>1 2026-01-10T10:00:01Z right pluto 2 - - ",
    ),
    "containers": ("left-1  | ", "right-1  | "),
    "pods": ("[pod/left/pluto] ", "[pod/right/pluto] "),
    "ISO": (
        "2026-01-10T10:00:00.123+00:00 left pluto[1]: ",
        "2026-01-10T10:00:00Z right pluto[2]: ",
    ),
}


@pytest.mark.parametrize("case", BOTH_ENDS)
def test_both_ends_of_a_tunnel_are_told_apart(case: str) -> None:
    left, right = BOTH_ENDS[case]
    text = (
        f'{left}"tun" #1: initiating IKEv2 connection\n'
        f"{right}\"tun\" #1: authentication failed: no PSK found for '192.0.2.2' and '192.0.2.1'\n"
        f'{left}"tun" #1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED\n'
    )
    ours, theirs = log_overview.as_json(log_text.read(text))
    assert (ours["name"], theirs["name"]) == ("tun", "tun")
    assert "left" in ours["host"]
    assert "right" in theirs["host"]
    assert "The peer refused our key" in ours["sentence"]
    assert theirs["ours"] == "no-secret"
    told = "\n".join(log_overview.lines_of(log_text.read(text), terminal.Paint(False), 100))
    assert f"tun (on {ours['host']})" in told


def test_one_machine_is_not_taken_for_several() -> None:
    for first, second in (
        ("Tue Sep 24 15:00:03 2024 authpriv.warn pluto[7]: ",
         "Tue Sep 24 15:00:04 2024 daemon.info pluto[7]: "),
        ("Jan 10 10:00:00 gw pluto[1]: ", "Jan 10 10:00:00 gw.example.net pluto[1]: "),
        ("Jan 10 10:00:00 192.0.2.1 pluto[1]: ", "002 "),
    ):  # fmt: skip
        refused = "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED"
        text = f'{first}"tun" #1: initiating IKEv2 connection\n{second}"tun" #1: {refused}\n'
        (told,) = log_overview.as_json(log_text.read(text))
        assert (told["host"], told["attempts"], told["outcome"]) == (None, 1, "failed")
