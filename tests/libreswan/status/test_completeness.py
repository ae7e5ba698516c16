# SPDX-License-Identifier: MIT
"""Tests of an answer to each command in each dialect: what is read of it, whole or damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.parse import to_json
from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Extent
from tests.support.paths import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.report import Report

FOLDER = FIXTURES / "answers"

DIALECTS = {"3.18", "3.20", "3.32", "4.10", "5.0", "5.1", "5.2", "5.4"}
COMMANDS = {
    "status", "trafficstatus", "showstates", "briefstatus", "globalstatus", "shuntstatus",
    "connectionstatus", "briefconnectionstatus", "addresspoolstatus", "fipsstatus",
    "processstatus",
}  # fmt: skip

LISTS = COMMANDS - {"status", "briefstatus", "fipsstatus"}
"""Commands whose answer can lose lines at its end without any sign of it: see completeness.py."""


@dataclass(frozen=True)
class Given:
    """An answer in fixtures/answers, and the JSON that must be read from it."""

    path: Path

    def __str__(self) -> str:
        return f"{self.path.parent.name}-{self.path.stem}"

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def command(self) -> str:
        return self.path.stem.partition("-")[0]

    @property
    def expected(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.with_suffix(".json").read_text())
        return found


GIVEN = [Given(path) for path in sorted(FOLDER.glob("*/*.txt"))]

each = pytest.mark.parametrize("given", GIVEN, ids=str)


def as_json(report: Report) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(to_json(report)))
    return found


def without_empty(row: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    """Return a row as the expected JSON has it: only these keys, and no empty values."""
    return {k: v for k, v in row.items() if k in keys and v not in (None, [], "")}


def test_there_is_one_of_each_command_and_dialect() -> None:
    assert {given.path.parent.name for given in GIVEN} == DIALECTS
    assert {given.command for given in GIVEN} == COMMANDS
    assert {given.path.with_suffix("") for given in GIVEN} == {
        path.with_suffix("") for path in FOLDER.glob("*/*.json")
    }


ROWS = ("states", "connections", "traffic", "pending", "shunts", "pools", "briefs", "interfaces")


@each
def test_what_is_read_is_what_is_there(given: Given) -> None:
    read, expected = as_json(parse(given.text)), given.expected
    assert read["why"] is None
    for key in ROWS:
        rows = expected.pop(key, [])
        keys = {name for row in rows for name in row}
        assert len(read[key]) == len(rows), key
        for ours, theirs in zip(read[key], rows, strict=True):
            assert without_empty(ours, keys) == without_empty(theirs, keys)
    for key, value in expected.items():
        assert read[key] == value, key


@each
def test_a_prefix_whatever_the_way_does_not_matter(given: Given) -> None:
    """whack prints prefixes up to 4.15; on the socket they are there in every release."""
    lines = given.text.split("\n")[:-1]
    bare = [x[4:] if x[:4] in ("000 ", "006 ") else x for x in lines]
    with_prefix = [f"000 {line}" for line in bare]
    for changed in (bare, with_prefix):
        text = "".join(f"{line}\n" for line in changed)
        assert as_json(parse(text)) == as_json(parse(given.text))


def cuts(text: str) -> list[int]:
    """Return where to cut a text: anywhere in a short one, else mostly around line ends."""
    if len(text) < 1500:
        return list(range(len(text)))
    ends = [i for i, c in enumerate(text) if c == "\n"]
    around = {i + d for i in ends for d in (-1, 0, 1, 2)}
    return sorted(x for x in {*around, *range(0, len(text), 29)} if 0 <= x < len(text))


@each
def test_an_answer_that_is_cut_at_any_byte_says_so(given: Given) -> None:
    text = given.text
    whole = as_json(parse(text))
    for cut in cuts(text):
        report = parse(text[:cut], given.command)
        read = as_json(report)
        assert report.complete == (report.why is None)
        if report.complete:
            at_end = text[:cut].endswith("\n") or cut == 0
            blank = not text[cut:].replace("000 ", "").strip()
            assert at_end
            assert blank or given.command in LISTS, (cut, text[:cut][-80:])
        for key in ("states", "traffic", "pending", "shunts"):  # what is read is there
            assert [row["serial" if "serial" in row else "ours"] for row in read[key]] == [
                row["serial" if "serial" in row else "ours"] for row in whole[key]
            ][: len(read[key])]
        assert not any(row["guessed"] for row in read["states"])


ENDING = [
    given
    for given in GIVEN
    if given.command in ("status", "briefstatus", "connectionstatus", "globalstatus")
    and str(given) not in ("3.18-globalstatus", "3.20-globalstatus")  # a list without an end
]


@pytest.mark.parametrize("given", ENDING, ids=str)
def test_an_answer_that_has_an_end_tells_when_a_line_is_missing_there(given: Given) -> None:
    lines = given.text.rstrip("\n 0").split("\n")
    known = {"connectionstatus-name": 3}  # behind the serial stand the algorithms in use
    for kept in range(len(lines) - known.get(given.path.stem, 1)):
        if given.command == "connectionstatus" and lines[:kept] == ["Connection list:", " "]:
            continue  # the whole answer of a pluto that has no connections
        report = parse("".join(f"{line}\n" for line in lines[:kept]), given.command)
        assert not report.complete, kept
        assert report.why


def test_of_counters_that_were_cut_off_some_are_known_to_be_missing() -> None:
    text = next(g for g in GIVEN if g.command == "trafficstatus").text
    assert parse(text, "trafficstatus").knowledge.counters is Extent.WHOLE
    assert parse(text[:-1], "trafficstatus").knowledge.counters is Extent.PARTIAL


@each
def test_two_answers_in_one_are_told(given: Given) -> None:
    report = parse(given.text * 2, given.command)
    if given.command in ("status", "briefstatus", "shuntstatus", "showstates", "trafficstatus"):
        assert report.why == "more than one answer"
    # Whatever is concluded, no SA is there twice.
    serials = [s.serial for s in report.states]
    assert not report.complete or len(serials) == len(set(serials))


@each
def test_an_answer_to_another_command_is_told(given: Given) -> None:
    for other in COMMANDS - {given.command}:
        report = parse(given.text, other)
        assert report.command == other
        assert report.why == f"the answer to {given.command}, not to {other}"


MAY_BE_EMPTY = {"trafficstatus", "showstates", "addresspoolstatus"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
@pytest.mark.parametrize("text", ["", "\n", "000  \n", " \n \n"])
def test_an_empty_answer_is_whole_only_where_there_may_be_nothing(command: str, text: str) -> None:
    report = parse(text, command)
    assert report.why == (None if command in MAY_BE_EMPTY else "empty")
    assert (report.states, report.connections, report.traffic) == ((), (), ())


@each
def test_what_is_no_answer_of_pluto_s_is_told(given: Given) -> None:
    for text in ("\x00\xff" * 50 + "\n", "<html>\n", "Segmentation fault\n"):
        report = parse(text, given.command)
        assert report.why == "not a status text of libreswan's"
        assert report.unrecognised_count == 1
    refused = parse('whack: Pluto is not running (no "/run/pluto/pluto.ctl")\n', given.command)
    assert refused.why is not None
    assert refused.why.startswith("pluto did not answer: ")
