# SPDX-License-Identifier: MIT
from __future__ import annotations

import socket

import pytest

from ipsecwatch.dbus.throttled_socket import PORTION, ThrottledSocket


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
