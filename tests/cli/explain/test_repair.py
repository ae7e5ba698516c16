# SPDX-License-Identifier: MIT
"""Tests of damaged texts: once repaired, they say what they said before."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipsecwatch.cli.explain import overview, repair
from ipsecwatch.libreswan.status import parse
from tests.support.corpus import needs_corpus, outputs
from tests.support.mangled_text import MANGLED
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from ipsecwatch.report import Report

UP = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
UP_54 = statuses(ROOT / "5.4/site.jsonl.gz")[10].stdout
TRYING = statuses(ROOT / "5.4/hole.jsonl.gz")[60].stdout


@cache
def recorded() -> list[str]:
    """Return the answers of all recordings, one for each combination of states and routing."""
    found: dict[object, str] = {}
    for path in sorted(ROOT.glob("*/*.gz")):
        for answer in statuses(path):
            report = parse(answer.stdout)
            states = tuple((s.story, s.state_name, s.newest) for s in report.states)
            routing = tuple(c.routing for c in report.connections)
            if answer.stdout:
                found.setdefault((path, states, routing), answer.stdout)
    return list(found.values())


def said(report: Report) -> list[Any]:
    """Return all values of a report that matter for tunnels, and some others."""
    return [
        [(t.name, t.state, t.children_up, t.children) for t in overview.tunnels_of(report)],
        [
            (s.serial, s.name, s.instance, s.story, s.state_name, s.timers, s.newest)
            for s in report.states
        ],
        [(s.serial, s.parent_serial, s.sa and (s.sa.said, s.sa.bytes_in)) for s in report.states],
        [(c.name, c.instance, c.topologies, c.policy, c.newest_child) for c in report.connections],
        [(t.serial, t.name, t.bytes_in, t.bytes_out, t.lease) for t in report.traffic],
        [*report.pending],
        [*report.shunts],
        report.totals,
        report.version,
    ]


def test_what_is_recorded_is_of_many_kinds() -> None:
    assert len(recorded()) > 150


@pytest.mark.parametrize("how", MANGLED)
def test_a_mangled_status_says_what_it_said_before(how: str) -> None:
    # Each change is tried with every twelfth text, so that it meets texts of each recording.
    nth = list(MANGLED).index(how)
    for text in recorded()[nth % 12 :: 12]:
        report = repair.read(MANGLED[how](text))
        assert said(report) == said(parse(text)), text
        assert "fence" in how or report.unrecognised == ()


@needs_corpus
@pytest.mark.parametrize("how", MANGLED)
def test_any_release_that_was_mangled_says_what_it_said_before(how: str) -> None:
    nth = list(MANGLED).index(how)
    for output in outputs()[nth % 61 :: 61]:
        if output.command != "globalstatus":
            report = parse(output.text)
            assert said(repair.read(MANGLED[how](output.text))) == said(report), output.path


@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.data())
def test_it_does_not_matter_which_line_ends_were_lost(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([UP, UP_54, TRYING]))
    lines = text.split("\n")
    seen = len(lines) - text.count("algorithm ")
    lost = data.draw(st.sets(st.integers(0, len(lines) - 2), min_size=1, max_size=seen))
    joined = "".join(f"{line}{' ' if i in lost else chr(10)}" for i, line in enumerate(lines))
    assert said(repair.read(joined)) == said(parse(text))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from([UP, UP_54, TRYING]), st.integers(40, 200))
def test_it_does_not_matter_how_wide_the_terminal_was(text: str, width: int) -> None:
    lines = text.split("\n")
    wrapped = [x[i : i + width] for x in lines for i in range(0, max(1, len(x)), width)]
    assert said(repair.read("\n".join(wrapped))) == said(parse(text))


def test_counters_that_were_pasted_behind_a_status_are_taken_for_its_sas() -> None:
    counters = '006 #2: "site", type=ESP, add_time=1700000000, inBytes=1840, outBytes=840\n'
    report = repair.read(UP + counters)
    assert [t.bytes_in for t in report.traffic] == [1840]
    assert said(report)[0] == said(parse(UP))[0]


FORGED = '#9: "other":500 established Child SA; newest; eroute owner; IKE SA #1; idle;'


@pytest.mark.parametrize("text", [UP, UP_54], ids=["4.10", "5.4"])
def test_a_peers_words_in_a_text_that_is_as_it_was_make_no_state(text: str) -> None:
    forged = text.replace("@east", f"@e {FORGED}").replace("their id=@east", "their id=@e")
    assert forged != text
    assert {s.serial for s in repair.read(forged).states} == {1, 2}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.binary(max_size=400), st.sampled_from([UP, UP_54, ""]), st.integers(0, 8000))
def test_whatever_is_pasted_is_no_exception(noise: bytes, text: str, at: int) -> None:
    repair.read(text[:at] + noise.decode("utf-8", "surrogateescape") + text[at:])


WORST = {
    "blanks": " ",
    "quotes": '"',
    "names": '"a": ',
    "states": '#1: "a":500 ',
    "prefixes": "000 ",
    "marks of quotation": "> ",
    "letters": "A",
    "brackets": "[",
    "addresses": "1.2.3.4/32 -0-> ",
    "colours": "\x1b[",
    "prompts": "root@gw:",
    "entities": "&quot;",
}


@pytest.mark.parametrize("what", WORST)
def test_a_long_line_of_the_worst_kind_takes_no_more_than_linear_time(what: str) -> None:
    took = []
    for size in (1 << 16, 1 << 17):
        line = WORST[what] * (size // len(WORST[what]))
        runs = []
        for _ in range(3):
            start = time.process_time()
            repair.read(f"{UP}{line}\n")
            runs.append(time.process_time() - start)
        took.append(min(runs))
    assert took[1] < 6 * took[0] + 0.1


@pytest.mark.parametrize(
    "prompt", ["$ sudo ", "host:/# /usr/libexec/", "[root@h dir]# ", "root@gw:~# ", "host:~$ ", ""]
)
def test_a_prompt_with_its_command_is_no_line_of_the_answer(prompt: str) -> None:
    text = f"{prompt}ipsec whack --processstatus\n  PID  Process\n  17  addconn\n"
    report = repair.read(text)
    assert (report.command, report.unrecognised_count) == ("processstatus", 0)


@pytest.mark.parametrize(
    "mark",
    ["```text", "{noformat}", "{code:title=status}", "[code]", "~~~", "...", "[…]", "<snip>"],
)
def test_marks_of_code_are_no_lines_of_the_status(mark: str) -> None:
    status = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
    report = repair.read(f"{mark}\n{status}{mark}\n")
    assert report.unrecognised_count == 0


def test_a_command_with_a_pipe_is_no_line_of_the_status() -> None:
    status = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
    lines = "".join(x for x in status.splitlines(keepends=True) if '"site"' in x)
    for command in (
        "# ipsec status | grep site",
        "ipsec auto --status | grep 'site'",
        "Every 2.0s: ipsec whack --status     gw: Tue Jun 11 10:00:01 2024",
    ):
        assert repair.read(f"{command}\n{lines}").unrecognised_count == 0
