# SPDX-License-Identifier: MIT
"""Tests of delivery: the screen becomes as wanted, even if it is missing, refuses or hangs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import delivery as module
from ipsecwatch.agent.delivery import Delivery
from ipsecwatch.agent.notifications import Notification
from ipsecwatch.dbus.errors import NoReplyError
from tests.support.waiting import until

pytest.importorskip("desktop_notifier", reason="desktop-notifier isn't installed")

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

NOBODY: frozenset[str] = frozenset()


def wanted(**titles: str) -> dict[str, Notification]:
    """Return lasting notifications of the same rank, by key; ``titles`` has each key's title."""
    return {
        key: Notification(key, title, "", "network-vpn", "network.error", lasting=True, rank=2)
        for key, title in titles.items()
    }


class FakeDisplay:
    """A fake notification server. It answers once ``gate`` is set; without ``works`` it fails."""

    def __init__(self) -> None:
        self.slots: dict[str, str] = {}
        self.history: list[tuple[str, bool]] = []
        self.attempts = 0
        self.works = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def show(self, slot: str, notification: Notification, *, quiet: bool = False) -> None:
        self.attempts += 1
        await self.gate.wait()
        if not self.works:
            raise NoReplyError("nobody there\x1b[2J")
        self.slots[slot] = notification.title
        self.history.append((notification.title, quiet))

    async def withdraw(self, slot: str) -> None:
        if not self.works:
            raise NoReplyError("nobody there")
        self.slots.pop(slot, None)

    async def withdraw_all(self) -> None:
        self.slots.clear()


class Delivering:
    def __init__(self) -> None:
        self.display = FakeDisplay()
        self.shown: list[str] = []
        self.printed: list[str] = []
        self.delivery = Delivery(
            lambda n: self.shown.append(n.title), lambda n: self.printed.append(n.title)
        )

    def want(self, **titles: str) -> None:
        self.delivery.want(wanted(**titles), NOBODY)

    async def shows(self, *titles: str) -> None:
        await until(lambda: list(self.display.slots.values()) == list(titles), 5)


@asynccontextmanager
async def delivering(*, screen: bool = True) -> AsyncGenerator[Delivering]:
    ours = Delivering()
    ours.delivery.use(ours.display if screen else None)
    running = asyncio.create_task(ours.delivery.run())
    try:
        yield ours
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


async def test_the_screen_shows_what_is_wanted_and_nothing_else() -> None:
    async with delivering() as ours:
        ours.want(a="a is down", b="b is down")
        await ours.shows("a is down", "b is down")
        ours.want(b="b is down", c="c is down")
        await ours.shows("c is down", "b is down")  # c replaces a
        ours.want(b="b is stuck")
        await ours.shows("b is stuck")
        ours.want()
        await ours.shows()
    assert ours.printed == []
    assert ours.shown == ["a is down", "b is down", "c is down", "b is stuck"]


async def test_a_text_that_changes_is_quiet_and_what_is_worse_or_new_is_not() -> None:
    async with delivering() as ours:
        ours.want(a="a is down")
        await ours.shows("a is down")
        ours.want(a="a is still down")
        await ours.shows("a is still down")
        ours.delivery.closed("1")
        ours.want(a="a is down again")
        await ours.shows("a is down again")
    assert ours.display.history == [
        ("a is down", False), ("a is still down", True), ("a is down again", False),
    ]  # fmt: skip


async def test_without_a_screen_each_text_is_printed_once() -> None:
    async with delivering(screen=False) as ours:
        for _ in range(3):
            ours.want(a="a is down", b="b is down")
            await until(lambda: len(ours.printed) == 2)
        ours.want(a="a is stuck")
        await until(lambda: len(ours.printed) == 3)
        ours.delivery.use(ours.display)  # the state at this moment is shown
        await ours.shows("a is stuck")
    assert ours.printed == ["a is down", "b is down", "a is stuck"]


