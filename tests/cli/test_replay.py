# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.replay import as_json, transitions
from tests.support.recordings import ROOT, Truth, disagreements, replayed, truths

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = 3.0
"""Seconds by which ours may differ from the truth."""

SAMPLE = 1.0
"""Samples are a second apart: either side may be late by one."""


@pytest.mark.parametrize("truth", truths(), ids=lambda t: f"{t.path.parent.name}-{t.path.stem}")
def test_every_recording_agrees_with_the_truth(truth: Truth) -> None:
    ours = replayed(truth.path, truth.start)
    for tunnel, timeline in truth.tunnels.items():
        for begin, length, mine, true in disagreements(ours.get(tunnel, []), timeline):
            assert length <= TOLERANCE + SAMPLE, (
                f"{tunnel} at {begin:.0f} s for {length:.1f} s: {mine}, but it was {true}"
            )


def test_no_tunnel_appears_that_the_truth_does_not_know() -> None:
    templates = {"cp", "rw", "xauth", "clear-or-private", "private-or-clear", "private"}
    for truth in truths():
        extra = replayed(truth.path, truth.start).keys() - truth.tunnels.keys()
        assert extra <= templates, truth.path


STUCK = {
    "wrongpsk": "authentication",
    "badprop": "proposal",
    "badesp": "proposal",
    "hole": "no-answer",
    "hole1": "no-answer",
    "closed": "unreachable",
}


@pytest.mark.parametrize("version", ["4.10", "5.4"])
@pytest.mark.parametrize(("name", "reason"), STUCK.items())
def test_a_stuck_tunnel_has_the_true_reason(version: str, name: str, reason: str) -> None:
    stuck = [c for c in transitions(ROOT / version / f"{name}.jsonl.gz") if c.gets_stuck]
    assert [c.reason for c in stuck] == [reason]


def test_an_old_release_whose_log_names_nobody_gives_its_reason_by_the_stage() -> None:
    stuck = [c for c in transitions(ROOT / "3.20/wrongpsk.jsonl.gz") if c.gets_stuck]
    assert [c.reason for c in stuck] == ["authentication"]


LOST = {
    "dpd-cut": ["peer-dead"],
    "dpd-killed": ["peer-dead"],
    "peer-deletes": ["peer-deleted", "peer-deleted"],
    "site": ["operator", "operator"],
    "v1main": ["operator"],
    "v1aggr": ["operator"],
    "xauth": ["operator"],
    "cp": ["operator"],
    "multi": ["operator"],
    "autostart": ["peer-deleted"],
    "rekey": [],
    "rekey1": [],
    "cut-nodpd": [],
}


@pytest.mark.parametrize("version", ["4.10", "5.4"])
@pytest.mark.parametrize(("name", "reasons"), LOST.items())
def test_a_lost_tunnel_has_the_true_reason(version: str, name: str, reasons: list[str]) -> None:
    lost = [c for c in transitions(ROOT / version / f"{name}.jsonl.gz") if c.goes_down]
    assert [c.reason for c in lost] == reasons


@pytest.mark.parametrize("version", ["4.10", "5.4"])
def test_a_stop_of_pluto_is_the_reason_for_what_it_takes_along(version: str) -> None:
    lost = [c for c in transitions(ROOT / version / "daemon.jsonl.gz") if c.goes_down]
    assert [c.reason for c in lost][:3] == ["pluto-restarted"] * 3


def test_a_refused_tunnel_counts_its_attempts() -> None:
    (stuck,) = [c for c in transitions(ROOT / "4.10/wrongpsk.jsonl.gz") if c.gets_stuck]
    assert stuck.tunnel.attempts >= 3


def test_the_first_look_is_silent_and_has_no_old_state() -> None:
    first = next(transitions(ROOT / "4.10/site.jsonl.gz"))
    assert first.silent
    assert not first.announced
    assert json.loads(as_json(first)) == {
        "format": 1, "at": first.at, "tunnel": "site", "old": None, "new": "down",
        "reason": "none", "sentence": "Nothing is wrong.", "advice": "",
    }  # fmt: skip


def test_a_tunnel_that_is_no_longer_listed_is_gone() -> None:
    last = list(transitions(ROOT / "5.4/daemon.jsonl.gz"))[-1]
    assert json.loads(as_json(last))["new"] == "gone"
    assert last.reason == "unloaded"


@pytest.fixture
def ipsecwatch() -> list[str]:
    return [sys.executable, "-m", "ipsecwatch"]


BAD = {
    "missing": (None, "no such file"),
    "empty": (b"", "not a recording"),
    "garbage": (b"\x00\xff\x1b[31m", "not JSON"),
    "other json": (b"[1]\n", "not an object"),
    "foreign": (b'{"kind": "something"}\n', "not a recording"),
    "newer": (b'{"kind": "ipsecwatch-recording", "format": 2}\n', "newer"),
    "no time": (b'{"kind": "ipsecwatch-recording", "format": 1}\n{"command": "status"}\n', "time"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_recording_is_a_one_line_error(
    case: str, tmp_path: Path, ipsecwatch: list[str]
) -> None:
    content, word = BAD[case]
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_bytes(content)
    done = subprocess.run([*ipsecwatch, "replay", path], capture_output=True, text=True)
    assert done.returncode == 3
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_recording_cut_in_the_middle_is_played_as_far_as_it_goes(
    tmp_path: Path, ipsecwatch: list[str]
) -> None:
    path = tmp_path / "cut.jsonl.gz"
    whole = (ROOT / "4.10/site.jsonl.gz").read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    done = subprocess.run([*ipsecwatch, "replay", "--json", path], capture_output=True, text=True)
    assert done.returncode == 3
    assert "damaged" in done.stderr
    assert [json.loads(line)["new"] for line in done.stdout.splitlines()][:2] == ["down", "up"]


def test_a_replay_in_steps_waits_for_each(ipsecwatch: list[str]) -> None:
    path = ROOT / "4.10/site.jsonl.gz"
    done = subprocess.run(
        [*ipsecwatch, "replay", "--step", path], input="\n\n", capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.count("\n") == 3


def test_a_replay_can_take_its_time(ipsecwatch: list[str]) -> None:
    path = ROOT / "4.10/site.jsonl.gz"
    start = time.monotonic()
    subprocess.run([*ipsecwatch, "replay", "--speed", "40", path], capture_output=True, check=True)
    assert time.monotonic() - start > 41 / 40
