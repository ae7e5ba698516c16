# SPDX-License-Identifier: MIT
"""Tests of the agent on real buses: with a fake notification server, and with a service.

Each defect that was seen on real desktops has a test here, or in test_policy.py if it shows without
a notification server.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import __version__
from ipsecwatch.agent import delivery, mutes, policy, session, tunnel_notification, upgrade
from ipsecwatch.agent.session import World
from ipsecwatch.config import AgentSettings, agent_file
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import ErrorReplyError
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.fake_events import Story
from tests.support.fake_notification_server import EXCESS, MODELS, notification_server
from tests.support.paths import TOP
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from ipsecwatch.client.events import Event
    from tests.support.dbus_daemon import PrivateBus
    from tests.support.fake_notification_server import Server

pytest.importorskip("desktop_notifier", reason="desktop-notifier isn't installed")

QUICK = AgentSettings(settle=0.1)
EVIL = "<b>evil</b> & <img src=x>"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shorten all waits, and keep the agent's files in the test's own folder."""
    monkeypatch.setattr(session, "RETRY", (0.1,))
    monkeypatch.setattr(delivery, "RETRY", (0.1,))
    monkeypatch.setattr(tunnel_notification, "GATHER", 0.05)
    monkeypatch.setattr(policy, "GRACE", 0.2)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


class Script:
    """A fake client of the service: it yields the events that a test says."""

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
    """An agent that runs in this process, with a Script as its client."""

    def __init__(self, file: Path) -> None:
        self.script = Script()
        self.unshown: list[str] = []
        self.lines: list[str] = []
        self.world = World(
            follow=self.script.follow,
            watches=(),
            unshown=lambda notification: self.unshown.append(notification.title),
            write=self.lines.append,
        )
        self.task = asyncio.create_task(session.run(file, self.world))

    async def result(self) -> int:
        async with asyncio.timeout(10):
            return await self.task

    async def end(self) -> None:
        """End the agent as systemd does, with SIGTERM."""
        os.kill(os.getpid(), signal.SIGTERM)
        assert await self.result() == 0

    async def die(self) -> None:
        """End the agent as SIGKILL does: it does nothing at its end."""
        agent_end = session.Agent.end
        session.Agent.end = _nothing  # type: ignore[method-assign, assignment]
        self.task.cancel()
        await asyncio.wait([self.task])
        session.Agent.end = agent_end  # type: ignore[method-assign]


def damage(folder: Path) -> None:
    """Overwrite the file that an agent left, so that it is no valid JSON."""
    (file,) = folder.glob("ipsecwatch/*.json")
    file.write_text("{")


def was_closed(folder: Path) -> bool:
    """Return whether an agent saved that a user closed a notification."""
    (file,) = folder.glob("ipsecwatch/*.json")
    return bool(json.loads(file.read_text())["closed"])


async def _nothing(_: object) -> None:
    """Return at once: in place of an agent's end."""


