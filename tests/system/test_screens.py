# SPDX-License-Identifier: MIT
"""Tests of the agent on real notification servers: the user must see what we meant."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import mutes, policy, session
from ipsecwatch.agent.session import World
from ipsecwatch.config import AgentSettings
from ipsecwatch.dbus.connection import BusConnection, connect
from tests.support import x_screen
from tests.support.fake_events import Story
from tests.support.waiting import until

desktop = pytest.importorskip("ipsecwatch.agent.desktop", reason="desktop-notifier isn't installed")

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path

    from ipsecwatch.client.events import Event

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("session_bus")]

EVIL = '<b>evil</b> & <img src="file:///dev/zero">'
MINIMAL = "[global]\nnotification_limit = 20\n"
"""A dunstrc without a setting for markup: dunst 1.9 then renders markup, but doesn't announce
it."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(policy, "GRACE", 0.2)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def display() -> Iterator[str]:
    if why := x_screen.missing("Xvfb", "xwininfo"):
        pytest.skip(why)
    with x_screen.x_server() as name:
        yield name


@asynccontextmanager
async def agent() -> AsyncGenerator[asyncio.Queue[Event]]:
    """Run an agent that gets the events in the yielded queue."""
    heard: asyncio.Queue[Event] = asyncio.Queue()

    async def follow() -> AsyncGenerator[Event]:
        while True:
            yield await heard.get()

    world = World(follow=follow, watches=(), unshown=lambda _: None)
    task = asyncio.create_task(session.work(AgentSettings(settle=0.5), world))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until_served(connection: BusConnection) -> None:
    async with asyncio.timeout(20):
        while not (await connection.call_bus("NameHasOwner", "s", desktop.SERVER)).body[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def displayed(connection: BusConnection) -> int:
    """Return how many notifications dunst shows now."""
    reply = await connection.call(
        desktop.SERVER, desktop.SERVER_PATH, "org.freedesktop.DBus.Properties", "Get", "ss",
        ["org.dunstproject.cmd0", "displayedLength"],
    )  # fmt: skip
    count: int = reply.body[0].value
    return count


async def until_displayed(connection: BusConnection, count: int) -> None:
    async with asyncio.timeout(20):
        while await displayed(connection) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("settings", ["", MINIMAL])
async def test_dunst_replaces_in_place_renders_no_name_and_ends_empty(
    settings: str, display: str, tmp_path: Path
) -> None:
    if why := x_screen.missing("dunst"):
        pytest.skip(why)
    command = ["dunst", "-print"]
    if settings:
        (tmp_path / "dunstrc").write_text(settings)
        command += ["-config", str(tmp_path / "dunstrc")]
    connection, story = await connect("session"), Story()
    with x_screen.server(command, display, tmp_path) as dunst:
        await until_served(connection)
        async with agent() as heard:
            heard.put_nowait(story.look(site="stuck"))
            await until_displayed(connection, 1)
            heard.put_nowait(story.become("site", "up"))
            await asyncio.sleep(1)
            assert await displayed(connection) == 1
            heard.put_nowait(story.become(EVIL, "stuck", "no-answer"))
            await until_displayed(connection, 2)
            assert x_screen.windows(display, "dunst")
        await until_displayed(connection, 0)
        await connection.close()
        dunst.terminate()
        printed = dunst.stdout.read() if dunst.stdout else ""
    first, second, third = re.findall(r"^\tid: (\d+)$", printed, re.MULTILINE)
    assert first == second != third
    assert re.findall(r"^\ticon: '(.*)'$", printed, re.MULTILINE) == [
        "dialog-warning", "network-vpn", "dialog-warning",
    ]  # fmt: skip
    # What dunst hands to the renderer, where <b> would be bold.
    evil = printed[printed.rindex("summary:") :]
    assert "VPN ‹b›evil‹/b" in evil
    assert ("‹b›evil‹/b› &" if settings else "&lt;b&gt;evil&lt;/b&gt; &amp;") in evil
    assert not re.search(r"<b>evil|<img|<a", evil)


async def test_dunst_replaces_by_tag_what_an_agent_left_that_was_killed(
    display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := x_screen.missing("dunst"):
        pytest.skip(why)
    connection, story = await connect("session"), Story()
    with x_screen.server(["dunst"], display, tmp_path):
        await until_served(connection)
        with monkeypatch.context() as patch:
            patch.setattr(desktop.NotificationServer, "withdraw_all", _says_nothing)
            patch.setattr(session.Agent, "_remember", lambda _: False)
            async with agent() as heard:
                heard.put_nowait(story.look(site="stuck"))
                await until_displayed(connection, 1)
        assert await displayed(connection) == 1
        async with agent() as heard:
            heard.put_nowait(story.look(site="stuck"))
            await asyncio.sleep(1.5)
            assert await displayed(connection) == 1
        await until_displayed(connection, 0)
    await connection.close()


async def _says_nothing(_: object) -> None:
    """In place of the agent's end: nothing, as when it is killed."""


async def test_xfce_shows_each_in_its_place_and_nothing_after_the_end(
    display: str, tmp_path: Path
) -> None:
    if why := x_screen.missing(x_screen.XFCE):
        pytest.skip(why)
    connection, story = await connect("session"), Story()

    def shown() -> int:
        return len(x_screen.windows(display, "xfce4-notifyd"))

    with x_screen.server([x_screen.XFCE], display, tmp_path):
        await until_served(connection)
        async with agent() as heard:
            heard.put_nowait(story.look(**{"site": "stuck", EVIL: "stuck"}))
            await until(lambda: shown() == 2)
            heard.put_nowait(story.become("site", "up"))
            await asyncio.sleep(1)
            assert shown() == 2
            heard.put_nowait(story.look(**dict.fromkeys(("site", "a", "b", "c"), "stuck")))
            await until(lambda: shown() == 1)  # one summary
        await until(lambda: shown() == 0)
    await connection.close()


async def test_a_click_on_a_button_mutes(display: str, tmp_path: Path) -> None:
    if why := x_screen.missing(x_screen.XFCE, "xdotool"):
        pytest.skip(why)
    connection, story = await connect("session"), Story()
    with x_screen.server([x_screen.XFCE], display, tmp_path):
        await until_served(connection)
        async with agent() as heard:
            heard.put_nowait(story.look(site="stuck"))
            await until(lambda: len(x_screen.windows(display, "xfce4-notifyd")) == 1)
            await asyncio.sleep(1)  # it fades in
            (geometry,) = x_screen.windows(display, "xfce4-notifyd")
            found = re.fullmatch(r"\d+x(\d+)-(\d+)\+(\d+)", geometry)
            assert found is not None
            height, right, top = map(int, found.groups())
            x_screen.click(display, 800 - right - 60, top + height - 30)  # the last button
            await until(lambda: [m.name for m in mutes.load(mutes.mutes_file(), 0.0)] == ["site"])
    await connection.close()
