# SPDX-License-Identifier: MIT
"""Showing notices, on a real session bus, with a notification server that does what we say."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent.notifications import Notification, Urgency
from ipsecwatch.dbus.connection import BusError, ErrorReplyError, LostError, NoReplyError, connect
from tests.support.fake_notification_server import EXCESS, notification_server

desktop = pytest.importorskip("ipsecwatch.agent.desktop", reason="desktop-notifier isn't installed")

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.agent.desktop import NotificationServer
    from tests.support.dbus_daemon import PrivateBus

pytestmark = pytest.mark.usefixtures("session_bus")

EVIL = '<b>evil</b> & <img src="file:///dev/zero"> <a href="x">y</a>'


def notice(
    key: str = "site", title: str = "site is up", body: str = "", **more: object
) -> Notification:
    made = Notification(key, title, body, "network-vpn", "network.connected")
    return replace(made, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def screen() -> AsyncGenerator[NotificationServer]:
    connection = await connect("session")
    try:
        yield desktop.NotificationServer(connection)
    finally:
        await connection.close()


async def test_a_notice_arrives_with_its_icon_and_hints() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show(notice(body="It was down.", urgency=Urgency.LOW, transient=True))
    (shown,) = server.notices.values()
    assert (shown.app, shown.icon) == ("ipsecwatch", "network-vpn")
    assert (shown.title, shown.body) == ("site is up", "It was down.")
    assert (shown.actions, shown.timeout) == ([], -1)
    assert shown.hints == {
        "urgency": 0,
        "category": "network.connected",
        "transient": True,
        "desktop-entry": "ipsecwatch",
    }


async def test_a_notice_takes_the_place_of_the_one_with_its_key() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show(notice("site", "site is down"))
        await ours.show(notice("office", "office is up"))
        await ours.show(notice("site", "site is up"))
        assert server.titles() == ["site is up", "office is up"]
        await ours.withdraw("site")
        await ours.withdraw("site")
        await ours.withdraw("nobody knows")
        assert server.titles() == ["office is up"]
        await ours.show(notice("site", "site is down"))
        assert server.titles() == ["office is up", "site is down"]


async def test_text_is_escaped_where_the_server_takes_it_for_markup() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show(notice(title=f"{EVIL} is up", body=EVIL))
    (shown,) = server.notices.values()
    assert shown.body == (
        '&lt;b&gt;evil&lt;/b&gt; &amp; &lt;img src="file:///dev/zero"&gt; '
        '&lt;a href="x"&gt;y&lt;/a&gt;'
    )
    # No server takes a title for markup, or says that it does; some look for links all the same.
    assert shown.title.startswith("‹b›evil‹/b› & ‹img src=")


async def test_text_is_left_alone_where_the_server_shows_it_as_it_is() -> None:
    async with notification_server(capabilities=("body",)) as server, screen() as ours:
        await ours.show(notice(title=EVIL, body=EVIL))
    (shown,) = server.notices.values()
    assert (shown.title, shown.body) == (EVIL, EVIL)


async def test_a_server_that_was_started_again_never_loses_a_strangers_notification() -> None:
    async with screen() as ours:
        async with notification_server():
            await ours.show(notice("site", "site is down"))
        async with notification_server() as server:
            server.stranger("You have mail")  # has the number now that ours had
            await ours.withdraw("site")
            await ours.show(notice("site", "site is up"))
            assert server.titles() == ["You have mail", "site is up"]
            assert server.closed == []


async def test_no_server_is_an_error_and_leaves_nothing_behind() -> None:
    async with screen() as ours:
        with pytest.raises(ErrorReplyError, match=r"org\.freedesktop\.Notifications"):
            await ours.show(notice())
        async with notification_server() as server:
            await ours.show(notice())
            assert server.titles() == ["site is up"]


async def test_a_server_that_hangs_is_given_up_before_it_has_anything_in_its_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desktop, "ANSWER_LIMIT", 0.2)
    async with notification_server(hangs=True) as server, screen() as ours:
        with pytest.raises(NoReplyError):
            await ours.show(notice())
        assert server.calls == ["GetCapabilities"]
        server.hangs = False
        await ours.show(notice())
        assert server.titles() == ["site is up"]


async def test_a_server_that_has_enough_of_us_is_an_error_like_any_other() -> None:
    async with notification_server(refuses=EXCESS) as server, screen() as ours:
        with pytest.raises(ErrorReplyError) as caught:
            await ours.show(notice())
        assert caught.value.name == EXCESS
        server.refuses = ""
        await ours.show(notice())


async def test_a_notification_that_was_closed_before_is_no_error() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show(notice())
        server.notices.clear()
        await ours.withdraw("site")


async def test_a_lost_bus_is_an_error(session_bus: PrivateBus) -> None:
    async with notification_server(), screen() as ours:
        await ours.show(notice())
        session_bus.stop()
        with pytest.raises(LostError):
            await ours.show(notice())


async def test_a_strange_answer_is_an_error() -> None:
    async with notification_server() as server, screen() as ours:
        server.connection.on_call = lambda connection, call: connection.reply(call, "s", ["what?"])
        with pytest.raises(BusError, match="strange answer"):
            await ours.show(notice())


async def test_only_so_many_notifications_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop, "MAX_KEPT", 3)
    async with notification_server() as server, screen() as ours:
        for n in range(9):
            await ours.show(notice(f"t{n}", f"t{n} is up"))
        await ours.show(notice("t8", "t8 is down"))
        await ours.show(notice("t0", "t0 is down"))
    assert server.titles()[-2:] == ["t8 is down", "t0 is down"]
    assert len(server.notices) == 10


async def test_the_names_of_the_library_that_we_lean_on_are_there() -> None:
    from desktop_notifier.backends.dbus import DBusDesktopNotifier

    async with screen() as ours:
        assert isinstance(ours, DBusDesktopNotifier)
        plain = DBusDesktopNotifier("test")
    for name in ("_send", "_clear"):
        assert asyncio.iscoroutinefunction(getattr(DBusDesktopNotifier, name))
    assert plain._platform_to_interface_notification_identifier.inverse == {}
    assert [v.value for v in plain.to_native_urgency.values()] == [0, 1, 2]
