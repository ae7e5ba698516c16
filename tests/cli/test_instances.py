# SPDX-License-Identifier: MIT
"""Tests of several plutos on a machine, with a daemon for each, and of verbs for one of them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from ipsecwatch.recording.fake_pluto import FakePluto
from tests.support.bus_service import serving
from tests.support.recordings import ROOT, statuses
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout
COMMAND = (sys.executable, "-m", "ipsecwatch")


@asynccontextmanager
async def started(*arguments: str | Path, **env: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class Tenant:
    """A fake pluto, its daemon, and a `monitor --instance` that follows that daemon."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.says = DOWN
        self.lines: list[dict[str, object]] = []
        self.folder = folder / name
        self.folder.mkdir()

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        settings = self.folder / "settings.toml"
        socket = str(self.folder / "pluto.ctl")
        settings.write_text(f'control_socket = "{socket}"\ninterval = 1\nfast_interval = 0.2\n')
        daemon = ("daemon", "--instance", self.name, "--config", settings)
        async with (
            FakePluto(socket, lambda _: self.says, lambda: 0.0),
            started(*daemon, RUNTIME_DIRECTORY=str(self.folder)),
            started("monitor", "--instance", self.name, "--json") as monitor,
        ):
            reading = asyncio.create_task(self._read(monitor))
            try:
                yield
            finally:
                reading.cancel()
                await asyncio.wait([reading])

    async def _read(self, monitor: asyncio.subprocess.Process) -> None:
        assert monitor.stdout is not None
        async for line in monitor.stdout:
            self.lines.append(json.loads(line))

    def told(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.mark.usefixtures("system_bus")
async def test_each_of_two_daemons_is_watched_by_a_monitor_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tenants = [Tenant(name, tmp_path) for name in ("acme", "tenant-2")]
    async with AsyncExitStack() as stack:
        for tenant in tenants:
            await stack.enter_async_context(tenant.watched())
        for tenant in tenants:
            await until(lambda t=tenant: t.told("snapshot"))  # type: ignore[misc]
            assert tenant.told("snapshot")[0]["tunnels"] == {"site": "down"}
        runs = {t.told("snapshot")[0]["run_id"] for t in tenants}
        assert len(runs) == 2
        for n, tenant in enumerate(tenants):
            assert not tenant.told("transition")
            tenant.says = UP
            await until(lambda t=tenant: t.told("transition"))  # type: ignore[misc]
            [change] = tenant.told("transition")
            assert (change["tunnel"], change["old"], change["new"]) == ("site", "down", "up")
            assert len(tenants[0].told("transition")) == 1, f"{n}: the other one's is not ours"
        for tenant in tenants:
            asked = ["status", "--instance", tenant.name, "--json", "site"]
            assert await asyncio.to_thread(main.run, asked) == 0
            assert json.loads(capsys.readouterr().out)["source"] == "service"
            await until(lambda t=tenant: (t.folder / "state.json").exists())  # type: ignore[misc]


@pytest.mark.usefixtures("system_bus")
async def test_two_daemons_of_one_socket_are_one_line_and_are_not_started_again(
    tmp_path: Path,
) -> None:
    settings = tmp_path / "settings.toml"
    socket = tmp_path / "pluto.ctl"
    settings.write_text(f'control_socket = "{socket}"\n')
    command = (*COMMAND, "daemon", "--instance", "second", "--config", settings)
    async with serving("run-1", "first", str(socket)):
        daemon = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        err = (await asyncio.wait_for(daemon.communicate(), 60))[1].decode()
    assert daemon.returncode == 2  # the unit's RestartPreventExitStatus=
    assert err.splitlines()[-1] == (
        f"ipsecwatch: org.ipsecwatch1.first watches the pluto at {socket} already. "
        "Set a different control_socket for each service"
    )
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("verb", "code"), [("daemon", 2), ("status", 2), ("monitor", 2), ("explain", 2), ("check", 3)]
)
def test_a_name_that_no_instance_can_have_is_one_line_and_a_hint(
    verb: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([verb, "--instance", "tenant/1\x1b[2J"]) == code
    [line] = capsys.readouterr().err.splitlines()
    assert "tenant/1\\x1b[2J can't be the name of an instance (letters, " in line
    assert line.endswith(f"See: ipsecwatch {verb} --help")


def test_an_instance_without_settings_would_watch_the_pluto_of_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["daemon", "--instance", "nobody-s"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "there is no /etc/ipsecwatch/instances/nobody-s.toml" in line
    assert "control_socket = " in line


@pytest.mark.usefixtures("system_bus")
async def test_explain_tells_of_a_tunnel_of_an_instance(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving("run-1", "acme") as service:
        await service.look(tunnel("up"))
        asked = ["explain", "--instance", "acme"]
        assert await asyncio.to_thread(main.run, [*asked, "up"]) == 0
        told = capsys.readouterr().out
        assert told.split()[1] == "up"
        assert "is           down" in told
        assert await asyncio.to_thread(main.run, [*asked, "upp"]) == 3
        assert "Did you mean up?" in capsys.readouterr().err


@pytest.mark.usefixtures("system_bus")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["status", "--names"], "up\n"),
        (["who"], "Nobody is connected.\n"),
        (["wait", "up", "--for", "down"], ""),
        (["metrics"], "# HELP "),
        (["check"], "IPSEC OK - 1 tunnel: 1 down"),
    ],
    ids=["status", "who", "wait", "metrics", "check"],
)
async def test_a_verb_asks_the_instance_that_is_named_and_no_other(
    asked: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving("run-1", "acme") as service:
        await service.look(tunnel("up"))
        assert await asyncio.to_thread(main.run, [*asked, "--instance", "acme"]) == 0
        assert capsys.readouterr().out.startswith(said)
        if os.getuid() != 0:  # root asks pluto where there is no service
            assert await asyncio.to_thread(main.run, asked) == 3
