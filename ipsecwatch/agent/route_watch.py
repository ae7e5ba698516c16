# SPDX-License-Identifier: MIT
"""Watch whether this machine has a route to other machines, by rtnetlink.

The kernel's messages aren't parsed. Each is only a reason to read the kernel's routing tables,
which are text files in /proc.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

SETTLE: Final = 0.3
"""Seconds to wait for further changes before the tables are read."""
MAX_TABLE: Final = 1 << 20
"""The number of bytes of a table that are read. A machine with more routes surely has one to other
machines."""

# linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
_GROUPS: Final = 0x1 | 0x40 | 0x400
# linux/route.h and linux/ipv6_route.h
_UP, _REJECT = 0x1, 0x200
_NETLINK_ROUTE: Final = 0


async def watch_routes(tell: Callable[[bool], object]) -> None:
    """Call ``tell`` with whether there is a route to other machines: now, and at each change.

    This runs for ever, but returns at once if this process isn't allowed to watch routes.
    """
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    except OSError as e:
        logger.debug("routes can't be watched: %s", e)
        return
    with sock:
        try:
            sock.bind((0, _GROUPS))
        except OSError as e:
            logger.debug("routes can't be watched: %s", e)
            return
        await _follow(sock, tell)


async def _follow(sock: socket.socket, tell: Callable[[bool], object]) -> None:
    """Call ``tell`` with the result of is_online(), now and whenever it has changed, for ever."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    loop.add_reader(sock, _drain, sock, changed)
    told: bool | None = None
    try:
        while True:
            online = is_online()
            if online is not told:
                tell(online)
                told = online
            await changed.wait()
            await asyncio.sleep(SETTLE)
            changed.clear()
    finally:
        loop.remove_reader(sock)


def _drain(sock: socket.socket, changed: asyncio.Event) -> None:
    """Read all messages, and set ``changed`` if one was from the kernel, or if some were lost."""
    try:
        while True:
            _, (sender, _) = sock.recvfrom(64)
            if sender == 0:  # any process may send to this socket; 0 is the kernel
                changed.set()
    except BlockingIOError:
        pass
    except OSError:  # ENOBUFS: messages were lost
        changed.set()


def is_online(proc: Path = Path("/proc/self/net"), sys: Path = Path("/sys/class/net")) -> bool:
    """Return whether any route leads to other machines. Return True if that can't be found out.

    A route counts if it is usable, isn't link-local, and its interface leads out (_leads_out()).
    ``proc`` and ``sys`` are the folders to read from.
    """
    try:
        tables = [_read(proc / name) for name in ("route", "ipv6_route")]
    except OSError:
        return True
    routes = [*_ipv4(tables[0]), *_ipv6(tables[1])]
    return any(_leads_out(name, sys) for name in set(routes))


def _read(path: Path) -> str:
    """Return the text of a routing table; "" if there is no such file (a kernel without IPv6).

    Raise OSError if it can't be read.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.read(MAX_TABLE)
    except FileNotFoundError:  # a kernel without IPv6
        return ""


def _ipv4(table: str) -> Iterator[str]:
    """Yield the interface of each usable IPv4 route that isn't link-local, from the table's text.

    A line of the table has the interface, the destination, the gateway, the flags, and more.
    """
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 3 and _is_usable(words[3]) and not _is_link_local_v4(words[1]):
            yield words[0]


def _is_link_local_v4(destination: str) -> bool:
    return destination in ("0000FEA9", "A9FE0000")  # 169.254.0.0, in either byte order


def _ipv6(table: str) -> Iterator[str]:
    """Yield the interface of each usable IPv6 route that is neither link-local nor multicast.

    A line of the table has the destination, seven more words, the flags, and the interface.
    """
    for line in table.splitlines():
        words = line.split()
        if len(words) == 10 and _is_usable(words[8]) and not words[0].startswith(("fe8", "ff")):
            yield words[9]


def _is_usable(flags: str) -> bool:
    """Return whether a route's flags (hexadecimal) say that it is up and doesn't reject packets."""
    try:
        number = int(flags, 16)
    except ValueError:
        return False
    return bool(number & _UP) and not number & _REJECT


def _leads_out(interface: str, sys: Path) -> bool:
    """Return whether an interface may lead to other machines.

    That is so unless it is loopback, a bridge, or down. One whose state can't be read doesn't count
    as down.
    """
    if interface == "lo" or (sys / interface / "bridge").exists():
        return False
    try:
        state = (sys / interface / "operstate").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return True
    return state not in ("down", "lowerlayerdown")
