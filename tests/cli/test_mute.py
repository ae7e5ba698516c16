# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch mute``: it lists, adds and removes mutes, and prints what it did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "ipsecwatch" / "mutes.json"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(["mute", *arguments]) == code
    out, err = capsys.readouterr()
    assert bool(err) == bool(code)
    return out or err


def test_what_is_muted_is_listed_and_taken_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys) == "Nothing is muted.\n"
    assert json.loads(said(capsys, "--json")) == {"format": 1, "muted": []}
    assert said(capsys, "c").startswith("c: muted until ")
    assert said(capsys, "a", "--for", "login") == "a: muted until your next login\n"
    assert said(capsys, "b", "--for", "ever") == "b: muted for good\n"
    assert [line.partition(":")[0] for line in said(capsys).splitlines()] == ["a", "b", "c"]
    entries = json.loads(said(capsys, "--undo", "a", "--json"))["muted"]
    assert entries[0] == {"name": "b", "for": "ever", "ends": None}
    assert entries[1].keys() == entries[0].keys()
    assert entries[1]["ends"] > 0
    assert said(capsys, "--undo", "b") == "b: not muted any more\n"


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--undo", "a"], 1, "a isn't muted"),
        (["--undo"], 2, "which tunnel?"),
        (["--for", "ever"], 2, "which tunnel?"),
        (["--undo", "a", "--for", "1h"], 2, "--undo can't have --for"),
        (["a", "--for", "2h"], 2, "invalid choice"),
        (["\x1b[31m"], 2, "\\x1b[31m can't be a tunnel's name"),
        ([""], 2, "can't be a tunnel's name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], code: int, why: str, capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    assert why in said(capsys, *arguments, code=code)
    assert not file.exists()


def test_a_damaged_file_is_told_and_left_alone(
    capsys: pytest.CaptureFixture[str], file: Path
) -> None:
    file.parent.mkdir()
    file.write_text("{")
    for arguments in ([], ["a"], ["--undo", "a"]):
        assert "has a mistake" in said(capsys, *arguments, code=3)
    assert file.read_text() == "{"
