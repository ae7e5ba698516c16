# SPDX-License-Identifier: MIT
"""Tests of the examples for other programs: each is run as it is."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.tunnel import Reason, TunnelState
from tests.support import raw_bus
from tests.support.bus_service import MANAGER, ROOT, serving
from tests.support.paths import TOP
from tests.support.raw_bus import SIGNAL, RawBus
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus

EXAMPLES = TOP / "packaging/examples"
UP, DOWN = TunnelState.UP, TunnelState.DOWN

pytestmark = pytest.mark.usefixtures("system_bus")


class Example:
    """A process of an example, and the lines that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(10.0):
            return (await self.process.stdout.readline()).decode().rstrip("\n")


@asynccontextmanager
async def running(*command: str) -> AsyncGenerator[Example]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TOP)},
        start_new_session=True,
    )
    try:
        yield Example(process)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
        await process.wait()
        # The event loop closes the pipe a little later.
        await asyncio.sleep(0.05)


async def test_the_python_subscriber_tells_all_changes_and_no_forged_ones() -> None:
    async with serving() as service:
        await service.look(tunnel("office", UP), tunnel("home"))
        async with running(sys.executable, str(EXAMPLES / "follow.py")) as example:
            assert [await example.line(), await example.line()] == ["office up", "home down"]
            with RawBus() as stranger:
                change = [ROOT, "office", "up", "down", "other", 1, 1, {}]
                fields = {"path": ROOT, "interface": MANAGER, "member": "TunnelStateChanged"}
                body = raw_bus.body("osssstta{sv}", *change)
                fields["signature"] = "osssstta{sv}"
                stranger.send(raw_bus.message(stranger.next(), fields, kind=SIGNAL, body=body))
            await service.become(tunnel("office", DOWN), reason=Reason.PEER_DEAD)
            await service.become(tunnel("office", UP))
            assert await example.line() == "office down peer-dead"
            assert await example.line() == "office up none"


async def test_the_python_subscriber_finds_a_service_that_was_started_again(
    system_bus: PrivateBus,
) -> None:
    async with running(sys.executable, str(EXAMPLES / "follow.py")) as example:
        for run in "run-1", "run-2":
            async with serving(run) as service:
                await service.look(tunnel("office", UP))
                while (line := await example.line()) != "office up":
                    assert line == "office down unloaded"
                await service.become(tunnel("office", DOWN), reason=Reason.PEER_DEAD)
                # It may have taken another snapshot meanwhile.
                while not (line := await example.line()).startswith("office down"):
                    assert line == "office up"
        system_bus.stop()
        assert await asyncio.wait_for(example.process.wait(), 10.0) != 0


async def test_the_shell_subscriber_runs_a_command_for_each_loss() -> None:
    for tool in ("gdbus", "busctl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} isn't installed")
    say = ["sh", "-c", 'echo "$TUNNEL $REASON"']
    async with (
        serving() as service,
        running("sh", str(EXAMPLES / "on-down.sh"), *say) as example,
    ):
        await service.look(tunnel("my office", UP), tunnel("it's $(home)", UP))
        await asyncio.sleep(1.0)  # gdbus says nothing when it listens
        await service.become(
            tunnel("my office", DOWN, reason=Reason.PEER_DEAD),
            tunnel("it's $(home)", DOWN, reason=Reason.OPERATOR),
        )
        assert await example.line() == "my office peer-dead"
        assert await example.line() == r"it\'s $(home) operator"
        await service.become(tunnel("my office", UP), tunnel("it's $(home)", UP))
        await service.become(gone=("it's $(home)",), reason=Reason.UNLOADED)
        assert (await example.line()).endswith(" unloaded")


@pytest.mark.parametrize("example", sorted(p for p in EXAMPLES.rglob("*") if p.is_file()))
def test_an_example_is_short(example: Path) -> None:
    lines = example.read_text().splitlines()
    assert len(lines) < 60  # a screen
    assert lines[1] == "# SPDX-License-Identifier: MIT"
