# SPDX-License-Identifier: MIT
"""Tests of the two bindings to libsystemd: which one is used, and what happens without both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libsystemd import with_ctypes
from ipsecwatch.libsystemd.binding import NoLibraryError, binding, notify
from tests.support.bindings import BINDINGS, choose, hide_systemd_python
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HIDE = "import sys; sys.modules['systemd'] = None; "
"""The beginning of a program that can't import systemd-python."""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Make systemd-python impossible to import, and drop what was loaded before."""
    hide_systemd_python(monkeypatch)
    for found in (binding, with_ctypes.library):
        found.cache_clear()
    yield monkeypatch
    for found in (binding, with_ctypes.library):
        found.cache_clear()


@pytest.fixture(params=BINDINGS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from choose(request.param, monkeypatch)


def python(code: str, *argv: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *argv],
        input=text, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("address", ["path", "abstract"])
@pytest.mark.usefixtures("way")
def test_systemd_is_told_over_the_socket_that_it_names(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = str(tmp_path / "notify") if address == "path" else f"@ipsecwatch-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(where.replace("@", "\0"))
        systemd.settimeout(5)
        notify("READY=1\nSTATUS=läuft")
        assert systemd.recv(4096).decode() == "READY=1\nSTATUS=läuft"


@pytest.mark.usefixtures("way")
def test_a_systemd_that_is_gone_is_an_error_that_can_be_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with pytest.raises(OSError, match="No such file"):
        notify("READY=1")


@pytest.mark.usefixtures("way")
def test_a_closed_reader_is_an_error_and_no_crash(tmp_path: Path) -> None:
    reader = binding().reader(tmp_path)
    reader.close()
    with pytest.raises((OSError, ValueError)):
        reader.next()


def test_a_package_that_is_merely_called_systemd_is_not_taken(
    without: pytest.MonkeyPatch,
) -> None:
    for module in ("systemd.journal", "systemd.daemon"):
        without.delitem(sys.modules, module, raising=False)
    without.setitem(sys.modules, "systemd", ModuleType("systemd"))
    assert binding().name == "ctypes"


NOTHING = {"a library without the functions": "libc.so.6", "no library": "libipsecwatch-none.so.0"}


@pytest.mark.parametrize("name", NOTHING.values(), ids=NOTHING)
def test_where_nothing_will_do_an_error_says_why_and_what_helps(
    name: str, without: pytest.MonkeyPatch
) -> None:
    without.setattr(with_ctypes, "NAME", name)
    with pytest.raises(NoLibraryError, match=name) as raised:
        binding()
    assert "libsystemd0" in raised.value.hint


@pytest.mark.parametrize("name", NOTHING.values(), ids=NOTHING)
def test_without_a_library_the_daemon_leaves_for_good_with_a_line_and_a_hint(name: str) -> None:
    done = python(
        f"{HIDE}from ipsecwatch.libsystemd import with_ctypes; with_ctypes.NAME = {name!r};"
        "from ipsecwatch.cli.main import run; sys.exit(run(['daemon']))"
    )
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert line.startswith("ipsecwatch: systemd's library can't be used: ")
    assert "libsystemd0" in line


@pytest.mark.parametrize("argv", [["--help"], ["explain"], ["parse"], ["status", "--file", "-"]])
def test_what_needs_no_systemd_looks_for_none(argv: list[str]) -> None:
    done = python(
        "import sys, atexit; from ipsecwatch.cli.main import run;"
        "ways = {'systemd', 'ipsecwatch.libsystemd.with_ctypes'};"
        "atexit.register(lambda: print(ways & sys.modules.keys()));"
        "sys.exit(run(sys.argv[1:]))",
        *argv,
        text=statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nset()\n")


REFUSES = """
import ctypes, mmap
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) != 0:
    sys.exit("this kernel has no PR_SET_MDWE")
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
except OSError:
    print("refused")
from pathlib import Path
from ipsecwatch.libsystemd.binding import binding, notify
print(binding().name)
reader = binding().reader(Path(sys.argv[1]))
reader.add_match(MESSAGE="x")
reader.seek_tail()
print(reader.fileno() > 0, reader.next(), reader.process())
reader.close()
"""


def test_it_needs_no_memory_that_is_both_written_to_and_run(tmp_path: Path) -> None:
    done = python(HIDE + REFUSES, str(tmp_path))
    if "no PR_SET_MDWE" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert (done.stderr, done.stdout) == ("", "refused\nctypes\nTrue False False\n")
