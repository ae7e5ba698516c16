# SPDX-License-Identifier: MIT
"""Notices on their way to a screen that may be missing, refuse, or hang."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.agent import delivery as module
from ipsecwatch.agent.delivery import Delivery
from ipsecwatch.agent.notifications import Notification, Withdrawal
from ipsecwatch.dbus.connection import NoReplyError
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


def notice(key: str = "site", title: str = "site is up") -> Notification:
    return Notification(key, title, "And so on.", "network-vpn", "network.connected")


class Display:
    """Shows what it is given, as long as it works, and takes as long as it is told to."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self.attempts = 0
        self.works = True
        self.gate = asyncio.Event()
        self.gate.set()

    async def show(self, notice: Notification) -> None:
        self.attempts += 1
        await self.gate.wait()
        if not self.works:
            raise NoReplyError("nobody there\x1b[2J")
        self.shown[notice.key] = notice.title

    async def withdraw(self, key: str) -> None:
        await self.gate.wait()
        if not self.works:
            raise NoReplyError("nobody there")
        self.shown.pop(key, None)


@asynccontextmanager
async def delivering(
    write: Callable[[str], Any], display: Display | None = None
) -> AsyncGenerator[Delivery]:
    outbox = Delivery(write)
    outbox.use(display)
    running = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


async def test_what_is_shown_is_not_printed() -> None:
    display, lines = Display(), list[str]()
    async with delivering(lines.append, display) as outbox:
        outbox.put(notice())
        await until(lambda: display.shown == {"site": "site is up"})
        outbox.put(Withdrawal("site"))
        await until(lambda: display.shown == {})
    assert lines == []


async def test_without_a_screen_each_notice_is_one_line() -> None:
    lines = list[str]()
    async with delivering(lines.append) as outbox:
        outbox.put(notice("a", "a is up"))
        outbox.put(notice("b", "b is\nup"))
        outbox.put(Withdrawal("a"))
        await until(lambda: len(lines) == 1)
        outbox.put(notice("a", "a is down"))
        await until(lambda: len(lines) == 2)
    assert lines[0].endswith("  b is\\x0aup: And so on.")
    assert lines[1].endswith("  a is down: And so on.")


async def test_what_could_not_be_shown_is_printed_at_once_and_shown_when_that_works(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY", (0.1,))
    display, lines = Display(), list[str]()
    display.works = False
    async with delivering(lines.append, display) as outbox:
        outbox.put(notice("a", "a is up"))
        outbox.put(notice("b", "b is up"))
        await until(lambda: len(lines) == 2)
        await until(lambda: display.attempts >= 3)
        display.works = True
        await until(lambda: display.shown == {"a": "a is up", "b": "b is up"})
    assert len(lines) == 2
    # It is said once, not at every attempt, and nobody can write to the terminal by it.
    assert caplog.messages == ["no notifications on the desktop: nobody there\\x1b[2J"]


async def test_a_server_that_is_away_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RETRY", (0.2, 30.0))
    display, lines = Display(), list[str]()
    display.works = False
    async with delivering(lines.append, display) as outbox:
        for n in range(20):
            outbox.put(notice(f"t{n}"))
        await until(lambda: len(lines) == 20)
        await asyncio.sleep(0.5)
        assert display.attempts == 2


async def test_what_is_old_is_not_shown_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0.1)
    display, lines = Display(), list[str]()
    async with delivering(lines.append) as outbox:
        outbox.put(notice("a", "a is up"))
        await until(lambda: len(lines) == 1)
        await asyncio.sleep(0.2)
        outbox.put(notice("b", "b is up"))
        outbox.use(display)
        await until(lambda: display.shown == {"b": "b is up"})
        await asyncio.sleep(0.05)
    assert display.shown == {"b": "b is up"}


async def test_while_a_server_hangs_only_the_newest_of_each_tunnel_waits() -> None:
    display, lines = Display(), list[str]()
    display.gate.clear()
    async with delivering(lines.append, display) as outbox:
        outbox.put(notice("a", "a is up"))
        await until(lambda: display.attempts == 1)
        for n in range(1000):
            outbox.put(notice("b", f"b was told {n} times"))
        outbox.put(notice("a", "a is down"))
        display.gate.set()
        await until(lambda: display.shown == {"a": "a is down", "b": "b was told 999 times"})
    assert display.attempts == 3


async def test_a_screen_that_comes_later_shows_what_is_still_fresh() -> None:
    display, lines = Display(), list[str]()
    async with delivering(lines.append) as outbox:
        outbox.put(notice())
        await until(lambda: len(lines) == 1)
        outbox.use(display)
        await until(lambda: display.shown == {"site": "site is up"})
    assert len(lines) == 1


async def test_waiting_for_a_screen_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines, turns = list[str](), 0

    async def counted(outbox: Delivery, item: Any) -> bool:  # noqa: ANN401
        nonlocal turns
        turns += 1
        return await deliver(outbox, item)

    deliver = Delivery._deliver
    monkeypatch.setattr(Delivery, "_deliver", counted)
    async with delivering(lines.append) as outbox:
        outbox.put(notice())
        await asyncio.sleep(0.3)
    assert (turns, len(lines)) == (1, 1)


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
