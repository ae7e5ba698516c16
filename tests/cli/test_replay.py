# SPDX-License-Identifier: MIT
from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.replay import as_json, transitions
from ipsecwatch.tunnel import Reason
from tests.support.paths import TOP
from tests.support.recordings import ROOT, Truth, disagreements, replayed, truths

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = 3.0
"""By how many seconds a replayed change may differ from the true one."""

SAMPLE = 1.0
"""How many seconds more a difference may last, since both timelines have one sample a second."""


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
def test_a_restart_of_pluto_is_the_reason_for_what_it_takes_along(version: str) -> None:
    # The restarts: by the administrator, after pluto was killed, and after it hung.
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
        "reason": "none", "sentence": "Nothing is known to be wrong.", "advice": "",
    }  # fmt: skip


def test_a_tunnel_that_is_no_longer_listed_is_gone() -> None:
    last = list(transitions(ROOT / "5.4/daemon.jsonl.gz"))[-1]
    assert json.loads(as_json(last))["new"] == "gone"
    assert last.reason == "unloaded"


def test_a_line_that_was_recorded_late_gives_the_reason_as_in_the_service(tmp_path: Path) -> None:
    """journald may deliver a log line after the poll that shows the loss."""
    path = ROOT / "4.10/peer-deletes.jsonl.gz"
    at = next(c.at for c in transitions(path) if c.goes_down)
    with gzip.open(path, "rt") as f:
        rows = [json.loads(row) for row in f]
    before = [r for r in rows if r.get("at", 0) <= at]
    lines = [r for r in before if "journal" in r and r["at"] > at - 2]
    traffic = [r for r in rows[len(before) :] if r.get("command") == "trafficstatus"][:1]
    late = tmp_path / "late.jsonl"
    order = [*(r for r in before if r not in lines), *traffic, *lines]
    late.write_text("".join(f"{json.dumps(r)}\n" for r in order))
    lost = [c for c in transitions(late) if c.goes_down]
    assert [c.reason for c in lost] == ["peer-deleted"]


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


FIELD = TOP / "tests/fixtures/field"


def test_a_dead_peer_is_known_by_the_words_of_3_25() -> None:
    lost = [c for c in transitions(FIELD / "07.jsonl") if c.goes_down]
    assert [(c.tunnel.name, c.reason) for c in lost] == [("office", Reason.PEER_DEAD)]


def test_a_key_of_ours_that_is_missing_is_told_as_ours() -> None:
    told = [json.loads(as_json(c)) for c in transitions(FIELD / "16.jsonl")]
    assert [(t["new"], t["reason"]) for t in told] == [
        ("connecting", "authentication"),
        ("stuck", "authentication"),
    ]
    for t in told:
        assert "Our own private key" in t["sentence"]
        assert "peer refused nothing" in t["sentence"]
        assert "ipsec showhostkey --list" in t["advice"]


HUGE = "9" * 400


def altered(key: str, value: str, tmp_path: Path) -> Path:
    """Return a recording in which each answer has ``value``, a text in JSON, at ``key``."""
    lines = []
    with gzip.open(ROOT / "4.10/site.jsonl.gz", "rt") as f:
        for line in f:
            entry = json.loads(line)
            if "command" in entry or key in entry:
                entry[key] = "@"
            lines.append(json.dumps(entry).replace('"@"', value))
    path = tmp_path / "altered.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("value", [HUGE, f"-{HUGE}", f"{HUGE}.5", "1e400", "NaN", "-0", '"x"'])
@pytest.mark.parametrize("key", ["at", "mono", "took", "exit", "interval", "format", "pid"])
def test_a_number_beyond_all_bounds_is_no_traceback(
    key: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main.run(["replay", str(altered(key, value, tmp_path))])
    screen = capsys.readouterr()
    assert code in (0, 3)
    assert (code == 3) == bool(screen.err)
    assert screen.err.count("\n") <= 1


def test_a_name_is_printed_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hostile.jsonl"
    with gzip.open(ROOT / "4.10/site.jsonl.gz", "rt") as f:
        path.write_text(f.read().replace('\\"site\\"', '\\"s\\u001b]0;x\\u0007\\u202ee\\"'))
    for options in ([], ["--json"]):
        assert main.run(["replay", *options, str(path)]) == 0
        screen = capsys.readouterr().out
        assert "\\x1b" in screen
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", screen)
