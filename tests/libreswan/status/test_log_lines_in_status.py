# SPDX-License-Identifier: MIT
"""Tests of log lines of pluto in a status: they begin like lines of its connection list."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.status import parse
from tests.support.paths import FIXTURES
from tests.support.recordings import ROOT, statuses

ADDED = (
    "added IKEv2 connection",
    "added unoriented IKEv2 connection (neither left=192.0.2.1 nor right=192.0.2.7 match)",
    "loaded private key matching left certificate 'west'",
    "policy: none of these",
    "terminating SAs using this connection",
    "failed to add connection: left certificate 'west' not found in the NSS database",
)
TEXTS = (
    *ADDED,
    *(
        line.split(maxsplit=1)[1]
        for line in (FIXTURES / "wordings.txt").read_text().splitlines()
        if line[:1].isdigit()
    ),
)
BEGINS = ('"office": ', '"rw"[3] 192.0.2.7: ', '"rw"[3]: ', '"office" #2: ', '"office" #2 IKE_I: ')
PREFIXES = ("", "000 ", "002 ", "022 ", "181 ")
STATUS = statuses(ROOT / "4.10" / "site.jsonl.gz")[-1].stdout
BARE = statuses(ROOT / "5.4" / "site.jsonl.gz")[-1].stdout


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("begin", BEGINS)
def test_no_log_line_is_a_connection(prefix: str, begin: str) -> None:
    for text in TEXTS:
        report = parse(f"{prefix}{begin}{text}\n")
        assert report.connections == (), text
        assert report.unrecognised_count + (report.why or "").startswith("pluto did") == 1, text
        assert not report.complete


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_piece_of_the_log_is_a_list(prefix: str) -> None:
    log = "".join(f"{prefix}{begin}{text}\n" for text in TEXTS for begin in BEGINS)
    report = parse(log)
    assert report.connections == ()
    assert report.unrecognised_count == len(log.splitlines())


def test_a_long_log_line_is_no_topology_that_was_cut() -> None:
    report = parse(
        '"office": constructed local proposals for office ... ' + "1:IKE=AES " * 100 + "\n"
    )
    assert report.connections == ()


@pytest.mark.parametrize("status", [STATUS, BARE], ids=["4.10", "5.4"])
@pytest.mark.parametrize("name", ["site", "office"])
def test_log_lines_around_a_status_change_nothing_that_it_says(status: str, name: str) -> None:
    whole = parse(status)
    said = (
        f'002 "{name}": terminating SAs using this connection\n"{name}": added IKEv2 connection\n'
    )
    for text in (said + status, status + said, said + status + said):
        report = parse(text)
        assert report.connections == whole.connections
        assert report.states == whole.states
        assert report.unrecognised_count == 2 * text.count("added IKEv2")
