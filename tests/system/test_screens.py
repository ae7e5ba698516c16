# SPDX-License-Identifier: MIT
"""Notices on real notification servers: what the user sees is what we meant."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import notifications
from ipsecwatch.agent.notifications import News, NewsKind, Notification
from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.tunnel import Reason
from tests.support import x_screen
from tests.support.fake_events import view
from tests.support.waiting import until

desktop = pytest.importorskip("ipsecwatch.agent.desktop", reason="desktop-notifier isn't installed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("session_bus")]

EVIL = '<b>evil</b> & <img src="file:///dev/zero">'


def news(kind: NewsKind, name: str, reason: Reason = Reason.NONE) -> Notification:
    return notifications.single(News(kind, view(name), reason))


@pytest.fixture
def display() -> Iterator[str]:
    if why := x_screen.missing("Xvfb", "xwininfo"):
        pytest.skip(why)
    with x_screen.x_server() as name:
        yield name


async def until_served(connection: BusConnection) -> None:
    async with asyncio.timeout(20):
        while not (await connection.call_bus("NameHasOwner", "s", desktop.SERVER)).body[0]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_dunst_shows_one_notification_a_tunnel_and_no_markup_of_others(
    display: str, tmp_path: Path
) -> None:
    if why := x_screen.missing("dunst"):
        pytest.skip(why)
    connection = await connect("session")
    with x_screen.server(["dunst", "-print"], display, tmp_path) as dunst:
        await until_served(connection)
        screen = desktop.NotificationServer(connection)
        await screen.show(news(NewsKind.STUCK, "site", Reason.NO_ANSWER))
        await screen.show(news(NewsKind.UP, "site"))
        await screen.show(
            notifications.summary([News(NewsKind.DOWN, view(EVIL)), News(NewsKind.UP, view("b"))])
        )
        await until(lambda: x_screen.windows(display, "dunst"))
        await connection.close()
        dunst.terminate()
        printed = dunst.stdout.read() if dunst.stdout else ""
    first, second, third = re.findall(r"^\tid: (\d+)$", printed, re.MULTILINE)
    assert first == second != third
    assert re.findall(r"^\ticon: '(.*)'$", printed, re.MULTILINE) == [
        "dialog-warning", "network-vpn", "network-offline",
    ]  # fmt: skip
    assert re.findall(r"^\tcategory: (.*)$", printed, re.MULTILINE) == [
        "network.error", "network.connected", "network.disconnected",
    ]  # fmt: skip
    # What dunst hands to the renderer, where <b> would be bold.
    assert "Down: &lt;b&gt;evil&lt;/b&gt; &amp; …" in printed


async def test_xfce_replaces_a_tunnels_notification_in_its_place(
    display: str, tmp_path: Path
) -> None:
    if why := x_screen.missing(x_screen.XFCE):
        pytest.skip(why)
    connection = await connect("session")
    with x_screen.server([x_screen.XFCE], display, tmp_path):
        await until_served(connection)
        screen = desktop.NotificationServer(connection)
        await screen.show(news(NewsKind.DOWN, "site", Reason.PEER_DEAD))
        await screen.show(news(NewsKind.UP, EVIL))
        await until(lambda: len(x_screen.windows(display, "xfce4-notifyd")) == 2)
        await screen.show(news(NewsKind.UP, "site"))
        await asyncio.sleep(1)
        assert len(x_screen.windows(display, "xfce4-notifyd")) == 2
        await screen.withdraw(news(NewsKind.UP, "site").key)
        await until(lambda: len(x_screen.windows(display, "xfce4-notifyd")) == 1)
    await connection.close()
