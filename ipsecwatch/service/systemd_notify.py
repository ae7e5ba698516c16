# SPDX-License-Identifier: MIT
"""Send systemd messages about the service: its state, a status line, and that it still works."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from typing import TYPE_CHECKING

from ipsecwatch.libsystemd import binding
from ipsecwatch.libsystemd.binding import NoLibraryError
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.service.object_tree import Publication

logger = logging.getLogger(__name__)


def notify(message: str) -> None:
    """Send a message such as ``READY=1`` to systemd (sd_notify(3)).

    Raise nothing: an error is only logged, for debugging.
    """
    try:
        binding.notify(message)
    except (OSError, NoLibraryError) as e:
        logger.debug("systemd can't be told %s: %s", message, e)


def status_line(news: Publication) -> str:
    """Return the line about the service that `systemctl status` shows.

    ``libreswan 5.2: 3 up, 1 down``: pluto's version, and the number of tunnels in each state. If
    pluto isn't RUNNING, it is ``pluto is stopped``.
    """
    if news.pluto is not PlutoState.RUNNING:
        return f"pluto is {news.pluto}"
    counts = Counter([t.state for t in news.tunnels])
    told = ", ".join(f"{counts[s]} {s}" for s in TunnelState if counts[s]) or "no tunnels"
    return f"libreswan {news.pluto_version or '?'}: {told}"


async def watchdog(is_alive: Callable[[], bool]) -> None:
    """Send systemd the message that the service still works, as its watchdog expects. Never return.

    That is three times in the unit's time limit (WatchdogSec=), but each time only if ``is_alive``
    returns True. Without a watchdog for this process, send nothing.
    """
    limit = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    if not limit or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        await asyncio.Event().wait()
    while True:
        if is_alive():
            notify("WATCHDOG=1")
        await asyncio.sleep(limit / 3)
