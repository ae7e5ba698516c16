# SPDX-License-Identifier: MIT
"""What is read of a text that a program saved, rather than a person."""

from __future__ import annotations

import json

import pytest

from ipsecwatch.cli.explain import reading
from tests.support.recordings import ROOT, statuses

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
