# SPDX-License-Identifier: MIT
"""Tests of what one agent leaves to the next, and that a damaged file does no harm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent.delivery import Slot
from ipsecwatch.agent.memory import Memory, MemoryFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_SESSION_ID", "3")


LEFT = Memory("3", ":1.5", {"1": 7}, {"1": Slot("/a", 3, 1, 99)}, {"/b": 2}, "0.2.0")


def test_what_is_left_is_found_by_the_next_agent_and_read_by_nobody_else() -> None:
    file = MemoryFile("abc123")
    assert file.load() == Memory("3")
    assert file.save(LEFT)
    assert MemoryFile("abc123").load() == LEFT
    assert file.path is not None
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert MemoryFile("other").load() == Memory("3")


def test_what_was_closed_counts_for_this_login_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    MemoryFile("abc123").save(LEFT)
    monkeypatch.setenv("XDG_SESSION_ID", "4")
    found = MemoryFile("abc123").load()
    assert (found.closed, found.numbers) == ({}, {"1": 7})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", '{"format": 2}', "[" * 100000, '{"format": 1, "slots": 3}', "\xff\x00"],
)
def test_a_damaged_file_is_none(text: str, caplog: pytest.LogCaptureFixture) -> None:
    file = MemoryFile("abc123")
    file.save(LEFT)
    assert file.path is not None
    file.path.write_text(text)
    assert MemoryFile("abc123").load() == Memory("3")
    assert "can't be read" in caplog.text
    assert file.save(Memory("3"))


def test_slots_that_there_are_not_are_left_out() -> None:
    file = MemoryFile("abc123")
    file.save(LEFT)
    assert file.path is not None
    data = json.loads(file.path.read_text())
    data["slots"]["x" * 9] = data["slots"]["1"]
    data["numbers"] |= {"9": 9}
    file.path.write_text(json.dumps(data))
    assert MemoryFile("abc123").load() == LEFT


@pytest.mark.parametrize("folder", ["", "relative", "/nonexistent/folder"])
def test_without_a_runtime_folder_nothing_is_left(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    file = MemoryFile("abc123")
    assert not file.save(LEFT)
    assert file.load() == Memory("3")


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "ipsecwatch").mkdir()
    (tmp_path / "ipsecwatch/agent-abc123.new").symlink_to(victim)
    assert MemoryFile("abc123").save(LEFT)
    assert victim.read_text() == "mine"