@asynccontextmanager
async def running(folder: Path, text: str = "settle = 0.1") -> AsyncGenerator[Running]:
    file = folder / "agent.toml"
    if not file.exists():
        file.write_text(text)
    ours = Running(file)
    try:
        yield ours
    finally:
        ours.task.cancel()
        await asyncio.wait([ours.task])


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize("model", MODELS)
async def test_on_every_server_the_screen_never_contradicts(model: str, tmp_path: Path) -> None:
    story = Story()
    async with notification_server(model=MODELS[model]) as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(site="up", office="stuck"))
            await server.shows("VPN office can't connect")
            server.time_passes()
            ours.script.say(story.become("site", "down", "peer-dead"))
            await server.shows("VPN office can't connect", "VPN site is down")
            # A changed reason changes the text, without attracting attention.
            ours.script.say(story.become("office", "stuck", "authentication"))
            await until(lambda: "certificate" in next(iter(server.notifications.values())).body)
            first, second = server.notifications.values()
            tags = "x-dunst-stack-tag" in MODELS[model].capabilities
            low = 1 if tags else 0  # dunst and mako have colours for "low" that are hard to read
            assert (first.times, first.hints["urgency"], second.hints["urgency"]) == (2, low, 1)
            ours.script.say(story.become("site", "up"))
            await server.shows("VPN office can't connect", "VPN site is back")
            assert server.most <= 3
            began = time.monotonic()
            await ours.end()
            assert time.monotonic() - began < 1
        await server.shows()
        assert ours.script.closed


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize("model", MODELS)
async def test_on_every_server_a_hostile_name_is_literal(model: str, tmp_path: Path) -> None:
    story = Story()
    async with notification_server(model=MODELS[model]) as server, running(tmp_path) as ours:
        ours.script.say(story.look(**{EVIL: "stuck", "&lt;i&gt; \u202elive": "stuck"}))
        await until(lambda: len(server.notifications) == 2)
        for shown in server.notifications.values():
            title, body = server.read(shown)
            assert "[" not in title + body
            assert "\u202e" not in title + body
            assert "<" not in shown.title
        assert server.titles()[0].startswith("VPN ‹b›evil")


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize("model", ["dunst 1.9", "gnome-shell 43"])
async def test_a_killed_agents_notices_are_taken_over(model: str, tmp_path: Path) -> None:
    story = Story()
    async with notification_server(model=MODELS[model]) as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck", b="stuck"))
            await server.shows("VPN a can't connect", "VPN b can't connect")
            await ours.die()
        assert len(server.notifications) == 2
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck", b="up"))
            await server.shows("VPN a can't connect")
            await until(lambda: [n.times for n in server.notifications.values()] == [2])
            await asyncio.sleep(0.3)
            (shown,) = server.notifications.values()
            # It is sent again, quietly, in case the server has removed it when the old agent ended.
            assert shown.times == 2
            assert (shown.hints["urgency"] == 0) == ("stack" not in str(shown.hints))


@pytest.mark.usefixtures("session_bus")
async def test_what_a_server_took_away_with_a_killed_agent_is_there_again(tmp_path: Path) -> None:
    story = Story()
    async with notification_server(model=MODELS["gnome-shell 43"]) as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck"))
            await server.shows("VPN a can't connect")
            await ours.die()
        server.notifications.clear()  # as GNOME does with what an installed program has shown
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck"))
            await server.shows("VPN a can't connect")


@pytest.mark.usefixtures("session_bus")
async def test_where_nothing_is_left_a_stack_tag_replaces(tmp_path: Path) -> None:
    story = Story()
    async with notification_server(model=MODELS["dunst 1.9"]) as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck"))
            await server.shows("VPN a can't connect")
            await ours.die()
        damage(tmp_path)
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="up"), story.become("a", "down", "peer-dead"))
            await server.shows("VPN a is down")


@pytest.mark.usefixtures("session_bus")
async def test_what_the_user_closed_stays_closed_also_for_the_next_agent(tmp_path: Path) -> None:
    story = Story()
    async with notification_server() as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck", b="up"))
            await server.shows("VPN a can't connect")
            server.dismiss("VPN a can't connect")
            ours.script.say(story.become("a", "stuck", "authentication"))
            await asyncio.sleep(0.3)
            assert server.titles() == []
            await ours.end()
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck", b="stuck"))
            await server.shows("VPN b can't connect")


@pytest.mark.usefixtures("session_bus")
async def test_foreign_and_false_signals_close_nothing(tmp_path: Path) -> None:
    story = Story()
    async with notification_server() as server, running(tmp_path) as ours:
        mail = server.stranger("You have mail")
        ours.script.say(story.look(a="stuck"))
        await server.shows("You have mail", "VPN a can't connect")
        (number,) = [n.id for n in server.notifications.values() if n.app == "VPN"]
        server.says_closed(mail, 2)
        server.says_closed(4711, 2)
        stranger = await connect("session")
        name, place = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
        stranger.signal(place, name, "NotificationClosed", "uu", [number, 2])
        stranger.signal(place, name, "ActionInvoked", "us", [number, "default"])
        await stranger.flush(1)
        await stranger.close()
        ours.script.say(story.become("a", "stuck", "authentication"))
        await until(lambda: server.notifications[number].times == 2)


