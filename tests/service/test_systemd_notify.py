# SPDX-License-Identifier: MIT
"""Tests of what systemd is told about the service."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import PlutoState
from ipsecwatch.service.object_tree import Publication
from ipsecwatch.service.systemd_notify import notify, status_line, watchdog
from ipsecwatch.tunnel import TunnelState
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd would receive notifications."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(path)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listener


def said(systemd: socket.socket) -> list[str]:
    out = []
    while True:
        try:
            out.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return out


@pytest.mark.parametrize(
    ("news", "line"),
    [
        (Publication(pluto=PlutoState.STOPPED), "pluto is stopped"),
        (Publication(pluto=PlutoState.RUNNING), "libreswan ?: no tunnels"),
        (
            Publication(
                [tunnel("a", TunnelState.UP), tunnel("b", TunnelState.DOWN)],
                pluto=PlutoState.RUNNING,
                pluto_version="4.10",
            ),
            "libreswan 4.10: 1 up, 1 down",
        ),
    ],
)
def test_the_status_line_counts_tunnels(news: Publication, line: str) -> None:
    assert status_line(news) == line


def test_a_message_arrives(systemd: socket.socket) -> None:
    notify("READY=1")
    assert said(systemd) == ["READY=1"]


def test_a_systemd_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    notify("READY=1")


async def test_the_watchdog_is_fed_only_while_the_service_is_alive(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    alive = True
    task = asyncio.create_task(watchdog(lambda: alive))
    await until(lambda: "WATCHDOG=1" in said(systemd))
    await until(lambda: "WATCHDOG=1" in said(systemd))
    alive = False
    await asyncio.sleep(0.03)
    said(systemd)
    await asyncio.sleep(0.05)
    assert said(systemd) == []
    task.cancel()
