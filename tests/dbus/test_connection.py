# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.dbus import send_queue
from ipsecwatch.dbus.connection import BUS, BUS_PATH, BusConnection, connect
from ipsecwatch.dbus.errors import (
    ErrorReplyError,
    LostError,
    NoReplyError,
    TooLargeError,
    UnreachableError,
)
from tests.support import raw_bus
from tests.support.bus_service import calling
from tests.support.dbus_daemon import PrivateBus
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from ipsecwatch.dbus.messages import Signal


@asynccontextmanager
async def connected() -> AsyncGenerator[BusConnection]:
    made = await connect("session")
    try:
        yield made
    finally:
        await made.close()


def send(sender: BusConnection, n: int, text: str = "") -> None:
    sender.signal("/org/example", "org.example.Test", "Happened", "ts", [n, text])


async def hear(listener: BusConnection, heard: list[Signal]) -> None:
    def note(signal: Signal) -> None:
        if signal.interface == "org.example.Test":  # and not the bus's NameAcquired
            heard.append(signal)

    listener.on_signal = note
    await listener.call_bus("AddMatch", "s", "type='signal',interface='org.example.Test'")


async def test_2000_signals_sent_while_the_bus_is_stopped_all_arrive_in_order(
    session_bus: PrivateBus,
) -> None:
    async with connected() as sender, connected() as listener:
        heard: list[Signal] = []
        await hear(listener, heard)
        session_bus.pause()
        for n in range(2000):
            send(sender, n, "x" * 200)
        assert sender.backlog > 100_000, "the socket took it all: nothing was tried here"
        await asyncio.sleep(1.0)
        assert sender.alive
        session_bus.resume()
        await until(lambda: len(heard) >= 2000)
        assert [s.body[0] for s in heard] == list(range(2000))
        assert sender.backlog == 0


async def test_a_call_that_times_out_leaves_nothing_behind(session_bus: PrivateBus) -> None:
    async with connected() as caller:
        session_bus.pause()
        with pytest.raises(NoReplyError, match="didn't answer GetId"):
            await caller.call(BUS, BUS_PATH, BUS, "GetId", within=0.1)
        assert not caller._pending
        assert not caller._bus._method_return_handlers
        session_bus.resume()
        assert (await caller.call_bus("GetId", "")).sender == BUS


async def test_an_error_is_raised_with_its_name(session_bus: PrivateBus) -> None:
    async with connected() as caller:
        with pytest.raises(ErrorReplyError) as caught:
            await caller.call("org.example.Nobody", "/", "org.example.Test", "Try")
        assert caught.value.name == "org.freedesktop.DBus.Error.NameHasNoOwner"


async def test_a_call_of_a_bus_that_goes_away_fails_at_once(session_bus: PrivateBus) -> None:
    async with connected() as caller:
        session_bus.pause()
        call = asyncio.create_task(caller.call_bus("GetId", ""))
        await asyncio.sleep(0.05)
        session_bus.stop()
        began = time.monotonic()
        with pytest.raises(LostError, match=r"the session bus (hung up|was lost)"):
            await call
        assert time.monotonic() - began < 1.0
        assert "the session bus" in await caller.lost()
        with pytest.raises(LostError):
            await caller.call_bus("GetId", "")
        with pytest.raises(LostError):
            await caller.room()
        send(caller, 1)


async def test_a_bus_that_reads_nothing_is_given_up_past_the_limit(
    session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "MAX_BACKLOG", 1 << 20)
    async with connected() as sender:
        session_bus.pause()
        for n in range(2000):
            send(sender, n, "x" * 1000)
        assert not sender.alive
        assert await sender.lost() == "the session bus has left 1 MiB unread"
        session_bus.resume()


async def test_a_message_that_is_too_large_is_refused_and_costs_nothing_else(
    session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "MAX_MESSAGE", 1 << 20)
    async with connected() as sender, connected() as listener:
        heard: list[Signal] = []
        await hear(listener, heard)
        with pytest.raises(TooLargeError):
            send(sender, 1, "x" * (1 << 20))
        send(sender, 2)
        await until(lambda: heard)
        assert [s.body[0] for s in heard] == [2]


async def test_room_waits_for_the_bus_to_read(session_bus: PrivateBus) -> None:
    async with connected() as sender:
        await asyncio.wait_for(sender.room(), 1.0)
        session_bus.pause()
        for n in range(20):
            send(sender, n, "x" * 100_000)
        waiting = asyncio.create_task(sender.room())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        session_bus.resume()
        await asyncio.wait_for(waiting, 5.0)


async def test_flush_returns_when_all_is_sent(session_bus: PrivateBus) -> None:
    async with connected() as sender:
        session_bus.pause()
        for n in range(20):
            send(sender, n, "x" * 100_000)
        began = time.monotonic()
        await sender.flush(within=0.2)
        assert time.monotonic() - began >= 0.2
        session_bus.resume()
        await sender.flush(within=5.0)
        assert sender.backlog == 0


