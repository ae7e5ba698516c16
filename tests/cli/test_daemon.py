# SPDX-License-Identifier: MIT
"""Tests of what the daemon needs of the machine, and how it ends if that is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.other_user import NOBODY

OPEN_FILES = """
import resource, sys
from ipsecwatch.cli import main
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]),) * 2)
"""

THREADS = f"""
import os, resource, sys
from ipsecwatch.cli import daemon, main
from ipsecwatch.libsystemd.binding import binding
binding()  # loaded before, as all else that is needed: nobody may not be let into the checkout
resource.setrlimit(resource.RLIMIT_NPROC, (int(sys.argv[1]),) * 2)
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
"""
"""Becomes another user, with a limit for threads: root isn't limited, and other processes of the
tests' user would count, too."""

RUN = 'sys.exit(main.run(["daemon", "--config", sys.argv[2]]))'


@pytest.mark.parametrize("verb", [["daemon"], ["record", "out.jsonl"]])
def test_settings_that_are_named_and_are_not_there_are_an_error(
    verb: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "ipsecwatch", *verb, "--config", f"{tmp_path}/none.toml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    said = f"ipsecwatch: there is no {tmp_path}/none.toml. Give a file that exists\n"
    assert (done.returncode, done.stderr) == (2, said)


@pytest.mark.parametrize(
    ("limited", "limit", "said"),
    [
        (OPEN_FILES, 11, "the service may open only 11 files"),
        (THREADS, 2, "no thread can be started"),
    ],
    ids=["11 files", "one thread"],
)
def test_a_daemon_that_lacks_what_it_needs_ends_with_one_line(
    limited: str, limit: int, said: str
) -> None:
    if limited is THREADS and os.getuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        settings = folder / "ipsecwatch.toml"
        settings.write_text(f'control_socket = "{folder}/pluto.ctl"\n')
        done = subprocess.run(
            [sys.executable, "-c", limited + RUN, str(limit), settings],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert line.startswith(f"ipsecwatch: {said}. ")
