# SPDX-License-Identifier: MIT
"""Tests of reading a real journald's files while they are rotated or removed; both bindings."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libsystemd.binding import binding
from tests.support.bindings import BINDINGS, choose
from tests.support.journald import PrivateJournald, needs_journald

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipsecwatch.libsystemd.journal_reader import JournalReader


@pytest.fixture(params=BINDINGS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from choose(request.param, monkeypatch)


def held(folder: Path) -> list[str]:
    """Return the names of the journal files below a folder that this process has open.

    A file that is open twice is there twice.
    """
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    paths = (os.readlink(link) for link in links if os.path.islink(link))
    return sorted(os.path.basename(path) for path in paths if path.startswith(f"{folder}/"))


def wait_until_it_holds_what_is_there(reader: JournalReader, folder: Path) -> None:
    give_up = time.monotonic() + 10
    while True:
        reader.process()
        while reader.next():
            pass
        there = sorted(os.listdir(folder))
        if held(folder) == there:
            return
        assert time.monotonic() < give_up, f"{held(folder)} are held, and there are {there}"
        time.sleep(0.05)


@needs_journald
def test_it_holds_each_file_once_and_lets_go_of_one_that_journald_deletes(tmp_path: Path) -> None:
    with (
        PrivateJournald(tmp_path / "run") as journald,
        closing(binding().reader(journald.logs)) as reader,
    ):
        reader.fileno()
        reader.seek_tail()
        # A journald that is killed leaves a file behind, if it had already opened it.
        while len(os.listdir(journald.logs)) < 5:
            journald.restart(signal.SIGKILL)
            wait_until_it_holds_what_is_there(reader, journald.logs)
        vacuum = ("journalctl", f"--directory={journald.logs}", "--vacuum-files=1")
        subprocess.run(vacuum, capture_output=True, check=True)
        wait_until_it_holds_what_is_there(reader, journald.logs)
        assert held(journald.logs) == ["system.journal"]