async def test_what_could_not_be_shown_is_printed_at_once_and_shown_when_that_works(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", (0.1,))
    async with delivering() as ours:
        ours.display.works = False
        ours.want(a="a is down", b="b is down")
        await until(lambda: len(ours.printed) == 2)
        await until(lambda: ours.display.attempts >= 3)
        ours.display.works = True
        await ours.shows("a is down", "b is down")
    # It is logged once and not at each attempt, and the error's text can't control the terminal.
    assert caplog.messages == ["no notifications on the desktop: nobody there\\x1b[2J"]


async def test_a_server_that_refuses_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY", (0.2, 30.0))
    async with delivering() as ours:
        ours.display.works = False
        for n in range(20):
            ours.want(a=f"a was told {n} times")
            await until(lambda n=n: len(ours.printed) == n + 1)  # type: ignore[misc]
        await asyncio.sleep(0.5)
        assert ours.display.attempts == 2


async def test_while_a_server_hangs_only_what_is_wanted_then_waits() -> None:
    async with delivering() as ours:
        ours.display.gate.clear()
        ours.want(a="a is down")
        await until(lambda: ours.display.attempts == 1)
        for n in range(1000):
            ours.want(a="a is stuck", b=f"b was told {n} times")
        ours.display.gate.set()
        await ours.shows("a is stuck", "b was told 999 times")
    assert ours.display.attempts == 3


@pytest.mark.parametrize("then", ["", "a is down"])
async def test_what_could_not_be_taken_away_is_taken_away_or_shown_anew_later(
    then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", (0.2,))
    async with delivering() as ours:
        ours.want(a="a is down")
        await ours.shows("a is down")
        ours.display.works = False
        ours.want()
        await asyncio.sleep(0.1)
        assert list(ours.display.slots.values()) == ["a is down"]
        ours.display.works = True
        if then:  # while the old notification is still there
            ours.want(a=then)
            await until(lambda: ours.display.attempts == 2)
            await ours.shows(then)
        else:
            await ours.shows()


async def test_another_server_gets_everything_and_none_gets_nothing() -> None:
    async with delivering() as ours:
        ours.want(a="a is down")
        await ours.shows("a is down")
        ours.display.slots.clear()
        ours.delivery.server_changed("")
        await asyncio.sleep(0.1)
        assert ours.display.attempts == 1
        ours.delivery.server_changed(":1.7")
        await ours.shows("a is down")


async def test_notices_of_an_agent_before_stay_while_they_are_held() -> None:
    async with delivering() as ours:
        ours.display.slots["2"] = "old is down"
        ours.delivery.slots["2"] = module.Slot("old", 2, 1, 0)
        ours.delivery.want(wanted(a="a is down"), frozenset({"old"}))
        await ours.shows("old is down", "a is down")
        ours.delivery.want(wanted(a="a is down"), NOBODY)
        await ours.shows("a is down")


async def test_the_end_takes_all_away_though_a_server_hangs() -> None:
    async with delivering() as ours:
        ours.want(a="a is down")
        await ours.shows("a is down")
        ours.display.gate.clear()
        ours.want(a="a is stuck")
        await until(lambda: ours.display.attempts == 2)
        async with asyncio.timeout(1):
            await ours.delivery.end()
        assert ours.display.slots == {}


def test_a_terminal_that_was_closed_ends_nothing() -> None:
    program = "from ipsecwatch.agent.delivery import to_terminal as t; input(); t('a'); t('b')"
    read, write = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=write, stderr=subprocess.PIPE
    ) as process:
        os.close(read)
        os.close(write)
        assert process.communicate(b"\n")[1] == b""
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", b"m\\xfcnchen\\u2026\n"), ("utf-8", "münchen…\n".encode())]
)
def test_a_terminal_that_lacks_letters_gets_what_it_can_show(encoding: str, printed: bytes) -> None:
    program = "from ipsecwatch.agent.delivery import to_terminal as t; t('münchen…')"
    process = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=True,
    )  # fmt: skip
    assert (process.stdout, process.stderr) == (printed, b"")
