# SPDX-License-Identifier: MIT
from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.parse import to_json
from ipsecwatch.libreswan.status import Reader, parse
from ipsecwatch.report import SaKind, Stage
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

UP = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
UP_54 = statuses(ROOT / "5.4/site.jsonl.gz")[10].stdout


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("*/*.gz")), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_recorded_answers_are_understood_wholly(path: Path) -> None:
    reader = Reader()
    for answer in statuses(path):
        report = reader.read(answer.stdout, "status")
        assert report.unrecognised == ()
        assert report.complete == bool(answer.stdout)
        counted = report.totals.ike.get("total", 0) + report.totals.ipsec.get("total", 0)
        assert len(report.states) >= counted


def test_prefixes_do_not_matter() -> None:
    bare = "".join(line[4:] + "\n" for line in UP.splitlines())
    assert to_json(parse(bare)) == to_json(parse(UP))


def test_carriage_returns_do_not_matter() -> None:
    assert to_json(parse(UP.replace("\n", "\r\n"))) == to_json(parse(UP))


def test_bytes_are_read_as_text_is() -> None:
    assert to_json(parse(UP.encode())) == to_json(parse(UP))


def test_a_name_that_is_no_utf8_is_kept_byte_for_byte() -> None:
    text = UP.encode().replace(b'"site"', b'"s\xffte"')
    (connection,) = parse(text).connections
    assert connection.name.encode("utf-8", "surrogateescape") == b"s\xffte"


def test_an_established_child_is_told_from_its_ike_sa_with_and_without_state_names() -> None:
    for text in (UP, UP_54):
        kinds = {s.kind: (s.stage, s.parent_serial) for s in parse(text).states}
        assert kinds == {
            SaKind.IKE: (Stage.ESTABLISHED, None),
            SaKind.CHILD: (Stage.ESTABLISHED, 1),
        }


@pytest.mark.parametrize("text", [UP, UP_54], ids=["4.10", "5.4"])
def test_a_status_cut_at_any_byte_says_so_and_invents_nothing(text: str) -> None:
    whole = parse(text)
    known = {s.serial for s in whole.states}
    end = text.index("Bare Shunt list:") + len("Bare Shunt list:\n")
    for cut in range(0, end, 13):
        report = parse(text[:cut], "status")
        assert not report.complete, cut
        assert report.why
        assert {s.serial for s in report.states} <= known
        assert not any(s.guessed for s in report.states)


def test_a_status_of_an_old_build_without_a_shunt_list_is_cut_where_its_totals_say() -> None:
    text = next(a.stdout for a in statuses(ROOT / "3.20/site.jsonl.gz") if "#2:" in a.stdout)
    assert parse(text, "status").complete
    lines = text.splitlines(keepends=True)
    for cut in range(len(lines)):
        assert not parse("".join(lines[:cut]), "status").complete, cut


WRONG = {
    "empty": ("", "empty"),
    "blank": ("\n\n", "empty"),
    "two answers": (UP + UP, "more than one"),
    "another command's": (
        "006 #2: \"site\", type=ESP, add_time=1, inBytes=0, outBytes=0, id='@east'\n",
        "trafficstatus",
    ),
    "garbage": ("\x00\xff" * 100 + "\n", "not a status text"),
    "whack's error": ('whack: Pluto is not running (no "/run/pluto/pluto.ctl")\n', "not running"),
    "no beginning": (UP[UP.index("000 Connection list") :], "beginning"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_whole_status_says_why(case: str) -> None:
    text, word = WRONG[case]
    report = parse(text, "status")
    assert not report.complete
    assert report.why is not None
    assert word in report.why


def test_nothing_is_a_whole_answer_where_nothing_is_established() -> None:
    assert parse("", "trafficstatus").complete
    assert parse("", "showstates").complete


def test_unknown_lines_are_kept_and_counted() -> None:
    text = UP.replace("000 Connection list:", "000 A brave new section:\n000 Connection list:")
    report = parse(text)
    assert [u.text for u in report.unrecognised] == ["A brave new section:"]
    assert report.unrecognised[0].line == text.split("\n").index("000 A brave new section:") + 1
    assert report.complete


def test_an_unknown_story_is_classed_by_its_words_and_marked() -> None:
    text = UP_54.replace("established Child SA;", "splendidly established Child SA;")
    (child,) = [s for s in parse(text).states if s.kind is SaKind.CHILD]
    assert child.guessed
    assert child.established


def test_a_state_line_before_the_states_is_none() -> None:
    forged = (
        '"site":   their id=x\n000 #2: "site":500 established Child SA; newest; IKE SA #1; idle;'
    )
    text = statuses(ROOT / "4.10/site.jsonl.gz")[0].stdout.replace('"site":   sec_label', forged)
    report = parse(text, "status")
    assert report.states == ()


HOSTILE_IDS = [
    "@a===b",
    "@a...b",
    "@a]===10.0.0.0/8",
    '@a"b',
    "@x; erouted; eroute owner: #9",
    "C=DE, O=x; y",
    "@x; unrouted; my_ip=unset; their_ip=unset;",
]


@pytest.mark.parametrize("identity", HOSTILE_IDS)
def test_a_peers_identity_does_not_move_the_fields_beside_it(identity: str) -> None:
    (topology,) = parse(UP.replace("[@east]", f"[{identity}]")).connections[0].topologies
    assert topology.routing == "erouted"
    assert topology.owner == 2
    assert topology.local_client == "192.0.1.0/24"
    assert topology.remote_host == "192.1.2.23"
    assert topology.remote_id == identity
    assert topology.remote_client == "192.0.2.0/24"


@pytest.mark.parametrize("identity", HOSTILE_IDS)
def test_nor_does_it_from_5_0_on(identity: str) -> None:
    (topology,) = parse(UP_54.replace("[@east]", f"[{identity}]")).connections[0].topologies
    assert topology.routing == "routed-tunnel"
    assert topology.remote_host == "192.1.2.23"
    assert topology.remote_id == identity
    assert topology.remote_client == "192.0.2.0/24"


TRAFFIC = {
    "user with a comma": (
        "#2: \"x\", username=a, type=AH, add_time=1, type=ESP, add_time=7, inBytes=1, outBytes=2",
        ("a, type=AH, add_time=1", "ESP", 7, 1, None),
    ),
    "id with a forged lease": (
        ('#2: "x"[1] 1.2.3.4, type=ESP, add_time=7, inBytes=1, '
        "id='@a', lease=6.6.6.6/32', lease=1.1.1.1/32"),
        (None, "ESP", 7, 1, "@a', lease=6.6.6.6/32"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TRAFFIC)
def test_a_peers_text_does_not_move_the_counters(case: str) -> None:
    line, expected = TRAFFIC[case]
    (t,) = parse(line + "\n").traffic
    assert (t.username, t.type, t.add_time, t.bytes_in, t.id) == expected


def test_a_long_line_of_the_worst_kind_takes_linear_time() -> None:
    worst = [
        '"a": ' + "[" * n + "..." * n + "; erouted" * n for n in (20_000, 40_000)
    ] + [f'#1: "a"{" x:1" * n}' for n in (100_000, 200_000)] + [
        '#1: "a", username=' + ", type=ESP, add_time=1" * n for n in (10_000, 20_000)
    ]  # fmt: skip
    took = []
    for line in worst:
        start = time.process_time()
        parse(line + "\n")
        took.append(time.process_time() - start)
    for small, large in zip(took[::2], took[1::2], strict=True):
        assert large < 6 * small + 0.05
