# SPDX-License-Identifier: MIT
"""Tests of which terminal is opened, and that a tunnel's name is one argument of its command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ipsecwatch.agent import terminal_window
from tests.support.paths import TOP
from tests.support.waiting import until

EVIL = "-x; touch evil $(touch evil) `touch evil` 'a b'\n"


def program(path: Path, text: str = "#!/bin/sh\n") -> str:
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TERMINAL", raising=False)
    monkeypatch.delenv("SYSTEMD_EXEC_PID", raising=False)


def test_the_users_own_choice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal_window.find_terminal() == ()
    fallback = program(tmp_path / "x-terminal-emulator")
    assert terminal_window.find_terminal() == (fallback, "-e")
    for name, before in [("foot", ("-e",)), ("gnome-terminal", ("--",)), ("kgx", ("--",))]:
        monkeypatch.setenv("TERMINAL", name)
        assert terminal_window.find_terminal() == (fallback, "-e")  # it isn't installed
        chosen = program(tmp_path / name)
        assert terminal_window.find_terminal() == (chosen, *before)
    best = program(tmp_path / "xdg-terminal-exec")
    assert terminal_window.find_terminal() == (best,)


@pytest.mark.parametrize("said", ["foot -e reboot", "./x-terminal-emulator", "", "a\0b"[:1]])
def test_what_is_no_programs_name_is_none(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "foot")
    monkeypatch.chdir(tmp_path)
    program(tmp_path / "x-terminal-emulator")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("TERMINAL", said)
    assert terminal_window.find_terminal() == ()


async def opened(path: str, name: str) -> None:
    """Open a terminal, and wait until its process has ended and is no child any more."""
    before = children()
    terminal_window.open_terminal(path, name)
    await until(lambda: children() <= before)


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.mark.parametrize(
    ("path", "name", "arguments"),
    [
        ("/t/office", "office", ["--", "office"]),
        ("/t/office@acme", "acme: office", ["--instance", "acme", "--", "office"]),
        ("/t/evil", EVIL, ["--", EVIL]),
        ("", "", []),
    ],
)
async def test_a_name_is_one_argument_and_reaches_no_shell(
    path: str, name: str, arguments: list[str], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    program(
        tmp_path / "x-terminal-emulator",
        f"#!{sys.executable}\nimport json, pathlib, sys\n"
        f"pathlib.Path({str(seen)!r}).write_text(json.dumps(sys.argv[1:]))\n",
    )
    await opened(path, name)
    first, *more = json.loads(seen.read_text())
    assert first == "-e"
    assert more[more.index("status") :] == ["status", "--watch", *arguments]
    assert not (tmp_path / "evil").exists()


async def test_under_systemd_it_runs_outside_of_the_agents_sandbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    terminal = program(tmp_path / "x-terminal-emulator")
    program(tmp_path / "systemd-run", f'#!/bin/sh\necho "$@" >{seen}\n')
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    await opened("/t/a", "a")
    assert seen.read_text().startswith(f"--user --collect --quiet -- {terminal} -e ")


def test_a_terminal_outlives_the_agent(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program(
        tmp_path / "x-terminal-emulator", f'#!/bin/sh\necho $$ >{pid}.new\n'
        f"/bin/mv {pid}.new {pid}\nexec /bin/sleep 60\n",
    )  # fmt: skip
    agent = (
        "import asyncio, pathlib\n"
        "from ipsecwatch.agent.terminal_window import open_terminal\n"
        "async def main():\n"
        "    open_terminal('/t/a', 'a')\n"
        f"    while not pathlib.Path({str(pid)!r}).exists(): await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\n"
    )
    assert subprocess.run([sys.executable, "-c", agent], timeout=30, cwd=TOP).returncode == 0
    os.kill(int(pid.read_text()), signal.SIGKILL)  # it is still there