@pytest.mark.usefixtures("session_bus")
async def test_a_server_that_comes_late_or_anew_gets_what_is_true_then(tmp_path: Path) -> None:
    story = Story()
    async with running(tmp_path) as ours:
        ours.script.say(story.look(site="stuck", office="up"))
        await until(lambda: ours.unshown == ["VPN site can't connect"])
        async with notification_server() as server:
            await server.shows("VPN site can't connect", within=2)
        ours.script.say(story.become("office", "down", "peer-dead"))
        await until(lambda: ours.unshown[1:] == ["VPN office is down"])
        ours.script.say(story.become("site", "up"))
        async with notification_server() as server:
            server.stranger("You have mail")  # it gets the number that our notification had
            await until(lambda: "VPN office is down" in server.titles(), 2)
            await until(lambda: "VPN site can't connect" not in server.titles(), 2)
            assert "You have mail" in server.titles()


@pytest.mark.usefixtures("session_bus")
async def test_a_server_that_refuses_or_hangs_is_no_reason_to_be_silent_or_to_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ipsecwatch.agent.desktop.ANSWER_LIMIT", 0.2)
    story = Story()
    async with notification_server(refuses=EXCESS) as server, running(tmp_path) as ours:
        ours.script.say(story.look(site="stuck"))
        await until(lambda: ours.unshown == ["VPN site can't connect"])
        server.refuses, server.hangs = "", True
        ours.script.say(story.become("site", "down", "peer-dead"))
        await until(lambda: ours.unshown[1:] == ["VPN site is down"])
        server.hangs = False
        await server.shows("VPN site is down")
        server.hangs = True
        began = time.monotonic()
        await ours.end()
        assert time.monotonic() - began < 1


async def test_a_session_bus_may_be_absent_come_and_be_started_again(
    session_bus: PrivateBus, tmp_path: Path
) -> None:
    session_bus.stop()
    story = Story()
    async with running(tmp_path) as ours:
        ours.script.say(story.look(site="stuck"))
        await until(lambda: ours.unshown == ["VPN site can't connect"])
        for _ in range(2):
            session_bus.start()
            async with notification_server() as server:
                await server.shows("VPN site can't connect")
            session_bus.stop()
            await asyncio.sleep(0.2)


async def is_there() -> bool:
    """Return whether an agent runs on the session bus."""
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
async def test_a_second_agent_leaves_it_to_the_first(tmp_path: Path) -> None:
    story = Story()
    async with notification_server() as server, running(tmp_path) as first:
        first.script.say(story.look(site="stuck"))
        await server.shows("VPN site can't connect")
        async with running(tmp_path) as second:
            second.script.say(story.look(site="down"))
            assert await second.result() == 0
            assert second.lines == [
                "ipsecwatch: another agent already runs in this session, so this one ends"
            ]
        assert server.titles() == ["VPN site can't connect"]


@pytest.mark.usefixtures("session_bus")
async def test_a_nameless_agent_minds_no_other(tmp_path: Path) -> None:
    story, script = Story(), Script()
    async with notification_server() as server, running(tmp_path):
        await until_there()
        world = World(follow=script.follow, watches=(), name="")
        nameless = asyncio.create_task(session.work(QUICK, world))
        script.say(story.look(site="down"), story.become("site", "up"))
        await server.shows("VPN site is connected")
        nameless.cancel()
        await asyncio.wait([nameless])
        await server.shows()


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_well(number: signal.Signals, tmp_path: Path) -> None:
    async with running(tmp_path) as ours:
        ours.script.say(Story().look(site="down"))
        await until_there()
        os.kill(os.getpid(), number)
        assert await ours.result() == 0
        assert not await is_there()
    assert ours.script.closed


@pytest.mark.usefixtures("session_bus")
async def test_without_the_library_for_it_the_terminal_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ipsecwatch.agent.desktop", None)
    async with notification_server() as server, running(tmp_path) as ours:
        ours.script.say(Story().look(site="stuck"))
        await until(lambda: ours.unshown == ["VPN site can't connect"])
        assert server.calls == []
    assert (
        "Install the package ipsecwatch-agent, or: pip install 'ipsecwatch[agent]'" in caplog.text
    )


