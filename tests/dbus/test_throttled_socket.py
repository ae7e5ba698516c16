# SPDX-License-Identifier: MIT
from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.dbus.throttled_socket import PORTION, Frames, ThrottledSocket
from tests.support import raw_bus

LARGEST = 100


def message(size: int, path: str = "/") -> bytes:
    body = raw_bus.body("ay", bytes(size)) if size else b""
    fields = {"path": path} | ({"signature": "ay"} if size else {})
    return raw_bus.message(7, fields, body=body)


def fed(data: bytes, cuts: list[int]) -> bytes:
    """What is passed on of a stream that comes in pieces."""
    frames, out, at = Frames(LARGEST), b"", 0
    for cut in [*cuts, len(data)]:
        out += frames.feed(data[at : at + cut])
        at += cut
        if at >= len(data):
            break
    return out


@given(
    sizes=st.lists(st.sampled_from([0, 1, 50, 96, 97, 5000]), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
def test_bodies_that_are_too_large_are_left_out_wherever_the_stream_is_cut(
    sizes: list[int], cuts: list[int]
) -> None:
    expected = b""
    for size in sizes:
        whole = message(size)
        if size + 4 > LARGEST:  # 4 for the length of the array
            whole = whole[: -(size + 4)]
            whole = whole[:4] + bytes(4) + whole[8:]
        expected += whole
    assert fed(b"".join(message(size) for size in sizes), cuts) == expected


def test_a_message_with_too_large_a_header_is_left_out_as_a_whole() -> None:
    assert fed(message(5) + message(5, path="/" + "a" * 500) + message(6), []) == (
        message(5) + message(6)
    )


def test_the_other_byte_order_is_understood() -> None:
    head = b"B\1\0\1" + (200).to_bytes(4, "big") + (1).to_bytes(4, "big") + (8).to_bytes(4, "big")
    passed = fed(head + b"12345678" + bytes(200) + message(1), [])
    assert passed == head[:4] + bytes(4) + head[8:] + b"12345678" + message(1)


def test_a_full_socket_takes_nothing_and_is_no_error() -> None:
    one, other = socket.socketpair()
    with ThrottledSocket(fileno=one.detach()) as ours, other:
        ours.setblocking(False)
        written: list[int] = []
        ours.written = written.append
        data = memoryview(bytes(1 << 20))
        while ours.send(data):
            pass
        assert sum(written) > 0


def test_it_reads_a_portion_at_a_time() -> None:
    one, other = socket.socketpair()
    with ThrottledSocket(fileno=one.detach()) as ours, other:
        ours.setblocking(False)
        other.setblocking(False)
        sent = other.send(bytes(3 * PORTION))
        assert sent > PORTION
        for _ in range(PORTION // 8192):
            assert len(ours.recv(8192)) == 8192
        with pytest.raises(BlockingIOError):
            ours.recv(8192)
        assert len(ours.recv(8192)) == 8192
