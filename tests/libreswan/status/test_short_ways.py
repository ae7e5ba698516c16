# SPDX-License-Identifier: MIT
"""Tests that the parser's fast ways and its memory give the same result as a full reading."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsecwatch.cli.parse import to_json
from ipsecwatch.libreswan.status import Reader, blocks, parse, states, topology
from ipsecwatch.report import SaKind
from tests.bench import gateway
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from ipsecwatch.report import Report, SaLine

RECORDINGS = sorted(ROOT.glob("*/*.gz"))


@cache
def polls(nth: int) -> list[str]:
    """Return the answers of a recording, without those that equal the one before."""
    texts = [answer.stdout for answer in statuses(RECORDINGS[nth])]
    return [b for a, b in zip(["", *texts], texts, strict=False) if a != b]


def said(report: Report) -> list[Any]:
    """Return all values of a report."""
    return [
        to_json(report), report.totals, [(s.text, s.timers, s.sa) for s in report.states],
        [(c.text, c.topologies) for c in report.connections], report.traffic, report.other,
    ]  # fmt: skip


# --- What a reader remembers ------------------------------------------------------------------


@pytest.mark.parametrize("nth", range(len(RECORDINGS)), ids=lambda n: RECORDINGS[n].stem[:-6])
def test_a_reader_says_of_each_poll_what_a_new_one_says(nth: int) -> None:
    reader = Reader()
    texts = polls(nth)
    for text in texts[:: max(1, len(texts) // 12)]:
        assert said(reader.read(text, "status")) == said(parse(text, "status"))


@st.composite
def altered(draw: st.DrawFn, text: str) -> str:
    """Return a text in which some lines were deleted, doubled, swapped, joined or changed."""
    lines = text.split("\n")
    begin = next((i for i, x in enumerate(lines) if "Connection list" in x), 0)
    for _ in range(draw(st.integers(0, 4))):
        i, j = (draw(st.integers(begin, len(lines) - 1)) for _ in range(2))
        match draw(st.integers(0, 6)):
            case 0:
                lines[i] = ""
            case 1:
                lines.insert(j, lines[i])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                lines[i] = lines[i].replace("#2", "#3").replace("erouted", "unrouted")
            case 4:
                at = draw(st.integers(0, len(lines[i])))
                lines[i] = lines[i][:at] + draw(st.sampled_from('";:#[]1\n\r\x1b\udcff')) + lines[j]
            case 5:
                lines[i] = lines[i].removeprefix("000 ")
            case _:
                lines[i] = lines[i][: len(lines[i]) // 2]
    return "\n".join(lines)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.data())
def test_a_reader_of_altered_polls_says_what_a_new_one_says(data: st.DataObject) -> None:
    texts = polls(data.draw(st.integers(0, len(RECORDINGS) - 1)))
    first = data.draw(st.integers(0, len(texts) - 1))
    reader = Reader()
    for text in texts[first : first + 3]:
        for poll in (data.draw(altered(text)), text):
            assert said(reader.read(poll, "status")) == said(parse(poll, "status"))


# --- Ways that are short -----------------------------------------------------------------------

WORDS = sorted(topology.ROUTINGS)
HOSTS = [
    "192.1.2.23", "%any", "2001:db8::1", "192.1.2.23<192.1.2.23>", "192.1.2.23:4500",
    "192.1.2.23<gw.example>:500", "%opportunisticgroup", "<address>", "", "1.2.3.4---5.6.7.8",
    "1.2...3",
]  # fmt: skip
CLIENTS = [
    "",
    "192.0.2.0/24===",
    "{1.2.3.0/24,1.2.4.0/24}===",
    "2001:db8::/32===",
    "0.0.0.0/0:6/0===",
    "1.2...3===",
]
IDS = [
    "", "[@east]", "[@east,MS+XS+S=C]", "[+S?C]", "[C=DE, O=x; y]", "[@a===b]", "[@a...b]",
    "[@a]", "[@a,XC]]", "[@x; erouted; eroute owner: #9]", "[[@a]]", "[@SCT]", "[@é]", "[@a,MC+]",
    "[@\u0663]", "[@x,S-C]---1.2.3.4",
]  # fmt: skip
TAILS = [
    "; eroute owner: #2", "; eroute owner: #0", "; my_ip=unset; their_ip=unset;",
    "; my_ip=1.2.3.4; their_ip=<none>;", "", "; eroute owner: #12345678901", ";",
]  # fmt: skip


@st.composite
def first_lines(draw: st.DrawFn) -> str:
    ours, theirs = draw(st.sampled_from(CLIENTS)), draw(st.sampled_from(CLIENTS))
    left = f"{ours}{draw(st.sampled_from(HOSTS))}{draw(st.sampled_from(IDS))}"
    right = f"{draw(st.sampled_from(HOSTS))}{draw(st.sampled_from(IDS))}"
    right += f"==={theirs[:-3]}" if theirs else ""
    routing = draw(st.sampled_from([*WORDS, "routed-somehow", ""]))
    return f"{left}...{right}; {routing}{draw(st.sampled_from(TAILS))}"


@settings(max_examples=800, deadline=None, derandomize=True)
@given(first_lines())
def test_the_usual_first_line_is_read_as_any_is(line: str) -> None:
    assert topology.read(line) == topology.read_any(line)


def test_each_recorded_first_line_is_read_as_any_is() -> None:
    lines = {
        line.split(": ", 1)[1]
        for nth in range(len(RECORDINGS))
        for line in polls(nth)[-1].split("\n")
        if '"' in line[:5] and "..." in line
    }
    read = {line: topology.read(line) for line in lines}
    assert len([x for x in read.values() if x is not None]) > 40
    assert read == {line: topology.read_any(line) for line in lines}


MARKS = [
    "newest", "newest ISAKMP", "newest IPSEC", "eroute owner", "IKE SA #1", "ISAKMP SA #10",
    "IKE SA #0", "isakmp#3", "isakmp#0", "IKE SA #12345678901", "idle", "none in -1s", "nodpd",
    "REKEY in 27000s", "EVENT_RETRANSMIT in -4s", "REPLACE in XXs", "lastdpd=-1s(seq in:0 out:0)",
    "import:admin initiate", "crypto_calculating", "brand new", "", " idle", "IKE SA #\u0661",
]  # fmt: skip


HEADS = [
    '"a":500', '"a"[1] 192.0.2.1:4500', '"a"[1] 10.0.0.0/24=== ...192.0.2.1===10.0.1.0/24:500',
    '"a"[1][2] 2001:db8::1:500(tcp)', '"a":EPHEM', '"a"', '"a;b":500', '"a" x, y:500', '"a" @:500',
    '"a":123456', '"a":1 b:500', '"a" x:1 y:2 z:3', '"a" Traffic:500', '"\u0661":500', '"a":\u0661',
]  # fmt: skip
STORIES = [
    "STATE_V2_ESTABLISHED_CHILD_SA (established Child SA)", "established Child SA", "x" * 300,
    "established IKE SA", "STATE_MAIN_I4 (cut", "", "sent IKE_SA_INIT request", "a (b) c",
    "odd Traffic: words", "a:500 established Child SA",
]  # fmt: skip
SAS = [
    "", '#1: "a" esp.1@192.0.2.1 Traffic: ESPin=1B username=b; Traffic:\n', '#1: "a" Traffic: \n',
    '000 #1: "b" Traffic: \n', '#2: "a" Traffic: \n', '#1: "a" traffic\n', "\n",
    '#11: "a" Traffic: \n',
]  # fmt: skip


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    st.sampled_from(["", "000 ", "00 "]), st.sampled_from(HEADS), st.sampled_from(STORIES),
    st.lists(st.sampled_from(MARKS), max_size=6), st.sampled_from([";", "", "; ", " "]),
    st.sampled_from(SAS),
)  # fmt: skip
def test_a_state_line_that_is_read_in_one_go_is_read_as_step_by_step(
    prefix: str, head: str, story: str, words: list[str], last: str, sa: str
) -> None:
    marks = "".join(f" {word};" for word in words).removesuffix(";") + last
    line = f"#1: {head} {story};{marks}"
    text = f"{prefix}{line}\n{sa}"
    usual = states.usual(text, 0)
    if usual is None:
        return
    known = states.state(line)
    assert known is not None
    own = sa.removeprefix("000 ")
    if own.startswith('#1: "') and states.TRAFFIC in own:
        states.add_sa(known, own.rstrip("\n"))
        assert usual[1] == len(text)
    else:
        assert usual[1] == len(text) - len(sa)
    assert usual[0] == known
    assert (usual[0].timers, usual[0].sa) == (known.timers, known.sa)


def test_most_recorded_state_lines_from_4_6_on_are_read_in_one_go() -> None:
    lines = {
        line
        for path in ROOT.glob("[45].*/*.gz")
        for answer in statuses(path)
        for line in answer.stdout.split("\n")
        if states.state(line.removeprefix("000 ")) is not None
    }
    usual = [line for line in lines if states.usual(f"{line}\n", 0) is not None]
    assert len(usual) > 0.8 * len(lines) > 1000


LINES = [
    '"a": x',
    '"a":  y',
    '"a"[1]: x',
    '"ab": x',
    '000 "a": x',
    '000 "ab":',
    "",
    "x",
    '"a',
    "000 ",
]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(LINES), max_size=12), st.integers(0, 80), st.booleans())
def test_a_run_is_found_by_leaps_as_line_by_line(lines: list[str], likely: int, cut: bool) -> None:
    text = "\n".join(lines) + ("" if cut else "\n")
    at = 0
    while (stop := text.find("\n", at)) >= 0:
        plain, leapt = blocks.take(text, at, stop), blocks.take(text, at, stop, likely)
        if plain is None or leapt is None:
            assert plain is leapt
        elif any("\n" in line for line in leapt.lines):
            assert leapt.text.startswith(plain.text)
        else:
            assert leapt == plain
        at = plain.end if plain is not None else stop + 1


@pytest.mark.parametrize("nth", range(0, len(RECORDINGS), 5))
def test_runs_and_what_lies_between_are_the_whole_text(nth: int) -> None:
    text = polls(nth)[-1]
    for run in blocks.split(text):
        assert text[run.at : run.at + len(run.text)] == run.text
        assert "\n".join(run.begin + line for line in run.lines) == run.text
        assert not text[run.end :].startswith(run.begin)


def test_a_poll_reads_no_counters_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters change at each poll. Reading those of all SAs takes as long as all the rest."""
    read: list[str] = []
    read_sa = states.read_sa

    def counting(line: str) -> SaLine | None:
        read.append(line)
        return read_sa(line)

    monkeypatch.setattr(states, "read_sa", counting)
    report = parse(gateway.status(20), "status")
    assert report.complete
    assert len(read) <= 1  # of the last one, to see whether it was cut
    assert all(s.sa is not None for s in report.states if s.kind is SaKind.CHILD)
    assert len(read) == 20
