# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch bar``, started as a status bar starts it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli import main
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

UP, DOWN = TunnelState.UP, TunnelState.DOWN


class Running:
    """A process of ``ipsecwatch bar``, started as a status bar starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode()[:-1]

    async def until(self, wanted: str) -> dict[str, Any]:
        while (told := json.loads(await self.line()))["alt"] != wanted:
            pass
        found: dict[str, Any] = told
        return found


@asynccontextmanager
async def running(*arguments: str) -> AsyncGenerator[Running]:
    run = [sys.executable, "-m", "ipsecwatch", "bar", *arguments]
    process = await asyncio.create_subprocess_exec(
        *run, stdout=asyncio.subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.usefixtures("system_bus")
async def test_it_goes_on_through_the_end_of_the_service_and_ends_with_its_reader() -> None:
    async with running("--format", "waybar") as bar:
        assert (await bar.until("lost"))["text"] == "VPN ?"
        for run in "run-1", "run-2":
            async with serving(run) as service:
                await service.look(tunnel("<b>", UP), tunnel("home", UP))
                assert (await bar.until("up"))["tooltip"] == "&lt;b&gt;: connected\nhome: connected"
                await service.become(tunnel("home", DOWN), reason=Reason.PEER_DEAD)
                assert (await bar.until("down"))["text"] == "VPN home down"
            await bar.until("lost")
        transport: Any = bar.process._transport  # type: ignore[attr-defined]
        transport.get_pipe_transport(1).close()
        assert await asyncio.wait_for(bar.process.wait(), 30) == 0


@pytest.mark.usefixtures("system_bus")
async def test_once_prints_a_line_and_quiet_prints_none_while_all_is_well() -> None:
    async with running("--once") as bar:
        assert await bar.line() == "? VPN ?"
        assert await bar.process.wait() == 0
    async with serving() as service, running("--quiet") as bar:
        await service.look(tunnel("office", UP))
        while await bar.line():
            pass
        await service.become(tunnel("office", DOWN), reason=Reason.PEER_DEAD)
        assert await bar.line() == "○ VPN office down"
        async with running("--once", "--format", "i3blocks") as block:
            assert json.loads(await block.line()) == {
                "full_text": "○ VPN office down", "markup": "none", "color": "#ff5f5f",
            }  # fmt: skip
        async with running("--once", "--format", "xmobar", "home") as other:
            assert await other.line() == "○ VPN off"


def test_it_is_refused_a_format_that_there_is_none_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["bar", "--format", "lemonbar"]) == 2
    assert "choose from" in capsys.readouterr().err
