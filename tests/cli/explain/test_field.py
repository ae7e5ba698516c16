# SPDX-License-Identifier: MIT
"""Tests of texts like those that people paste into tickets and mails, and what is true of each.

The texts are in tests/fixtures/field. What their log lines mean is tested in test_log_story.py.
"""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.explain import reading
from ipsecwatch.libreswan.status import parse
from ipsecwatch.tracking.single_report import tunnels_of
from tests.support.corpus import needs_corpus, outputs
from tests.support.paths import TOP
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.tunnel import Tunnel

FIELD = TOP / "tests/fixtures/field"


class Case(NamedTuple):
    """What is true of a text: the state of each tunnel, and what explain must and mustn't print."""

    tunnels: dict[str, str]
    says: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


CASES = {
    "02": Case(
        {"office": "up"},
        ("up, as the connection list has it", "The SAs aren't in the text"),
    ),
    "03": Case(
        {"office": "up", "paris": "unknown"},
        ("its policy, which says whether it should be up, isn't in the text",),
    ),
    "04": Case({}, ("2 connections are loaded, 2 are up",), ("no tunnels are configured",)),
    "08": Case({"office": "unknown"}, ("its policy",), ("nobody asks", "To bring one up")),
    "09": Case(
        {"office": "connecting"},
        ("it should be up; the text doesn't show whether it is being negotiated",),
        ("at this moment", "pauses"),
    ),
    "10": Case(
        {"office": "unknown"},
        (
            "The IKE SA is up, but there is no Child SA: no traffic can pass",
            "If a Child SA is wanted: Compare leftsubnet, rightsubnet, esp= and pfs=",
        ),
        ("no Child SA is asked for",),
    ),
    "11": Case({"office": "connecting"}, ("The peer does not answer.",), ("SAs aren't",)),
    "12": Case(
        {"office": "down"}, ("The SAs aren't in the text",), ("connectionstatus", "briefstatus")
    ),
    "13": Case(
        {"rw[29]": "up"},
        ("21 bytes in, 64 bytes out", "1 line was not understood"),
        ("shows no counters",),
    ),
    "18": Case({"net": "up"}, ("#1 is established",), ("successor",)),
    "19": Case(
        {"private": "waiting"},
        ("198.51.100.0/24 behind any peer of the group",),
        ("%opportunistic", "198.51.100.7"),
    ),
    "20": Case(
        {"office": "waiting"},
        ("a template for any peer; no peer is connected",),
        ("the first packet",),
    ),
    "22": Case(
        {"office": "up", "paris": "up"},
        ("#1; since", "100 bytes in, 200 bytes out; user bob", "peer's name @paris"),
    ),
    "24": Case({}, ("2 connections are loaded, 1 is routed, 1 is up",), ("not a status",)),
    "25": Case(
        {"westnet-eastnet-ikev2": "connecting"},
        ("192.0.1.0/24 behind 192.1.2.45, as @west", "192.0.2.0/24 behind 192.1.2.23, as @east"),
        ("NOT ACCEPTING", "not understood"),
    ),
    "26": Case(
        {
            "office": "up",
            "gw1.example.org": "up",
            "gw2.example.org": "up",
            "private-or-clear#203.0.113.0/24[1]": "connecting",
        },
        ("user alice", "0.0.0.0/0, 10.0.0.0/8", "#50577 is established", "asks again in 8s"),
    ),
}


def explained(text: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    """Run ``ipsecwatch explain`` on a text; return its exit code."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    return main.run(["explain", *options])


@pytest.mark.parametrize("case", CASES)
def test_a_pasted_text_is_told_as_it_is(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (FIELD / f"{case}.txt").read_text()
    assert explained(text, monkeypatch, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {t["name"]: t["state"] for t in found["tunnels"]} == CASES[case].tunnels
    assert explained(text, monkeypatch) == 0
    screen = " ".join(capsys.readouterr().out.split())
    for sentence in CASES[case].says:
        assert sentence in screen
    for sentence in CASES[case].never:
        assert sentence not in screen


def test_joined_records_of_trafficstatus_are_no_complete_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["parse", str(FIELD / "22.txt")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["complete"]
    assert (found["traffic"], found["tunnels"]) == ([], [])
    assert found["unrecognised_count"] == 1


# --- The verbs agree --------------------------------------------------------------------------


def verdicts(tunnels: list[Tunnel]) -> dict[str, tuple[str, str]]:
    return {t.name: (t.state, t.reason) for t in tunnels}


def told_by_status(text: str, capsys: pytest.CaptureFixture[str], path: Path) -> dict[str, Any]:
    """Return the state and reason of each tunnel, as ``status --file`` prints them for a text.

    Return {} if it refuses the text; assert that it then names another command.
    """
    path.write_text(text, "utf-8", "surrogateescape")
    code = main.run(["status", "--json", "--file", str(path)])
    screen = capsys.readouterr()
    if code == 3 and not screen.out:
        assert "ipsecwatch explain" in screen.err or "ipsec whack --status > FILE" in screen.err
        return {}
    assert code in (0, 3)
    found = json.loads(screen.out)
    assert found["format"] == 1
    return {t["name"]: (t["state"], t["reason"]) for t in found["tunnels"]}


def agree(text: str, capsys: pytest.CaptureFixture[str], path: Path) -> bool:
    """Assert that ``status --file`` and ``explain`` find the same tunnels in a text.

    Return False if ``status --file`` refuses a text in which explain finds tunnels.
    """
    seen = verdicts(reading.read(text).tunnels)
    told = told_by_status(text, capsys, path)
    if told:
        assert told == seen, text
    return bool(told) or not seen


def test_status_says_of_a_pasted_text_what_explain_says_or_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = [
        path.stem
        for path in sorted(FIELD.glob("*.txt"))
        if not agree(path.read_text(), capsys, tmp_path / "text")
    ]
    assert set(refused) <= {"22", "25", "26"}


def test_status_and_explain_agree_on_recorded_answers_whole_and_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted(ROOT.glob("*/*.gz")):
        for text in [a.stdout for a in statuses(path)[20::40] if a.stdout][:1]:
            half = len(text) // 2
            for cut in (text, text[:half], text[half:], text[: -len(text) // 5]):
                agree(cut, capsys, tmp_path / "text")


@needs_corpus
def test_status_and_explain_agree_on_every_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in outputs()[::7]:
        agree(output.text, capsys, tmp_path / "text")


ON_DEMAND = (
    "4.10/route.jsonl.gz",
    "minimal/address-gone.jsonl.gz",
    "minimal/burst-operator.jsonl.gz",
)
"""Recordings of 4.10 in which a packet began a negotiation: the connection list alone doesn't show
that."""


def test_a_status_without_its_states_says_the_same() -> None:
    compared = 0
    for path in sorted(ROOT.glob("*/*.gz")):
        if str(path).endswith(ON_DEMAND):
            continue
        for answer in statuses(path)[::5]:
            whole = parse(answer.stdout)
            if not whole.states:
                continue
            listed = answer.stdout[: answer.stdout.index("State Information:")].rsplit("\n", 1)[0]
            for key, t in tunnels_of(parse(f"{listed}\n")).items():
                assert t.state is tunnels_of(whole)[key].state, (path, t.name)
                compared += 1
    assert compared > 200
