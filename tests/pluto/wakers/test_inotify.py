# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

from ipsecwatch.pluto.wakers.inotify import SocketWatch

if TYPE_CHECKING:
    from pathlib import Path


async def settled(woken: list[int]) -> int:
    """Return how often something was woken so far, after the kernel's events have been read."""
    await asyncio.sleep(0.05)
    count = len(woken)
    woken.clear()
    return count


async def test_each_coming_and_going_of_the_socket_wakes(tmp_path: Path) -> None:
    directory = tmp_path / "pluto"
    directory.mkdir()
    socket = directory / "pluto.ctl"
    woken: list[int] = []
    watch = SocketWatch(socket, lambda: woken.append(1))
    assert watch.open()
    try:
        socket.touch()
        assert await settled(woken)
        socket.unlink()
        assert await settled(woken)
        (directory / "pluto.pid").touch()
        assert await settled(woken) == 0
    finally:
        watch.close()


async def test_a_directory_that_is_made_anew_is_watched_again(tmp_path: Path) -> None:
    directory = tmp_path / "pluto"
    woken: list[int] = []
    watch = SocketWatch(directory / "pluto.ctl", lambda: woken.append(1))
    assert watch.open()
    try:
        for _ in range(2):
            directory.mkdir()
            assert await settled(woken)
            (directory / "pluto.ctl").touch()
            assert await settled(woken)
            shutil.rmtree(directory)
            assert await settled(woken)
        (tmp_path / "other").mkdir()
        assert await settled(woken) == 0
    finally:
        watch.close()


async def test_a_directory_some_levels_up_may_come_later_and_go(tmp_path: Path) -> None:
    socket = tmp_path / "vpn" / "run" / "pluto" / "pluto.ctl"
    woken: list[int] = []
    watch = SocketWatch(socket, lambda: woken.append(1))
    assert watch.open()
    try:
        for _ in range(2):
            os.makedirs(socket.parent)
            assert await settled(woken)
            socket.touch()
            assert await settled(woken)
            (tmp_path / "vpn" / "else").touch()
            assert await settled(woken) == 0
            shutil.rmtree(tmp_path / "vpn")
            assert await settled(woken)
        # A folder that is moved here brings all its content with it.
        made = tmp_path / "made" / "run" / "pluto"
        os.makedirs(made)
        assert await settled(woken) == 0
        (tmp_path / "made").rename(tmp_path / "vpn")
        assert await settled(woken)
        socket.touch()
        assert await settled(woken)
    finally:
        watch.close()


async def test_a_watch_that_was_closed_leaves_no_descriptor(tmp_path: Path) -> None:
    before = len(list_fds())
    for _ in range(3):
        watch = SocketWatch(tmp_path / "pluto" / "pluto.ctl", lambda: None)
        assert watch.open()
        watch.close()
    assert len(list_fds()) == before


def list_fds() -> list[str]:

    return os.listdir("/proc/self/fd")
