# SPDX-License-Identifier: MIT
from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.recording.redaction import Redactor
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TOLD = (
    "3.20/site", "3.32/multi", "4.10/xauth", "4.10/cp", "4.10/oe", "4.10/peer-deletes",
    "5.2/route", "5.4/multi", "5.4/xauth", "5.4/wrongpsk", "5.4/badesp", "5.4/v1aggr",
)  # fmt: skip
RECORDINGS = [ROOT / f"{name}.jsonl.gz" for name in TOLD]


def story(path: Path, redactor: Redactor | None) -> tuple[list[tuple[object, ...]], str]:
    """Replay a recording, redacted or not: what happened, and all text that was in it."""
    tracker, reader = Tracker(), Reader()
    told: list[tuple[object, ...]] = []
    texts = []
    for entry in recording.settled(recording.read(path)[1]):
        if isinstance(entry, LogLine):
            text = redactor.line(entry.text) if redactor else entry.text
            tracker.hear(LogLine(entry.at, text, entry.identifier))
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            text = redactor.status(entry.stdout) if redactor else entry.stdout
            found = recording.poll(replace(entry, stdout=text), reader)
            told += [(c.at, c.old, c.new, c.reason) for c in tracker.observe(found)]
        else:
            continue
        texts.append(text)
    return told, "\n".join(texts)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}-{p.name[:-9]}")
def test_a_redacted_recording_tells_the_same_story_and_nothing_private(path: Path) -> None:
    plain, text = story(path, None)
    redacted, hidden = story(path, Redactor())
    assert sorted(map(str, redacted)) == sorted(map(str, plain))
    addresses = set(re.findall(r"\b192\.[01]\.\d+\.\d+\b", text))
    assert addresses
    assert not [a for a in addresses if re.search(rf"(?<!\d){re.escape(a)}(?!\d)", hidden)]
    for private in ("@east", "@west", "@road", "paula", "corp.example"):
        assert private not in hidden
    names = set(re.findall(r'"([a-z][\w-]*)(?:/\dx\d)?(?:"|#)', text))
    for name in names - {"down", "up", "down-client", "up-client"}:
        assert f'"{name}' not in hidden
    spis = set(re.findall(r"\besp\.([0-9a-f]{7,8})@", text))
    assert not [s for s in spis if s in hidden]


def test_the_same_word_becomes_the_same_other_in_status_and_log() -> None:
    redactor = Redactor()
    line = redactor.line('"office" #1: initiating IKEv2 connection to 203.0.113.7 using UDP')
    again = redactor.line('"office" #2: no answer from 203.0.113.7 or 2001:db8:5::7')
    assert line.partition(" ")[0] == again.partition(" ")[0] == '"conn1"'
    assert re.findall(r"198\.18\.0\.\d+", line + again) == ["198.18.0.1", "198.18.0.1"]
    assert "2001:db8:5::7" not in again


def test_an_identity_is_hidden_up_to_its_last_quote() -> None:
    line = "#2: \"a\", type=ESP, add_time=1, id='CN=x', lease=secret', lease=1.1.1.1/32"
    hidden = Redactor().line(f'{line}\n#3: "a", type=ESP, id=\'CN=cut')
    assert "secret" not in hidden
    assert "CN=cut" not in hidden
    assert "', lease=198.18.0.1/32\n" in hidden


def test_a_name_may_end_in_subnet_pairs_without_end() -> None:
    assert Redactor().line(f'"{"/1x1" * 64}" #1: x') == '"conn1/1x1" #1: x'
    text = f'"a{"/1x1" * 5000}": 1.2.3.4...5.6.7.8; unrouted; eroute owner: #0\n'
    assert "5.6.7.8" not in Redactor().status(text)
