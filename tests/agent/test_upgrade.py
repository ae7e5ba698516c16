# SPDX-License-Identifier: MIT
"""Tests of the agent's restart after an upgrade: when, and how with systemd and without."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ipsecwatch
from ipsecwatch import __version__
from ipsecwatch.agent import upgrade
from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path


OURS = "0.1.9"


@pytest.mark.parametrize(
    ("on_the_bus", "installed", "newer"),
    [
        (OURS, "99", ""),  # the service has our version
        ("", "99", ""),
        ("99.0", OURS, ""),  # the service's package was upgraded, ours wasn't
        ("99.0", "0.0.9", ""),  # a downgrade
        ("99.0", "99.0", "99.0"),
        ("99.0", "0.1.10", "0.1.10"),  # versions are compared as numbers
        ("evil\x1b[2J", "99.1", "99.1"),  # the version on the bus alone decides nothing
        ("99.0", "", ""),
    ],
)
def test_only_a_newer_one_that_is_installed_is_a_reason(
    on_the_bus: str, installed: str, newer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "__version__", OURS)
    monkeypatch.setattr(upgrade, "installed_version", lambda: installed)
    assert upgrade.newer_version(on_the_bus) == newer


def test_the_installed_version_is_read_from_the_package_that_lies_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert upgrade.installed_version() == __version__
    module = tmp_path / "__init__.py"
    monkeypatch.setattr(ipsecwatch, "__file__", str(module))
    assert upgrade.installed_version() == ""  # it was removed
    for text, found in (('__version__ = "1.2.3"\n', "1.2.3"), ("import os\n", ""), ("\xff", "")):
        module.write_text(text, encoding="latin-1")
        assert upgrade.installed_version() == found


PROGRAM = """#!{python}
import os, sys
sys.path.insert(0, {top!r})
if os.environ.get("TURN") == "2":
    print("second", sys.argv[1:], os.getpid())
    sys.exit(0)
os.environ["TURN"] = "2"
if "--systemd" in sys.argv:
    os.environ["SYSTEMD_EXEC_PID"] = str(os.getpid())
from ipsecwatch.agent import upgrade
print("first", os.getpid(), flush=True)
sys.exit(upgrade.restart())
"""


@pytest.mark.parametrize("as_module", [False, True])
def test_without_systemd_it_becomes_the_installed_program(as_module: bool, tmp_path: Path) -> None:
    program = tmp_path / ("module.py" if as_module else "program")
    program.write_text(PROGRAM.format(python=sys.executable, top=str(TOP)))
    if not as_module:
        program.chmod(0o755)
    start = [sys.executable, "-m", "module"] if as_module else [str(program)]
    done = subprocess.run(
        [*start, "agent", "--config", "x"], cwd=tmp_path, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if k != "SYSTEMD_EXEC_PID"}, check=True,
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    pid = first.split()[1]
    assert second == f"second ['agent', '--config', 'x'] {pid}"


def test_under_systemd_it_ends_with_the_code_that_the_unit_restarts(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(PROGRAM.format(python=sys.executable, top=str(TOP)))
    program.chmod(0o755)
    done = subprocess.run([str(program), "--systemd"], capture_output=True, text=True, check=False)
    assert done.returncode == upgrade.EXIT_RESTART
    assert done.stdout.count("\n") == 1
    unit = (TOP / "systemd/ipsecwatch-agent.service").read_text(encoding="utf-8")
    forced = re.findall(r"^RestartForceExitStatus=(.*)$", unit, re.MULTILINE)
    prevented = re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.MULTILINE)
    assert (forced, prevented) == ([str(upgrade.EXIT_RESTART)], ["2"])
