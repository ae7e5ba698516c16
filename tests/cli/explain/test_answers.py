# SPDX-License-Identifier: MIT
"""Tests of texts with several answers: what one says of a tunnel isn't mixed with the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.explain import reading
from ipsecwatch.cli.explain.answers import divide
from ipsecwatch.libreswan.status import parse
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

DOWN, UP = (statuses(ROOT / "5.4/site.jsonl.gz")[i].stdout for i in (1, 10))
CALLING = statuses(ROOT / "5.4/hole.jsonl.gz")[60].stdout
MULTI = statuses(ROOT / "4.10/multi.jsonl.gz")[12].stdout
SEVERAL = statuses(ROOT / "minimal/terminate-unanswered-main.jsonl.gz")[3].stdout


def about(text: str, name: str) -> str:
    """Return the lines that ``grep`` finds for a connection's name in quotes."""
    return "".join(f"{x}\n" for x in text.split("\n") if f'"{name}"' in x)


def told(text: str) -> list[dict[str, str]]:
    """Return the state of each tunnel, separately for each answer in a text."""
    return [{t.name: t.state.value for t in a.tunnels} for a in reading.read(text).answers]


TEXTS = {
    "up, then down": (UP + DOWN, [{"site": "up"}, {"site": "down"}]),
    "down, then up": (
        f"Before:\n{DOWN}\nAfter ipsec up site:\n{UP}", [{"site": "down"}, {"site": "up"}],
    ),
    "two machines": (
        f"east# ipsec status\n{UP}west# ipsec status\n{CALLING}",
        [{"site": "up"}, {"hole": "connecting"}],
    ),
    "what grep found of both": (
        about(UP, "site") + "10:10\n" + about(DOWN, "site"), [{"site": "up"}, {"site": "down"}],
    ),
    "quoted": (
        "".join(f"> {x}\n" for x in (UP + DOWN).split("\n")), [{"site": "up"}, {"site": "down"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_each_answer_is_told_by_itself(case: str) -> None:
    text, answers = TEXTS[case]
    read = reading.read(text)
    assert told(text) == answers
    assert (read.tunnels, read.report.states) == ([], ())


@pytest.mark.parametrize("verb", [["status", "--file"], ["parse"]])
def test_a_verb_that_tells_of_one_answer_refuses_several(
    verb: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text(UP + DOWN)
    assert main.run([*verb, str(tmp_path / "text")]) == 3
    screen = capsys.readouterr()
    assert screen.out == ""
    assert "more than one answer" in screen.err
    assert "ipsecwatch explain" in screen.err


def test_several_answers_are_said_to_be_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text").write_text(UP + DOWN)
    assert main.run(["explain", str(tmp_path / "text")]) == 0
    screen = capsys.readouterr().out
    assert "It seems that the text has 2 answers" in screen
    assert re.search(r"Answer 2 of 2, from line \d+ of the text on\n\nlibreswan 5.4", screen)


LOG = 'Nov 28 10:00:00 gw pluto[812]: "site" #1: initiating IKEv2 connection\n' * 3


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (UP + DOWN, [1, 135]),
        (LOG + UP + DOWN, [4, 138]),
        (UP + LOG + DOWN, [1, 138]),
    ],
    ids=["no log", "a log before", "a log between"],
)
def test_the_line_of_an_answer_is_counted_in_the_text_that_was_given(
    text: str, lines: list[int]
) -> None:
    assert [a.line for a in reading.read(text).answers] == lines
    assert all(text.split("\n")[line - 1] for line in lines)


WHOLE = {
    "one": UP,
    "of many connections": SEVERAL,
    "of several pairs of subnets": MULTI,
    "with lines that two greps found": about(UP, "site") * 2,
    "with counters behind it": f'{UP}#2: "site", type=ESP, add_time=17, inBytes=1, outBytes=2\n',
}


@pytest.mark.parametrize("case", WHOLE)
def test_one_answer_isn_t_divided(case: str) -> None:
    assert len(divide(WHOLE[case])) == 1


def test_of_connections_whose_names_were_removed_none_is_a_tunnel() -> None:
    text = re.sub(r'"h\d"', '"***"', SEVERAL)
    read = reading.read(text)
    assert (read.answers, read.tunnels) == ((), [])
    assert {s.name for s in read.report.states} == {"***"}


def test_a_connection_that_was_pasted_twice_is_one() -> None:
    lines = about(UP, "site").split("\n")
    assert [t.name for t in reading.read("\n".join([*lines[:9], *lines])).tunnels] == ["site"]


def test_counters_of_two_moments_are_no_sum() -> None:
    line = (
        "006 #2: \"site\", type=ESP, add_time=1700000000, inBytes={0}, outBytes={0}, id='@east'\n"
    )
    answers = reading.read(line.format(84) + line.format(168)).answers
    assert [a.report.traffic[0].bytes_in for a in answers] == [84, 168]
    assert not parse(line.format(84) + line.format(168)).complete
