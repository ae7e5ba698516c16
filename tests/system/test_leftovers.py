# SPDX-License-Identifier: MIT
"""A test of support/leftovers.py, with a run of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

CONFTEST = """
from tests.support.leftovers import Leftovers

def pytest_configure(config):
    config.pluginmanager.register(Leftovers())
"""
TEST = """
import gc, socket, pytest

tries = []

@pytest.mark.flaky(reruns=1)
def test_whose_first_try_fails_before_it_closes_its_socket():
    held = [socket.socket()]
    held.append(held)  # only the collector frees this
    tries.append("one more")
    assert len(tries) == 2
    held[0].close()

def test_during_which_that_socket_would_be_freed():
    gc.collect()

def test_that_leaves_a_socket_itself():
    held = [socket.socket()]
    held.append(held)
    del held
    gc.collect()
"""


def test_what_a_failed_test_left_open_is_not_held_against_another(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_it.py").write_text(TEST, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--config-file={TOP}/pyproject.toml",
         f"--rootdir={tmp_path}", tmp_path],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    last = done.stdout.splitlines()[-1]
    assert " 1 failed, 2 passed, 1 rerun in " in last, done.stdout + done.stderr
    assert "FAILED test_it.py::test_that_leaves_a_socket_itself" in done.stdout