# --- Settings -------------------------------------------------------------------------------------

MISTAKE = "VPN notifications: mistake in the settings"


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("setle = 3", "agent.toml:1: unknown setting 'setle'"),
        ("settle = 3s", "agent.toml:1: "),
        ("settle = 900", "agent.toml:1: settle must be from 0.0 to 60.0"),
        ('\nignore = "lab-*"', "agent.toml:2: ignore must be a list of strings"),
        ("[lab]", "agent.toml:1: unknown setting 'lab'"),
        ('[tunnels."lab-*"]\nup = true\nsetle = 3', "agent.toml:3: unknown setting 'setle'"),
        ("up = '<b>\x1b[2J'", "agent.toml:1: "),
    ],
)
async def test_a_mistake_is_on_the_screen_and_the_agent_goes_on(
    text: str, said: str, tmp_path: Path
) -> None:
    story = Story()
    async with notification_server() as server, running(tmp_path, text) as ours:
        await server.shows(MISTAKE)
        (shown,) = server.notifications.values()
        assert shown.body.startswith(said)
        ours.script.say(story.look(site="stuck"))
        await server.shows(MISTAKE, "VPN site can't connect")
        (tmp_path / "agent.toml").write_text('ignore = ["si*"]')  # heard by inotify
        await server.shows()


@pytest.mark.usefixtures("session_bus")
async def test_sighup_rereads_the_settings_and_a_mistake_keeps_the_last_good_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ipsecwatch.agent.settings_watch.Inotify", _no_inotify)
    file = tmp_path / "agent.toml"
    async with notification_server() as server, running(tmp_path, 'ignore = ["lab"]') as ours:
        ours.script.say(Story().look(lab="stuck", site="stuck"))
        await server.shows("VPN site can't connect")
        file.write_text("ignore = 1")
        os.kill(os.getpid(), signal.SIGHUP)
        await server.shows("VPN site can't connect", MISTAKE)
        assert "agent.toml:1: ignore must be a list of strings" in caplog.text
        file.write_text("")
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: "VPN lab can't connect" in server.titles())
        assert MISTAKE not in server.titles()


def _no_inotify() -> None:
    raise OSError("no inotify")


@pytest.mark.usefixtures("session_bus")
async def test_a_folder_a_pipe_and_a_device_are_no_settings(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.mkdir()
    async with notification_server() as server, running(tmp_path):
        await server.shows(MISTAKE)
        file.rmdir()
        os.mkfifo(file)
        await until(
            lambda: "it isn't a regular file" in next(iter(server.notifications.values())).body
        )
        file.unlink()
        file.symlink_to("/dev/zero")
        await asyncio.sleep(0.4)
        assert server.titles() == [MISTAKE]
        file.unlink()
        await server.shows()


# --- Upgrades -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("session_bus")
async def test_after_an_upgrade_it_ends_once_for_the_newer_one_and_leaves_the_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "installed_version", lambda: "99.1")
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))
    story = Story()
    async with notification_server() as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(a="stuck", b="stuck"))
            await server.shows("VPN a can't connect", "VPN b can't connect")
            server.dismiss("VPN b can't connect")
            await until(lambda: was_closed(tmp_path))
            ours.script.say(replace(story.snapshot(), version="99.1"))
            assert await ours.result() == upgrade.EXIT_RESTART
        assert server.titles() == ["VPN a can't connect"]
        async with running(tmp_path) as ours:
            ours.script.say(replace(story.snapshot(), version="99.1"))
            await asyncio.sleep(0.5)
            assert not ours.task.done()
            assert server.titles() == ["VPN a can't connect"]
            assert server.most == 2


# --- The whole way, from the service's face on the system bus -------------------------------------


@asynccontextmanager
async def process(*arguments: str, cwd: Path = TOP) -> AsyncGenerator[asyncio.subprocess.Process]:
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ipsecwatch", "agent", *arguments, cwd=cwd,
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


