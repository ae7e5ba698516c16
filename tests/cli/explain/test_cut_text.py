# SPDX-License-Identifier: MIT
"""Tests of texts of which a part is lost: explain must conclude nothing that the whole contradicts.

The part is lost at the end, in the middle, on the right, or by somebody's grep.
"""

from __future__ import annotations

import random
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.display.terminal import Paint
from ipsecwatch.cli.explain import overview, reading
from ipsecwatch.libreswan.status import parse
from ipsecwatch.tunnel import TunnelState
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from ipsecwatch.cli.explain.reading import Reading

TEXTS = {
    "up": ("5.4/site", 10),
    "calling nobody": ("5.4/hole", 60),
    "of an old release": ("3.20/site", 10),
    "several subnets": ("5.4/multi", 8),
    "a user": ("4.10/xauth-server", 5),
    "road warriors": ("minimal/replaced-unloaded", 0),
    "many, IKEv1": ("minimal/v1-expiry-peer-deleted", 2),
}


@cache
def listed(which: str) -> str:
    """Return a recorded status from its connection list on."""
    recording, number = TEXTS[which]
    answers = [a.stdout for a in statuses(ROOT / f"{recording}.jsonl.gz") if a.stdout]
    text = answers[number]
    return text[text.rindex("\n", 0, text.index("Connection list:")) + 1 :]


def values(read: Reading) -> dict[Any, Any]:
    """Return single values that were read from a text, each with a key of its own."""
    found: dict[Any, Any] = {}
    for s in read.report.states:
        found["stage", s.serial] = (s.name, s.instance, s.stage)
        if s.parent_serial is not None:
            found["parent", s.serial] = s.parent_serial
        for timer in s.timers:
            found["timer", s.serial, timer.name] = timer.seconds
        if s.sa is not None and s.sa.bytes_in is not None:
            found["in", s.serial] = s.sa.bytes_in
        if s.sa is not None and s.sa.bytes_out is not None:
            found["out", s.serial] = s.sa.bytes_out
    for c in read.report.connections:
        for key in ("routing", "newest_child", "conn_serial"):
            if getattr(c, key) is not None:
                found[key, c.name, c.instance] = getattr(c, key)
    return found


def contradictions(part: Reading, whole: Reading) -> list[str]:
    """Return what was read from a part of a text and differs from what the whole text says."""
    known, states = values(whole), {t.name: t.state for t in whole.tunnels}
    out = [f"{k}: {v}" for k, v in values(part).items() if known.get(k) != v]
    for t in part.tunnels:
        if t.state not in (TunnelState.UNKNOWN, states.get(t.name)):
            # Connections of one tunnel have their own names if no line with their alias is left.
            single = re.fullmatch(r"(.*)/\d+x\d+", t.name)
            paired = states.get(single[1]) if single else states.get(t.name)
            if paired is not TunnelState.PARTIAL and (single is None or paired != t.state):
                out.append(f"{t.name} {t.state}")
    return out


@pytest.mark.parametrize("which", TEXTS)
def test_a_text_that_ends_too_soon_says_nothing_else(which: str) -> None:
    text = listed(which)
    whole = reading.read(text)
    for end in range(max(1, len(text) - 900), len(text), 7):
        if re.search(r"\n\d{1,2}$", text[:end]):
            continue  # half a prefix, which may be the end of a number that was wrapped
        assert not contradictions(reading.read(text[:end]), whole), text[:end][-80:]


@pytest.mark.parametrize("mark", ["", ">", "…"])
@pytest.mark.parametrize("which", TEXTS)
def test_lines_that_were_cut_on_the_right_say_nothing_else(which: str, mark: str) -> None:
    text = listed(which)
    whole = reading.read(text)
    for width in (60, 80, 100, 119, 132):
        lines = [x[:width] + mark if len(x) > width else x for x in text.split("\n")]
        assert not contradictions(reading.read("\n".join(lines)), whole), width


@pytest.mark.parametrize("which", TEXTS)
def test_lines_that_are_left_over_say_nothing_else(which: str) -> None:
    lines = listed(which).split("\n")
    whole = reading.read("\n".join(lines))
    chance = random.Random(which)
    for share in (0.1, 0.3, 0.6, 0.85) * 3:
        part = "".join(f"{x}\n" for x in lines if chance.random() > share)
        assert not contradictions(reading.read(part), whole), part
        a, b = sorted(chance.sample(range(len(lines)), 2))
        for kept in (lines[:a], lines[a:b], lines[b:], [*lines[:a], "[...]", *lines[b:]]):
            part = "".join(f"{x}\n" for x in kept)
            assert not contradictions(reading.read(part), whole), part


# --- What is said of a part ---------------------------------------------------------------------


def told(text: str) -> str:
    """Return what explain prints about a text, in one line."""
    report = parse(text)
    lines = overview.lines_of(report, overview.tunnels_of(report), Paint(False), 200)
    return " ".join(" ".join(lines).split())


def test_who_is_there_isn_t_known_of_a_template_alone() -> None:
    text = listed("road warriors")
    template = "".join(f"{x}\n" for x in text.split("\n") if '"rw":' in x)
    assert "the text doesn't show whether a peer is connected" in told(template)


def test_that_there_is_no_child_is_not_told_of_a_part() -> None:
    lines = listed("several subnets").split("\n")
    ike = next(x for x in lines if "established IKE SA;" in x)
    policies = [x for x in lines if "policy: IKEv2" in x]
    screen = told("\n".join([*policies, ike, ""]))
    assert "the text doesn't show whether it has a Child SA. The IKE SA is up" in screen
    assert "no Child SA" not in screen


def test_all_pairs_of_subnets_are_not_counted_in_a_part() -> None:
    lines = [x for x in listed("several subnets").split("\n") if "/1x1" in x and "#" not in x[:6]]
    assert "all" not in told("\n".join([*lines, ""])).partition("what to do")[0].split("note")[0]


def test_counters_that_were_cut_off_are_not_said_to_be_unknown_to_the_kernel() -> None:
    lines = (x[:100] for x in listed("up").split("\n"))
    screen = told("".join(f"{x}\n" for x in lines))
    assert "kernel" not in screen
    assert "bytes in" not in screen


def test_an_xauth_server_s_own_client_is_no_scan() -> None:
    assert "perhaps scans" not in told(listed("a user"))


@pytest.mark.parametrize("refusal", [
    'ipsec whack: ERROR: Pluto is not running (no "/run/pluto/pluto.ctl"): No such file (errno 2)',
    'whack: no right to communicate with pluto (access("/run/pluto/pluto.ctl"))',
])  # fmt: skip
def test_a_command_without_an_answer_is_told_beside_a_status(refusal: str) -> None:
    screen = told(f"{listed('up')}{refusal}\n")
    assert "● site" in screen
    assert "One command in the text had no answer. " in screen
