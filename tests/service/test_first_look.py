# SPDX-License-Identifier: MIT
"""Tests of what clients are told while the service starts; subscribers must miss no tunnel."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import client
from ipsecwatch.config import Settings
from ipsecwatch.recording.fake_pluto import FakePluto, Said, Silence
from ipsecwatch.report import PlutoState
from ipsecwatch.service import daemon
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.state_file import StateFile
from tests.support.bad_pluto import BadPluto
from tests.support.paths import TESTS, TOP
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout

pytestmark = pytest.mark.usefixtures("system_bus")


def settings(folder: Path) -> Settings:
    return Settings(
        control_socket=str(folder / "pluto.ctl"), interval=0.2, fast_interval=0.1, timeout=10.0
    )


@contextlib.asynccontextmanager
async def running(folder: Path, kept: StateFile | None = None) -> AsyncIterator[Service]:
    """Run a service in this process while the context lasts."""
    service = Service(settings(folder), Sender(None, io.StringIO()), kept=kept)
    task = asyncio.create_task(service.run())
    try:
        yield service
    finally:
        service.stop()
        await task


def playing(folder: Path, says: list[Said]) -> FakePluto:
    """Return a fake pluto that answers with the first item of a list, which the test may change."""
    return FakePluto(str(folder / "pluto.ctl"), lambda _: says[0], lambda: 0.0)


def following() -> contextlib.AbstractAsyncContextManager[AsyncIterator[client.Event]]:
    return contextlib.aclosing(client.follow())


def test_the_first_look_is_over_within_five_seconds() -> None:
    assert daemon.FIRST_LOOK < 5


async def test_nobody_is_told_of_no_tunnels_before_pluto_has_answered(tmp_path: Path) -> None:
    pluto = BadPluto(tmp_path / "pluto.ctl", "slow", text=UP, pause=0.8)
    refused, seen = 0, None
    with pluto:
        async with running(tmp_path):
            while seen is None:
                try:
                    seen = await client.snapshot()
                except client.ServiceUnavailableError:
                    refused += 1
                    await asyncio.sleep(0.05)
    assert refused > 3
    assert seen.pluto_state is PlutoState.RUNNING
    assert [v.name for v in seen.tunnels.values()] == ["site"]


async def test_a_pluto_that_does_not_answer_is_unreachable_and_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "FIRST_LOOK", 0.3)
    says: list[Said] = [Silence.HANGING]
    async with playing(tmp_path, says), running(tmp_path), following() as events:
        told = await first_snapshot(events)
        assert told.pluto_state is PlutoState.UNREACHABLE
        assert not told.tunnels
        says[0] = UP
        event = await anext(events)
        while not isinstance(event, client.Update):
            assert isinstance(event, client.Pluto), "a first look is no transition"
            event = await anext(events)
        assert event.view is not None
        assert (event.view.name, event.view.state.value) == ("site", "up")


async def test_after_a_stopped_pluto_tunnels_come_from_down(tmp_path: Path) -> None:
    says: list[Said] = [Silence.STOPPED]
    async with playing(tmp_path, says), running(tmp_path), following() as events:
        assert (await first_snapshot(events)).pluto_state is PlutoState.STOPPED
        says[0] = UP
        while not isinstance(event := await anext(events), client.Change):
            pass
        assert (event.old.value, event.new.value, event.serial) == ("down", "up", 1)


@pytest.mark.parametrize("silence", [Silence.HANGING, Silence.STOPPED])
async def test_what_is_restored_and_not_known_yet_is_shown_as_unknown_without_a_transition(
    tmp_path: Path, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "FIRST_LOOK", 0.3)
    says: list[Said] = [UP]
    async with playing(tmp_path, says):
        async with running(tmp_path, StateFile(tmp_path)):
            await until(lambda: (tmp_path / "state.json").exists())
        says[0] = silence
        async with running(tmp_path, StateFile(tmp_path)), following() as events:
            told = await first_snapshot(events)
    (view,) = told.tunnels.values()
    assert (view.state.value, view.last_state.value) == ("unknown", "up")
    assert told.serial == 0


async def first_snapshot(events: AsyncIterator[client.Event]) -> client.Snapshot:
    while not isinstance(event := await anext(events), client.Snapshot):
        pass
    return event


# --- The recipe of docs/dbus.md ----------------------------------------------------------------

LIBRARIES = {"with_dbus_fast": "dbus_fast", "with_glib": "gi", "with_jeepney": "jeepney"}


class Subscriber:
    """A program of support/recipes; ``knows`` is what it printed last."""

    def __init__(self) -> None:
        self.knows: dict[str, str] | None = None
        self.lines = 0

    async def read(self, program: str) -> None:
        script = TESTS / f"support/recipes/{program}.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), cwd=TOP, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                self.knows = json.loads(line)
                self.lines += 1
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.parametrize("first", ["quick", "slow", "hung", "stopped"])
async def test_every_subscriber_learns_of_every_tunnel_over_five_restarts(
    tmp_path: Path, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := [m for m in LIBRARIES.values() if importlib.util.find_spec(m) is None]:
        pytest.skip(f"{missing} isn't installed")
    monkeypatch.setattr(daemon, "FIRST_LOOK", 0.4)
    subscribers = {program: Subscriber() for program in LIBRARIES}
    reading = [asyncio.create_task(s.read(program)) for program, s in subscribers.items()]
    socket = tmp_path / "pluto.ctl"
    try:
        for _ in range(5):
            socket.unlink(missing_ok=True)
            with contextlib.ExitStack() as pluto:
                if first == "slow":
                    pluto.enter_context(BadPluto(socket, "slow", text=UP, pause=0.8))
                elif first == "quick":
                    pluto.enter_context(BadPluto(socket, text=UP))
                elif first == "hung":
                    hung = pluto.enter_context(BadPluto(socket, text=UP))
                    hung.hang()
                async with running(tmp_path):
                    if first == "hung":
                        await asyncio.sleep(0.8)
                        hung.go_on()
                    elif first == "stopped":
                        await asyncio.sleep(0.8)
                        pluto.enter_context(BadPluto(socket, text=UP))
                    await until(
                        lambda: all(s.knows == {"site": "up"} for s in subscribers.values())
                    )
            await until(lambda: all(s.knows is None or not s.knows for s in subscribers.values()))
    finally:
        for task in reading:
            task.cancel()
        await asyncio.wait(reading)
    assert all(s.lines >= 10 for s in subscribers.values())
