# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch parse`` as its users see it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

UP = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout


def test_json_is_what_it_prints_with_or_without_the_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "saved.txt"
    file.write_text(UP)
    assert main.run(["parse", str(file)]) == main.run(["parse", "--json", str(file)]) == 0
    without, with_ = capsys.readouterr().out.splitlines()
    assert json.loads(without) == json.loads(with_)


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
