# SPDX-License-Identifier: MIT
"""Tests of the queue of messages that wait for the bus, with a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.dbus import send_queue
from ipsecwatch.dbus.errors import TooLargeError
from ipsecwatch.dbus.send_queue import ROOM, QueueFullError, SendQueue
from ipsecwatch.dbus.throttled_socket import ThrottledSocket

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def queue() -> Iterator[tuple[SendQueue, ThrottledSocket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with theirs, ThrottledSocket(fileno=ours.detach()) as sock:
        sock.setblocking(False)
        yield SendQueue(sock), sock, theirs


async def test_what_waits_is_counted_until_the_kernel_has_taken_it() -> None:
    with queue() as (waiting, sock, _):
        waiting.append((b"x" * 100,))
        assert (waiting.size, waiting.last, waiting.in_flight) == (100, 100, 100)
        assert sock.send(memoryview(b"x" * 100)) == 100
        assert (waiting.size, waiting.taken) == (0, 100)
        assert waiting.in_flight >= 100, "the other side hasn't read it"


async def test_there_is_room_again_when_the_kernel_has_taken_enough() -> None:
    with queue() as (waiting, _, _):
        waiting.append((b"x" * (ROOM + 1),))
        assert not waiting.room.is_set()
        waiting.written(1)
        assert waiting.room.is_set()


async def test_a_message_that_is_too_large_is_not_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_queue, "MAX_MESSAGE", 10)
    with queue() as (waiting, _, _):
        with pytest.raises(TooLargeError):
            waiting.append((b"x" * 11,))
        assert (len(waiting), waiting.size) == (0, 0)


async def test_past_the_limit_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_queue, "MAX_BACKLOG", 1 << 20)
    with queue() as (waiting, _, _):
        waiting.append((b"x" * (1 << 20),))
        with pytest.raises(QueueFullError, match="has left 1 MiB unread"):
            waiting.append((b"x",))


async def test_a_bus_stalls_only_while_something_waits_that_it_does_not_read() -> None:
    with queue() as (waiting, sock, theirs):
        await asyncio.sleep(0.01)
        assert not waiting.stalled()
        sock.send(memoryview(b"x" * 100))
        waiting.stalled()
        await asyncio.sleep(0.02)
        assert waiting.stalled() >= 0.02
        theirs.recv(100)
        assert not waiting.stalled()