async def test_flush_does_not_wait_for_a_message_that_was_too_large_to_be_sent(
    session_bus: PrivateBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_queue, "MAX_MESSAGE", 1 << 20)
    async with connected() as sender:
        send(sender, 1)
        with pytest.raises(TooLargeError):
            send(sender, 2, "x" * (1 << 20))
        await asyncio.wait_for(sender.flush(within=30.0), 5.0)


async def test_receives_does_not_wait_on_a_connection_that_is_lost(session_bus: PrivateBus) -> None:
    async with connected() as listener:
        listener.drop("tried here")
        await listener.lost()
        with pytest.raises(LostError):
            await asyncio.wait_for(listener.receives(1), 5.0)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("unix:path=/nonexistent/bus", "can't be reached: No such file"),
        ("unix:runtime=yes", "turned us away: got unix transport"),
        ("nonsense", "turned us away: address did not contain"),
    ],
)
async def test_a_bus_that_is_not_there_is_an_error_with_a_hint(
    address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with pytest.raises(UnreachableError, match=message) as caught:
        await connect("system")
    assert "systemctl status dbus" in caught.value.hint


async def test_a_bus_that_is_stopped_is_given_up_after_the_time_limit(
    session_bus: PrivateBus,
) -> None:
    session_bus.pause()
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        await connect("session", within=0.3)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\xfe\r\n", b""])
async def test_something_else_than_a_bus_is_an_error(
    words: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(words)
        writer.close()

    server = await asyncio.start_unix_server(babble, tmp_path / "bus")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    with pytest.raises(
        UnreachableError, match=r"the session bus (turned us away|can't be reached)"
    ):
        await connect("session", within=2.0)
    server.close()
    await server.wait_closed()


REPLY: dict[str, object] = {"reply_serial": 1, "sender": "org.freedesktop.DBus"}
NONSENSE = {
    "a number for a name": raw_bus.message(
        1, REPLY | {"signature": "u"}, kind=2, body=raw_bus.body("u", 7)
    ),
    "no name at all": raw_bus.message(1, REPLY, kind=2),
    "an array": raw_bus.message(
        1, REPLY | {"signature": "as"}, kind=2, body=raw_bus.body("as", [])
    ),
    "an error without a text": raw_bus.message(1, REPLY | {"error_name": "a.b"}, kind=3),
    "a call": raw_bus.message(1, {"path": "/", "member": "X"}),
    "a message of no version": b"l\2\0\x09" + bytes(12),
    "garbage": b"\xff" * 100,
}


@pytest.mark.parametrize("answer", NONSENSE)
async def test_nonsense_in_answer_to_hello_is_an_error(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = NONSENSE[answer]

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            if line == b"BEGIN\r\n":
                break
            writer.write(b"OK 0123456789abcdef0123456789abcdef\r\n")
        await reader.read(16)
        writer.write(made)
        while await reader.read(4096):  # until the other side closes, as it must
            pass
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    hung_up = asyncio.Event()
    server = await asyncio.start_unix_server(answering, tmp_path / "bus")
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    with pytest.raises(UnreachableError, match="the session bus"):
        await connect("session", within=1.0)
    await asyncio.wait_for(hung_up.wait(), 10)
    server.close()
    await server.wait_closed()


async def test_one_connection_too_many_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with PrivateBus(system=False, limits={"max_completed_connections": 1}) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        async with connected():
            with pytest.raises(UnreachableError, match="turned us away"):
                await connect("session", within=2.0)


async def test_the_session_bus_is_found_in_its_usual_place(
    session_bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "with space~"
    directory.mkdir()
    (directory / "bus").symlink_to(session_bus.address.removeprefix("unix:path="))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    async with connected() as made:
        assert made.unique_name.startswith(":")


@pytest.mark.usefixtures("system_bus")
async def test_a_call_in_vain_leaves_nothing_to_the_collector() -> None:
    async with calling() as caller:
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                with pytest.raises(ErrorReplyError):
                    await caller.connection.call_bus("GetConnectionUnixUser", "s", ":1.999")
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [e for e in gc.garbage if isinstance(e, ErrorReplyError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not left


@pytest.mark.usefixtures("session_bus")
async def test_a_connection_that_is_paused_reads_nothing_until_it_may() -> None:
    async with connected() as sender, connected() as listener:
        heard: list[Signal] = []
        await hear(listener, heard)
        listener.pause()
        before = listener.received
        for n in range(10):
            send(sender, n)
        await sender.call_bus("GetId", "")
        await asyncio.sleep(0.1)
        assert (heard, listener.received) == ([], before)
        listener.resume()
        await until(lambda: len(heard) == 10)
        assert listener.received > before


@pytest.mark.usefixtures("session_bus")
async def test_a_connection_that_is_paused_can_be_closed() -> None:
    async with connected() as made:
        made.pause()
        async with asyncio.timeout(5):
            await made.close()
        made.resume()
