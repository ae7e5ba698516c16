# SPDX-License-Identifier: MIT
"""Tests of recordings as files: a value of a wrong type counts as absent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch import recording

if TYPE_CHECKING:
    from pathlib import Path

HEAD = {"format": 1, "kind": "ipsecwatch-recording", "libreswan": "4.10", "interval": 0.5}
ANSWER = {
    "at": 5, "command": "status", "exit": 0, "stdout": "text", "stderr": "", "took": 0.25,
    "mono": 7, "timed_out": False, "error": None,
}  # fmt: skip
HUGE = 10**400
"""A number that is too large for a float."""


def short(value: object) -> str | None:
    """Return a value's name for the name of a test; None: pytest's own."""
    return "huge" if value == HUGE else None


def read(path: Path, *lines: dict[str, Any]) -> tuple[recording.Head, list[recording.Entry]]:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    head, entries = recording.read(path)
    return head, list(entries)


def answer(path: Path, **odd: object) -> recording.RecordedAnswer:
    (entry,) = read(path, HEAD, {**ANSWER, **odd})[1]
    assert isinstance(entry, recording.RecordedAnswer)
    return entry


def test_an_answer_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = answer(tmp_path / "r")
    assert (found.at, found.command, found.stdout, found.stderr) == (5.0, "status", "text", "")
    assert (found.exit, found.mono, found.took) == (0, 7.0, 0.25)
    assert (found.timed_out, found.error, found.raw) == (False, None, ANSWER)


@pytest.mark.parametrize(
    ("key", "value", "read_as"),
    [
        ("command", 7, ""),
        ("stdout", None, ""),
        ("stdout", ["x"], ""),
        ("stdout", "\udc80\0", "\udc80\0"),
        ("stderr", {}, ""),
        ("exit", None, None),
        ("exit", "0", None),
        ("exit", -9, -9),
        ("mono", None, None),
        ("mono", "7", None),
        ("mono", HUGE, None),
        ("took", None, 0.0),
        ("took", -1, 0.0),
        ("took", "1", 0.0),
        ("took", HUGE, 0.0),
        ("took", float("nan"), 0.0),
        ("error", "", None),
        ("error", 7, None),
        ("error", "refused", "refused"),
    ],
    ids=short,
)
def test_what_is_odd_in_an_answer_counts_as_absent(
    key: str, value: object, read_as: object, tmp_path: Path
) -> None:
    assert getattr(answer(tmp_path / "r", **{key: value}), key) == read_as


@pytest.mark.parametrize("at", [None, "5", True, [], float("inf"), HUGE], ids=short)
def test_an_entry_without_a_time_is_an_error_in_one_line(at: object, tmp_path: Path) -> None:
    with pytest.raises(recording.RecordingError, match=r"r:2: no time"):
        answer(tmp_path / "r", at=at)


@pytest.mark.parametrize(
    ("interval", "libreswan", "read_as"),
    [(2, "5.4", (2.0, "5.4")), ("2", 7, (1.0, None)), (HUGE, "", (1.0, None))],
    ids=short,
)
def test_what_is_odd_in_a_head_counts_as_absent(
    interval: object, libreswan: object, read_as: object, tmp_path: Path
) -> None:
    head, _ = read(tmp_path / "r", {**HEAD, "interval": interval, "libreswan": libreswan})
    assert (head.interval, head.libreswan) == read_as


def test_a_log_line_that_was_recorded_late_comes_before_the_answer_all_the_same(
    tmp_path: Path,
) -> None:
    """journald may deliver a log line after the next command of the same round was asked."""
    traffic = ANSWER | {"at": 5.3, "command": "trafficstatus"}
    line = {"identifier": "pluto"}
    rows = [
        ANSWER, traffic, line | {"at": 5.1, "journal": "late"},
        line | {"at": 5.4, "journal": "after"}, ANSWER | {"at": 6},
    ]  # fmt: skip
    _, entries = read(tmp_path / "late.jsonl", HEAD, *rows)
    assert [e.at for e in recording.settled(entries)] == [5.1, 5, 5.3, 5.4, 6]


def test_a_round_begins_with_the_status_whatever_a_recording_begins_with(tmp_path: Path) -> None:
    """One that was cut may begin with another answer, perhaps one that never comes again."""
    rows = [
        ANSWER | {"at": 4.8, "command": "showstates"},
        ANSWER, ANSWER | {"at": 5.3, "command": "trafficstatus"},
        {"identifier": "pluto", "at": 5.1, "journal": "late"}, ANSWER | {"at": 6},
    ]  # fmt: skip
    _, entries = read(tmp_path / "cut.jsonl", HEAD, *rows)
    assert [e.at for e in recording.settled(entries)] == [4.8, 5.1, 5, 5.3, 6]
