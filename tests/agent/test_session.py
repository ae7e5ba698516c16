# SPDX-License-Identifier: MIT
"""The agent on real buses: with a notification server on one, and a service on the other."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import delivery as outbox_module
from ipsecwatch.agent import session
from ipsecwatch.cli import agent as cli
from ipsecwatch.config import AgentSettings
from ipsecwatch.dbus.connection import connect
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.fake_events import Story
from tests.support.fake_notification_server import EXCESS, notification_server
from tests.support.paths import TOP
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from ipsecwatch.client.events import Event
    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call
    from tests.support.bus_service import Service
    from tests.support.dbus_daemon import PrivateBus

pytest.importorskip("desktop_notifier", reason="desktop-notifier isn't installed")

QUICK = AgentSettings(settle=0.1)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long in these tests."""
    monkeypatch.setattr(session, "RETRY", (0.1,))
    monkeypatch.setattr(outbox_module, "RETRY", (0.1,))


class Script:
    """Stands in for the client: says what the test says."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.closed = False

    def say(self, *events: Event) -> None:
        for event in events:
            self.events.put_nowait(event)

    async def follow(self) -> AsyncGenerator[Event]:
        try:
            while True:
                yield await self.events.get()
        finally:
            self.closed = True


class Running:
    """An agent at work in this process."""

    def __init__(self) -> None:
        self.script = Script()
        self.lines: list[str] = []
        self.task: asyncio.Task[int] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(
            session.run(QUICK, follow=self.script.follow, write=self.lines.append)
        )

    async def result(self) -> int:
        assert self.task is not None
        async with asyncio.timeout(10):
            return await self.task


@asynccontextmanager
async def running() -> AsyncGenerator[Running]:
    ours = Running()
    ours.start()
    try:
        yield ours
    finally:
        assert ours.task is not None
        ours.task.cancel()
        await asyncio.wait([ours.task])


def told(lines: list[str]) -> list[str]:
    """Without the time of day, and what to do about it."""
    return [line.split("  ", 1)[-1].split(":")[0] for line in lines]


@pytest.mark.usefixtures("session_bus")
async def test_what_happens_to_a_tunnel_stands_in_one_place_on_the_screen() -> None:
    story = Story()
    async with notification_server() as server, running() as ours:
        ours.script.say(story.look(site="down"))
        ours.script.say(story.become("site", "up"))
        await server.shows("site is up")
        ours.script.say(story.become("site", "down", "peer-dead"))
        await server.shows("site is down")
        ours.script.say(story.become("site", "stuck", "no-answer"))
        await server.shows("site is stuck")
        (shown,) = server.notices.values()
        assert shown.times == 3
        assert shown.hints["category"] == "network.error"
    assert ours.script.closed
    assert ours.lines == []


@pytest.mark.usefixtures("session_bus")
async def test_an_evil_name_is_shown_harmless() -> None:
    story = Story()
    names = ["<b>evil</b>\u202elive", "x" * 9000]
    async with notification_server() as server, running() as ours:
        ours.script.say(story.look())
        ours.script.say(*[story.become(name, "up") for name in names])
        await until(lambda: len(server.notices) == 2)
    for shown in server.notices.values():
        assert "\u202e" not in shown.title + shown.body
        assert "<" not in shown.title + shown.body
        assert len(shown.title) < 60
        assert len(shown.body) < 1000


@pytest.mark.usefixtures("session_bus")
async def test_without_a_server_the_terminal_is_told_until_there_is_one() -> None:
    story = Story()
    async with running() as ours:
        ours.script.say(story.look(site="down"), story.become("site", "up"))
        await until(lambda: told(ours.lines) == ["site is up"])
        async with notification_server() as server:
            await server.shows("site is up")
            ours.script.say(story.become("site", "down", "operator"))
            await server.shows("site is down")
        async with notification_server() as server:  # another one: its numbers start again
            server.stranger("You have mail")
            ours.script.say(story.become("site", "up"))
            await server.shows("You have mail", "site is up")
    assert told(ours.lines) == ["site is up"]


@pytest.mark.usefixtures("session_bus")
async def test_a_server_that_refuses_or_hangs_is_no_reason_to_be_silent_or_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ipsecwatch.agent.desktop.ANSWER_LIMIT", 0.2)
    story = Story()
    async with notification_server(refuses=EXCESS) as server, running() as ours:
        ours.script.say(story.look(site="down"), story.become("site", "up"))
        await until(lambda: told(ours.lines) == ["site is up"])
        server.refuses, server.hangs = "", True
        ours.script.say(story.become("site", "down", "operator"))
        await until(lambda: told(ours.lines) == ["site is up", "site is down"])
        server.hangs = False
        await server.shows("site is down")


async def test_a_session_bus_may_be_absent_come_and_be_started_again(
    session_bus: PrivateBus,
) -> None:
    session_bus.stop()
    story = Story()
    async with running() as ours:
        ours.script.say(story.look(site="down"), story.become("site", "up"))
        await until(lambda: told(ours.lines) == ["site is up"])
        for state in ("down", "up"):
            session_bus.start()
            async with notification_server() as server:
                await until_there()
                ours.script.say(story.become("site", state, "operator"))
                await server.shows(f"site is {state}")
            session_bus.stop()
            await asyncio.sleep(0.2)
    assert told(ours.lines) == ["site is up"]


async def is_there() -> bool:
    """Whether there is an agent on the session's bus."""
    connection = await connect("session")
    try:
        return bool((await connection.call_bus("NameHasOwner", "s", session.NAME)).body[0])
    finally:
        await connection.close()


