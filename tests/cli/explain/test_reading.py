# SPDX-License-Identifier: MIT
"""Tests of how explain reads texts that a program has saved."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.explain import reading, unpacking
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Callable

UP = statuses(ROOT / "5.4/site.jsonl.gz")[10].stdout

JSON = {
    "a string a line": json.dumps({"stdout_lines": UP.split("\n"), "rc": 0}, indent=4),
    "all in a string": json.dumps({"rc": 0, "stdout": UP, "failed": False}),
    "of several machines": json.dumps([{"gw1": {"out": UP}}]),
}


@pytest.mark.parametrize("case", JSON)
def test_the_strings_of_json_are_the_text(case: str) -> None:
    read = reading.read(JSON[case])
    assert [(t.name, t.state) for t in read.tunnels] == [("site", "up")]
    assert len(read.report.states) == 2
    assert read.report.version == "5.4"


@pytest.mark.parametrize("text", ["{", "[1, 2", '{"rc": 1}', "[" * 100_000, "[]", '"rc": 0}\n'])
def test_json_without_a_status_is_no_tunnel(text: str) -> None:
    assert reading.read(text).tunnels == []


LOG = '"office" #1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED'
ENTRY = {"__REALTIME_TIMESTAMP": "1795860001123456", "_HOSTNAME": "gw", "_PID": "7",
         "SYSLOG_IDENTIFIER": "pluto", "MESSAGE": LOG}  # fmt: skip
LOGS = {
    "journalctl -o json": f"{json.dumps(ENTRY)}\n" * 2,
    "journalctl -o json-pretty": f"{json.dumps(ENTRY, indent=8)}\n" * 2,
    "bytes": f"{json.dumps({**ENTRY, 'MESSAGE': list(LOG.encode())})}\n" * 2,
    "with a prompt": f"$ journalctl -o json\n{json.dumps(ENTRY)}\n{json.dumps(ENTRY)}\n$",
    "docker": f"{json.dumps({'log': LOG + chr(10), 'stream': 'stderr'})}\n" * 2,
    "cut off": f"{json.dumps(ENTRY)}\n{json.dumps(ENTRY)}\n{json.dumps(ENTRY)[:99]}",
    "ansible": f"gw | FAILED => {json.dumps({'lines': [LOG, LOG]}, indent=4)}",
    "a string": json.dumps(f"{LOG}\n{LOG}"),
    "behind words": f"stdout F {json.dumps({'msg': LOG, 'kubernetes': {'pod': 'vpn'}})}\n" * 2,
}


@pytest.mark.parametrize("case", LOGS)
def test_a_log_in_json_is_read(case: str) -> None:
    log = reading.read(LOGS[case]).log
    assert log is not None
    assert [x.text for x in log.lines] == [LOG, LOG]


def test_the_line_before_an_object_stays() -> None:
    text = unpacking.out_of_json(f"{LOG}\n{json.dumps(ENTRY)}\n")
    assert text.startswith(f"{LOG}\n")
    assert text.count(LOG) == 2


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_read_without_its_mark(codec: str) -> None:
    assert unpacking.utf16(f"{UP}ü".encode(codec)) == f"{UP}ü"
    assert unpacking.utf16(b"\0" * 8 + UP.encode()) is None


PUT_IN_FRONT: dict[str, Callable[[int], str]] = {
    "grep -n": lambda i: f"{i}:",
    "grep -n in files": lambda i: f"status.txt:{i}:",
    "grep in files": lambda _: "status.txt:",
    "cat -n": lambda i: f"{i:6}\t",
    "docker compose": lambda _: "vpn-1  | ",
    "kubectl logs --timestamps": lambda i: f"2026-11-28T10:00:01.{i:09}Z ",
    "diff": lambda _: "+",
}


@pytest.mark.parametrize("how", PUT_IN_FRONT)
def test_a_status_is_read_behind_what_programs_put_in_front(how: str) -> None:
    before = PUT_IN_FRONT[how]
    text = "\n".join(f"{before(i)}{x}" for i, x in enumerate(UP.splitlines(), 1))
    read = reading.read(f"{text}\n")
    assert [(t.name, t.state) for t in read.tunnels] == [("site", "up")]
    assert not read.report.unrecognised_count