@pytest.mark.slow
@pytest.mark.usefixtures("session_bus", "system_bus")
async def test_from_the_service_to_the_screen_and_after_kill_9(tmp_path: Path) -> None:
    settings = tmp_path / "agent.toml"
    settings.write_text("settle = 0.5\n")
    async with notification_server() as server, serving() as service:
        await service.look(tunnel("site"), tunnel("office", TunnelState.UP))
        async with process("--config", str(settings)) as ours:
            await until_there()
            await asyncio.sleep(1)
            await service.become(tunnel("site", TunnelState.UP))
            await server.shows("VPN site is connected")
            await asyncio.sleep(0.5)  # until the agent has saved that
            ours.kill()
        assert server.titles() == ["VPN site is connected"]
        deleted = tunnel("site", reason=Reason.PEER_DELETED)
        await service.become(deleted, reason=Reason.PEER_DELETED)
        async with process("--config", str(settings)) as ours:
            await until_there()
            settings.write_text("setle = 1")
            ours.send_signal(signal.SIGHUP)
            await until(lambda: MISTAKE in server.titles())
            _, said = await end(ours, signal.SIGTERM)
            assert "agent.toml:1: unknown setting 'setle'" in said
            assert "Traceback" not in said
        await server.shows()


@pytest.mark.slow
@pytest.mark.usefixtures("session_bus", "system_bus")
async def test_an_old_agent_becomes_the_newer_one_that_was_installed(tmp_path: Path) -> None:
    await asyncio.to_thread(shutil.copytree, TOP / "ipsecwatch", tmp_path / "ipsecwatch")
    init = tmp_path / "ipsecwatch/__init__.py"
    newer = init.read_text()
    init.write_text(newer.replace(f'"{__version__}"', '"0.0.1"'))
    async with process("--config", str(tmp_path / "agent.toml"), cwd=tmp_path) as ours:
        await until_there()
        init.write_text(newer)
        first = await owner()
        async with serving() as service:
            await service.look(tunnel("site"))
            async with asyncio.timeout(20):
                while await owner() in ("", first):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            second = await owner()
            assert ours.returncode is None
            await asyncio.sleep(0.5)
            assert await owner() == second  # once
        _, said = await end(ours, signal.SIGTERM)
    assert f"ipsecwatch {__version__} is installed, this is 0.0.1" in said


async def owner() -> str:
    """Return the agent's unique name on the session bus; "" if there is none."""
    connection = await connect("session")
    try:
        return str((await connection.call_bus("GetNameOwner", "s", session.NAME)).body[0])
    except ErrorReplyError:
        return ""
    finally:
        await connection.close()


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
    assert str(agent_file()) == file


async def test_with_no_bus_at_all_it_waits_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/system")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    async with process() as ours:
        assert ours.stderr is not None
        lines = [(await ours.stderr.readline()).decode() for _ in range(2)]
        _, rest = await end(ours, signal.SIGINT)
    assert lines[0].startswith("ipsecwatch: no notifications on the desktop: the session bus")
    assert "the system bus can't be reached" in lines[1]
    assert "Traceback" not in rest


STUCK = "VPN site can't connect"


async def press(server: Server, title: str, label: str) -> None:
    """Wait until the notification is shown, wait a moment more, and press the button."""
    await server.shows(title)
    await asyncio.sleep(0.05)
    server.press(title, label)


@pytest.mark.usefixtures("session_bus")
@pytest.mark.parametrize("model", MODELS)
async def test_on_every_server_buttons_do_what_they_say(model: str, tmp_path: Path) -> None:
    story = Story()
    async with notification_server(model=MODELS[model]) as server, running(tmp_path) as ours:
        story.look(site="stuck")
        story.become("site", "stuck", "authentication")
        ours.script.say(story.snapshot())
        await server.shows(STUCK)
        if "actions" not in server.model.capabilities:
            assert [n.actions for n in server.notifications.values()] == [[]]
            server.says_pressed(next(iter(server.notifications)), "details")
            await asyncio.sleep(0.1)
            assert server.titles() == [STUCK]
            return
        await press(server, STUCK, "Details")
        await server.shows("VPN site: details")
        (shown,) = server.notifications.values()
        assert "leftid" in shown.body
        assert "ipsecwatch status site" in shown.body
        await press(server, "VPN site: details", "Mute for an hour")
        await server.shows("VPN site is muted")
        ours.script.say(story.become("site", "up"), story.become("site", "down", "peer-dead"))
        await press(server, "VPN site is muted", "Mute for good")
        await until(lambda: "No more" in "".join(n.body for n in server.notifications.values()))
        await press(server, "VPN site is muted", "Unmute")
        await server.shows("VPN site is down")


