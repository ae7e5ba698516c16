# SPDX-License-Identifier: MIT
"""Which terminal is taken, and that a name is one argument of what runs in it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import terminal_window

if TYPE_CHECKING:
    from pathlib import Path

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
    await terminal_window.open_terminal(path, name)
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
    await terminal_window.open_terminal("/t/a", "a")
    assert seen.read_text().startswith(f"--user --collect --quiet -- {terminal} -e ")
