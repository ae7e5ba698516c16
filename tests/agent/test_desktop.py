# SPDX-License-Identifier: MIT
"""Tests of what a notification server receives, over a real bus."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent.notifications import Notification
from ipsecwatch.agent.rules import Urgency
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, LostError, NoReplyError
from tests.support.fake_notification_server import CALLED, EXCESS, MODELS, notification_server
from tests.support.waiting import until

desktop = pytest.importorskip("ipsecwatch.agent.desktop", reason="desktop-notifier isn't installed")

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.agent.desktop import NotificationServer
    from tests.support.dbus_daemon import PrivateBus

pytestmark = pytest.mark.usefixtures("session_bus")

EVIL = '<b>evil</b> & <img src="file:///dev/zero"> <a href="x">y</a>'


def notification(title: str = "site is up", body: str = "", **more: object) -> Notification:
    made = Notification("site", title, body, "network-vpn", "network.connected")
    return replace(made, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def screen(**heard: object) -> AsyncGenerator[NotificationServer]:
    connection = await connect("session")
    try:
        ours = desktop.NotificationServer(connection, **heard)
        await ours.listen()
        yield ours
    finally:
        await connection.close()


async def test_a_notice_arrives_with_its_icon_and_hints() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show("1", notification(body="Back.", urgency=Urgency.LOW))
        await ours.show("2", notification("site is down", lasting=True, rank=2))
        await ours.show("3", notification("site is down", lasting=True, rank=2), quiet=True)
    passing, lasting, quiet = server.notifications.values()
    assert (passing.app, passing.icon) == ("VPN", "network-vpn")
    assert (passing.title, passing.body) == ("site is up", "Back.")
    assert (passing.actions, passing.timeout) == ([], 10000)
    assert passing.hints == {
        "urgency": 0,
        "category": "network.connected",
        "transient": True,
        "desktop-entry": "ipsecwatch",
    }
    assert (lasting.timeout, lasting.hints["urgency"], lasting.hints["transient"]) == (0, 1, False)
    assert quiet.hints["urgency"] == 0


async def test_a_notice_takes_the_place_of_the_one_in_its_slot() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show("1", notification("site is down"))
        await ours.show("2", notification("office is up"))
        await ours.show("1", notification("site is up"))
        assert server.titles() == ["site is up", "office is up"]
        await ours.withdraw("1")
        await ours.withdraw("1")
        await ours.withdraw("nobody knows")
        assert server.titles() == ["office is up"]
        await ours.show("1", notification("site is down"))
        assert server.titles() == ["office is up", "site is down"]
        await ours.withdraw_all()
        await server.shows()


async def test_text_is_escaped_where_the_server_takes_it_for_markup() -> None:
    async with notification_server() as server, screen() as ours:
        await ours.show("1", notification(f"{EVIL} is up", EVIL))
    (shown,) = server.notifications.values()
    assert shown.body == (
        '&lt;b&gt;evil&lt;/b&gt; &amp; &lt;img src="file:///dev/zero"&gt; '
        '&lt;a href="x"&gt;y&lt;/a&gt;'
    )
    # No server announces that it renders markup in titles; some render links there all the same.
    assert shown.title.startswith("‹b›evil‹/b› & ‹img src=")


async def test_d10_where_markup_is_not_announced_nothing_can_be_taken_for_it() -> None:
    minimal = MODELS["dunst 1.9, minimal"]
    async with notification_server(model=minimal) as server, screen() as ours:
        await ours.show("1", notification(EVIL, f"{EVIL} &lt;i&gt;"))
    (shown,) = server.notifications.values()
    assert not set("<>") & set(shown.title + shown.body)
    assert shown.body.endswith("＆lt;i＆gt;")
    assert server.read(shown) == (shown.title, shown.body)


async def test_a_server_that_was_started_again_never_loses_a_strangers_notification() -> None:
    owners: list[str] = []
    async with screen(on_owner=owners.append) as ours:
        async with notification_server():
            await ours.show("1", notification("site is down"))
        await until(lambda: owners[-1:] == [""])
        async with notification_server() as server:
            await until(lambda: owners[-1:] != [""])
            server.stranger("You have mail")  # it gets the number that our notification had
            await ours.withdraw("1")
            await ours.show("1", notification("site is up"))
            assert server.titles() == ["You have mail", "site is up"]
            assert server.closed == []


async def test_what_is_closed_is_told_by_whom_and_our_own_closing_is_not() -> None:
    closed: list[str] = []
    expired: list[str] = []
    async with (
        notification_server() as server,
        screen(on_closed=closed.append, on_expired=expired.append) as ours,
    ):
        for slot, title in zip("123", "abc", strict=True):
            await ours.show(slot, notification(title))
        server.dismiss("a")
        server.dismiss("b", reason=4)
        server.dismiss("c", reason=1)
        await until(lambda: (closed, expired) == (["1", "2"], ["3"]))
        await ours.show("1", notification("a"))
        await ours.withdraw("1")
        await ours.show("1", notification("a"))
        assert closed == ["1", "2"]


async def test_a_number_that_a_server_gives_twice_is_the_last_ones() -> None:
    closed: list[str] = []
    async with notification_server() as server, screen(on_closed=closed.append) as ours:
        await ours.show("1", notification("a"))
        server.last_id = 0
        await ours.show("2", notification("b"))
        assert ours.numbers == {"2": 1}
        server.says_closed(1, 2)
        await until(lambda: closed == ["2"])


async def test_no_server_is_an_error_of_its_own_and_leaves_nothing_behind() -> None:
    async with screen() as ours:
        with pytest.raises(desktop.NobodyError, match=r"org\.freedesktop\.Notifications"):
            await ours.show("1", notification())
        async with notification_server() as server:
            await ours.show("1", notification())
            assert server.titles() == ["site is up"]


async def test_a_server_that_hangs_is_given_up_before_it_has_anything_in_its_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desktop, "ANSWER_LIMIT", 0.2)
    async with notification_server(hangs=True) as server, screen() as ours:
        with pytest.raises(NoReplyError):
            await ours.show("1", notification())
        assert server.calls == ["GetCapabilities"]
        server.hangs = False
        await ours.show("1", notification())
        assert server.titles() == ["site is up"]


async def test_what_a_hanging_server_did_not_take_away_is_taken_away_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desktop, "ANSWER_LIMIT", 0.2)
    async with notification_server() as server, screen() as ours:
        await ours.show("1", notification())
        server.hangs = True
        with pytest.raises(NoReplyError):
            await ours.withdraw("1")
        assert server.titles() == ["site is up"]
        server.hangs = False
        await ours.withdraw("1")
        assert server.titles() == []


async def test_what_a_hanging_server_takes_away_at_last_was_closed_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desktop, "ANSWER_LIMIT", 0.2)
    closed: list[str] = []
    expired: list[str] = []
    heard = {"on_closed": closed.append, "on_expired": expired.append}
    async with notification_server() as server, screen(**heard) as ours:
        await ours.show("1", notification())
        server.hangs = True
        with pytest.raises(NoReplyError):
            await ours.withdraw("1")
        server.dismiss("site is up", reason=CALLED)
        await until(lambda: expired == ["1"])
        assert closed == []


async def test_a_server_that_has_enough_of_us_is_an_error_like_any_other() -> None:
    async with notification_server(refuses=EXCESS) as server, screen() as ours:
        with pytest.raises(ErrorReplyError) as caught:
            await ours.show("1", notification())
        assert caught.value.name == EXCESS
        server.refuses = ""
        await ours.show("1", notification())


async def test_a_lost_bus_is_an_error(session_bus: PrivateBus) -> None:
    async with notification_server(), screen() as ours:
        await ours.show("1", notification())
        session_bus.stop()
        with pytest.raises(LostError):
            await ours.show("1", notification())


async def test_a_strange_answer_is_an_error() -> None:
    async with notification_server() as server, screen() as ours:
        server.connection.on_call = lambda connection, call: connection.reply(call, "s", ["what?"])
        with pytest.raises(BusError, match="strange answer"):
            await ours.show("1", notification())


async def test_it_is_a_back_end_of_the_library_and_answers_as_one() -> None:
    from desktop_notifier import Capability
    from desktop_notifier.backends.base import DesktopNotifierBackend

    async with notification_server() as server, screen() as ours:
        assert isinstance(ours, DesktopNotifierBackend)
        assert await ours.has_authorisation()
        assert await ours.request_authorisation()
        assert Capability.MESSAGE in await ours.get_capabilities()
        await ours.show("1", notification())
        await ours.clear_all()
        await server.shows()
    for name in ("_send", "_clear", "_clear_all", "_get_capabilities"):
        assert asyncio.iscoroutinefunction(getattr(DesktopNotifierBackend, name))