@pytest.mark.usefixtures("session_bus")
async def test_only_the_server_presses_and_only_what_is_there(tmp_path: Path) -> None:
    story = Story()
    async with notification_server() as server, running(tmp_path) as ours:
        ours.script.say(story.look(site="stuck"))
        await server.shows(STUCK)
        ((number, shown),) = server.notifications.items()
        assert shown.actions[::2] == ["mute-1h"]  # without a reason there are no details
        stranger = await connect("session")
        stranger.signal(
            "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "ActionInvoked",
            "us", [number, "mute-1h"],
        )  # fmt: skip
        mail = server.stranger("mail")
        for action in (
            (mail, "mute-1h"), (0, "mute-1h"), (number, "details"), (number, ""),
            (number, "default"), (number, "x" * 100_000), (number + 1000, "mute-1h"),
        ):  # fmt: skip
            server.says_pressed(*action)
        server.connection.signal(
            "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "ActionInvoked",
            "s", ["mute-1h"],
        )  # fmt: skip
        await stranger.flush(1)
        await asyncio.sleep(0.2)
        assert server.titles() == [STUCK, "mail"]
        for _ in range(3):
            server.says_pressed(number, "mute-1h")
        await server.shows("mail", "VPN site is muted")
        await stranger.close()


@pytest.mark.usefixtures("session_bus")
async def test_the_verb_and_a_new_login_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    monkeypatch.setattr(session, "SETTLE", 0.01)
    monkeypatch.setenv("XDG_SESSION_ID", "1")
    file = mutes.mutes_file()
    async with notification_server() as server:
        async with running(tmp_path) as ours:
            ours.script.say(story.look(other="stuck", site="stuck"))
            await server.shows("VPN other can't connect", STUCK)
            mutes.mute(file, "site", mutes.Until.LOGIN, time.time())
            await server.shows("VPN other can't connect")
            file.write_text("{")  # a file that can't be read changes nothing
            await asyncio.sleep(0.1)
            mutes.save(file, [mutes.Mute("site", mutes.Until.LOGIN)])
            await ours.end()
        async with running(tmp_path) as ours:
            ours.script.say(story.snapshot())
            await server.shows("VPN other can't connect")
            await ours.end()
        monkeypatch.setenv("XDG_SESSION_ID", "2")
        async with running(tmp_path) as ours:
            ours.script.say(story.snapshot())
            await server.shows("VPN other can't connect", STUCK)
    assert mutes.load(file, time.time()) == ()


@pytest.mark.usefixtures("session_bus")
async def test_what_cant_be_muted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    story = Story()
    async with notification_server() as server, running(tmp_path) as ours:
        ours.script.say(story.look(site="stuck"))
        await press(server, STUCK, "Mute for an hour")
        await server.shows("VPN notifications: mistake in the settings")
        (shown,) = server.notifications.values()
        assert shown.body.startswith("Nothing was changed: ")


@pytest.mark.usefixtures("session_bus")
async def test_a_terminal_is_offered_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = tmp_path / "x-terminal-emulator"
    terminal.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/seen\n')
    terminal.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TERMINAL", "x-terminal-emulator")
    story = Story()
    async with notification_server() as server, running(tmp_path) as ours:
        ours.script.say(story.look(site="up"), story.become("site", "stuck", "no-answer"))
        await press(server, STUCK, "Details")
        await press(server, "VPN site: details", "Show in a terminal")
        await until((tmp_path / "seen").exists)
        await server.shows()
