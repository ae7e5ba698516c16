# SPDX-License-Identifier: MIT
"""Tests of completion in real shells: verbs, options, tunnels, states and words."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.main import parser_of
from ipsecwatch.cli.verbs import VERBS
from tests.support import shells
from tests.support.bus_service import serving
from tests.support.paths import TOP
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.dbus_daemon import PrivateBus
    from tests.support.shells import Shell

SCRIPTS = {
    "bash": "bash-completion/completions/ipsecwatch",
    "zsh": "zsh/site-functions/_ipsecwatch",
    "fish": "fish/vendor_completions.d/ipsecwatch.fish",
}
HOSTILE = "we$(touch${IFS}pwned)"


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("share")
    command = [sys.executable, f"{TOP}/packaging/completions", str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(TOP)})
    return folder


@pytest.fixture(params=SCRIPTS)
def shell(
    request: pytest.FixtureRequest,
    scripts: Path,
    system_bus: PrivateBus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shell]:
    """A shell of a user who has installed the command and its completions."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} isn't installed")
    command = tmp_path / "bin/ipsecwatch"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ipsecwatch "$@"\n')
    command.chmod(0o755)
    environment = {
        "PATH": f"{command.parent}:/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb",
        "LC_ALL": "C.UTF-8", "PYTHONPATH": str(TOP), "DBUS_SYSTEM_BUS_ADDRESS": system_bus.address,
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with shells.start(name, scripts / SCRIPTS[name], tmp_path, environment) as started:
        yield started
    assert not Path("pwned").exists()  # no name was run as a command


def test_verbs_options_and_words_are_those_that_there_are(shell: Shell) -> None:
    assert shell.offered("ipsecwatch ") - {"--help", "--version"} == set(VERBS)
    assert shell.offered("ipsecwatch sta") == {"status"}
    for verb in VERBS:
        flags = {flag for action in parser_of(verb)._actions for flag in action.option_strings}
        assert shell.offered(f"ipsecwatch {verb} -") | {"-h"} == flags | {"-h"}, verb
    assert shell.offered("ipsecwatch explain NO_PROPOSAL") == {"NO_PROPOSAL_CHOSEN"}
    assert {"stuck", "STATE_MAIN_I1"} <= shell.offered("ipsecwatch explain st") | shell.offered(
        "ipsecwatch explain STATE_MAIN_I"
    )
    assert shell.offered("ipsecwatch metrics --format ") == {"openmetrics", "prometheus"}
    assert shell.offered("ipsecwatch metrics --format=o") == {"--format=openmetrics"}
    assert shell.offered("ipsecwatch help moni") == {"monitor"}
    for typed, whole in (("st", "stuck"), ("down,st", "down,stuck")):  # zsh goes on with a comma
        offered = shell.offered(f"ipsecwatch status --state {typed}")
        assert {state.rstrip(",") for state in offered} == {whole}
    assert f"{TOP}/README.md" in shell.offered(f"ipsecwatch parse {TOP}/READ")


async def test_tunnels_are_those_that_the_service_knows_and_are_quoted(shell: Shell) -> None:
    async with serving() as service:
        await service.look(*(tunnel(n) for n in ("site-a", "site-b", "a:b", "rw[3]", HOSTILE)))
        offered = await asyncio.to_thread(shell.offered, "ipsecwatch status site-")
        colon = await asyncio.to_thread(shell.offered, "ipsecwatch status a:")
        every = await asyncio.to_thread(shell.offered, "ipsecwatch check ")
    assert offered == {"site-a", "site-b"}
    assert {name.replace("\\", "") for name in colon} == {"a:b"}
    assert {name.replace("\\", "") for name in every} >= {"rw[3]", HOSTILE}


def test_without_a_service_nothing_is_offered_and_nothing_is_said(shell: Shell) -> None:
    assert shell.offered("ipsecwatch check site") <= {"site"}
