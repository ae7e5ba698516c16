# SPDX-License-Identifier: MIT
"""Tests of support/side_by_side.py, with single processes and with a run of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from tests.support.forked import ForkedProcess, Requests
from tests.support.paths import TOP
from tests.support.side_by_side import Turns

if TYPE_CHECKING:
    from pathlib import Path

BLOCKED = 0.2
"""A process that has no turn after so many seconds has to wait for it."""
AT_LAST = 10.0


class Worker(ForkedProcess):
    """A process that takes a turn at one request, and gives it back at the next one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def live(self, requests: Requests) -> None:
        turns, told = Turns(self._path), iter(requests)
        for (alone,) in told:
            with turns.turn(alone=alone):
                requests.answer("it has its turn")
                next(told, None)

    def has_its_turn(self, within: float) -> bool:
        return self._pipe.poll(within)


@pytest.mark.parametrize(
    ("held_alone", "asked_alone", "waits"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_whoever_is_alone_waits_for_all_others_and_they_for_it(
    held_alone: bool, asked_alone: bool, waits: bool, tmp_path: Path
) -> None:
    with Worker(tmp_path / "turns") as first, Worker(tmp_path / "turns") as second:
        first.tell(held_alone)
        assert first.has_its_turn(AT_LAST)
        second.tell(asked_alone)
        assert second.has_its_turn(BLOCKED if waits else AT_LAST) is not waits
        first.tell("over")
        assert second.has_its_turn(AT_LAST)


def test_whoever_waits_to_be_alone_is_not_overtaken(tmp_path: Path) -> None:
    first, second, third = (Worker(tmp_path / "turns") for _ in range(3))
    with first, second, third:
        first.tell(False)
        assert first.has_its_turn(AT_LAST)
        second.tell(True)
        assert not second.has_its_turn(BLOCKED)
        third.tell(False)
        assert not third.has_its_turn(BLOCKED)
        first.tell("over")
        assert second.has_its_turn(AT_LAST)
        assert not third.has_its_turn(BLOCKED)
        second.tell("over")
        assert third.has_its_turn(AT_LAST)


CONFTEST = """
from tests.support import side_by_side

def pytest_configure(config):
    if worker := side_by_side.worker(config):
        config.pluginmanager.register(worker)
"""
TEST = """
import pathlib, time, pytest

def note(text):
    with (pathlib.Path(__file__).parent / "diary").open("a") as diary:
        diary.write(text)

@pytest.mark.parametrize("n", [pytest.param(0, marks=[{marks}]), *range(1, {count})])
def test_it(n):
    note(f"+{name}{{n}} ")
    time.sleep(0.1)
    note(f"-{name}{{n}} ")
"""
FILES = {"long": (12, ""), "mixed": (3, "pytest.mark.alone"), "z": (3, "pytest.mark.slow")}
"""The test files: how many tests each has, and the marks of its first test."""


def run(folder: Path, *options: str) -> list[str]:
    """Run these files with this project's settings.

    Return when each test began (+) and ended (-), in order.
    """
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    for name, (count, marks) in FILES.items():
        text = TEST.format(name=name, count=count, marks=marks)
        (folder / f"test_{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", f"--config-file={TOP}/pyproject.toml",
         f"--rootdir={folder}", *options, folder],
        capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP)},
    )  # fmt: skip
    assert " 18 passed in " in done.stdout.splitlines()[-1], done.stdout + done.stderr
    return (folder / "diary").read_text(encoding="utf-8").split()


def test_slow_files_come_first_and_while_a_test_runs_alone_no_other_does(tmp_path: Path) -> None:
    diary = run(tmp_path, "--numprocesses=2")
    began = [entry[1:] for entry in diary if entry.startswith("+")]
    assert set(began[:2]) == {"z0", "long0"}
    under_way = list(accumulate({"+": 1, "-": -1}[entry[0]] for entry in diary))
    assert max(under_way) == 2
    at = diary.index("+mixed0")
    assert {"-mixed1", "-mixed2"} <= set(diary[:at])
    assert under_way[at] == 1
    assert diary[at + 1] == "-mixed0"


def test_without_workers_they_run_in_the_order_in_which_they_stand(tmp_path: Path) -> None:
    names = [f"{name}{n}" for name, (count, _) in FILES.items() for n in range(count)]
    assert run(tmp_path) == [f"{sign}{name}" for name in names for sign in "+-"]
