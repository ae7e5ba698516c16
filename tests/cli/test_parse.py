# SPDX-License-Identifier: MIT
"""``ipsecwatch parse`` as its users meet it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.recordings import ROOT, statuses

UP = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout


@pytest.mark.parametrize("argument", ["-", "no/such/file"])
def test_parse_reads_stdin_and_names_a_missing_file(argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ipsecwatch", "parse", argument],
        input=UP,
        capture_output=True,
        text=True,
    )
    if argument == "-":
        assert done.returncode == 0
        assert json.loads(done.stdout)["format"] == 1
    else:
        assert done.returncode == 3
        assert done.stderr.startswith("ipsecwatch: cannot read no/such/file")