async def until_there() -> None:
    async with asyncio.timeout(10):
        while not await is_there():  # noqa: ASYNC110 - a name on a bus has no Event
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("session_bus")
async def test_a_second_agent_leaves_it_to_the_first() -> None:
    story = Story()
    async with notification_server() as server, running() as first:
        first.script.say(story.look(site="down"))
        await until_there()
        async with running() as second:
            second.script.say(story.look(site="down"))
            assert await second.result() == 0
            assert second.lines == [
                "ipsecwatch: another agent runs in this session; leaving it to that one"
            ]
        first.script.say(story.become("site", "up"))
        await server.shows("site is up")


@pytest.mark.usefixtures("session_bus")
async def test_a_nameless_agent_minds_no_other() -> None:
    story, script = Story(), Script()
    async with notification_server() as server, running():
        await until_there()
        nameless = asyncio.create_task(
            session.work(QUICK, follow=script.follow, write=print, name="")
        )
        script.say(story.look(site="down"), story.become("site", "up"))
        await server.shows("site is up")
        nameless.cancel()
        await asyncio.wait([nameless])


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_well(number: signal.Signals) -> None:
    async with running() as ours:
        ours.script.say(Story().look(site="down"))
        await until_there()
        os.kill(os.getpid(), number)
        assert await ours.result() == 0
        assert not await is_there()
    assert ours.script.closed


@pytest.mark.usefixtures("session_bus")
async def test_without_the_library_for_it_the_terminal_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ipsecwatch.agent.desktop", None)
    story = Story()
    async with notification_server() as server, running() as ours:
        ours.script.say(story.look(site="down"), story.become("site", "up"))
        await until(lambda: told(ours.lines) == ["site is up"])
        assert server.calls == []
    assert (
        "Install the package ipsecwatch-agent, or: pip install 'ipsecwatch[agent]'" in caplog.text
    )


@pytest.mark.usefixtures("session_bus")
async def test_a_service_that_never_ran_is_logged_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with notification_server() as server, running() as ours:
        ours.script.say(Story().lost())
        await until(lambda: caplog.messages)
        assert caplog.messages == [
            "ipsecwatch isn't running. Start it with: systemctl start ipsecwatch"
        ]
        assert (server.titles(), ours.lines) == ([], [])


# --- The whole way, from the service's face on the system bus -------------------------------------


@asynccontextmanager
async def process(*arguments: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ipsecwatch", "agent", *arguments, cwd=TOP,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def end(started: asyncio.subprocess.Process, number: signal.Signals) -> tuple[str, str]:
    started.send_signal(number)
    async with asyncio.timeout(10):
        out, err = await started.communicate()
    assert started.returncode == 0
    return out.decode(), err.decode()


def snapshots(service: Service) -> list[str]:
    """Count who takes a snapshot of a service from now on."""
    connection = service.bus._connection
    assert connection is not None
    answer = connection.on_call
    assert answer is not None
    takers: list[str] = []

    def called(connection: BusConnection, call: Call) -> None:
        answer(connection, call)
        if call.member == "GetSnapshot":
            takers.append(call.sender)

    connection.on_call = called
    return takers


@pytest.mark.slow
@pytest.mark.usefixtures("session_bus")
async def test_from_the_service_to_the_screen_through_restarts_of_all(
    system_bus: PrivateBus, tmp_path: Path
) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text("settle = 0.5\n")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(notification_server())
        async with serving("run-1") as service:
            await service.look(tunnel("site"), tunnel("office", TunnelState.UP))
            takers = snapshots(service)
            ours = await stack.enter_async_context(process("--config", str(settings)))
            await until(lambda: takers)
            await service.become(tunnel("site", TunnelState.UP))
            await server.shows("site is up")
            deleted = tunnel("site", reason=Reason.PEER_DELETED)
            await service.become(deleted, reason=Reason.PEER_DELETED)
            await server.shows("site is down")
        async with serving("run-2") as service:  # the service starts again: nothing to be told
            await service.look(tunnel("site"), tunnel("office", TunnelState.UP))
            await asyncio.sleep(1.5)
            assert server.titles() == ["site is down"]
            assert [n.times for n in server.notices.values()] == [2]
        system_bus.stop()
        await asyncio.sleep(0.5)
        system_bus.start()
        async with serving("run-3") as service:  # what happened meanwhile is told once, together
            await service.look(tunnel("site", TunnelState.UP), tunnel("office"))
            await server.shows("1 tunnel is down, 1 up")
        assert await end(ours, signal.SIGTERM) == ("", "")


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.config/ipsecwatch/agent.toml"),
        (
            {"HOME": "/home/ann", "XDG_CONFIG_HOME": "/etc/ann"},
            "/etc/ann/ipsecwatch/agent.toml",
        ),
        (
            {"HOME": "/home/ann", "XDG_CONFIG_HOME": "relative"},
            "/home/ann/.config/ipsecwatch/agent.toml",
        ),
        ({}, "/.config/ipsecwatch/agent.toml"),
    ],
)
def test_settings_are_where_the_desktop_keeps_them(
    environment: dict[str, str], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cli._settings_file()) == file


@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_a_bad_settings_file_is_one_line_and_a_hint(tmp_path: Path) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text("up = 1\n")
    async with process("--config", str(settings)) as ours:
        out, err = await ours.communicate()
    assert ours.returncode == 2
    assert out == b""
    assert err.decode() == (
        f"ipsecwatch: {settings}:1: up must be true or false. "
        "Mend it, or remove it for the defaults\n"
    )


async def test_with_no_bus_at_all_it_waits_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/system")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with process() as ours:
        assert ours.stderr is not None
        lines = [(await ours.stderr.readline()).decode() for _ in range(2)]
        _, rest = await end(ours, signal.SIGINT)
    assert lines[0].startswith("ipsecwatch: no notifications on the desktop: the session bus")
    assert lines[1].startswith("ipsecwatch: the system bus")
    assert rest == ""
