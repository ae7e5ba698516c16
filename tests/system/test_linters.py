# SPDX-License-Identifier: MIT
"""The linters as tests, so that their findings are in the same summary as failed tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import TOP


@pytest.mark.parametrize(
    "tool",
    [["ruff", "check", "--quiet"], ["ruff", "format", "--check", "--quiet"], ["mypy"]],
    ids=" ".join,
)
def test_the_linter_finds_nothing(tool: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", *tool],
        cwd=TOP,
        # mypy colours its output where it believes that somebody looks.
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        pytest.fail(f"{' '.join(tool)}:\n{run.stdout}{run.stderr}", pytrace=False)
