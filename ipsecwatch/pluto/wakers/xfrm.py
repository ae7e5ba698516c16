# SPDX-License-Identifier: MIT
"""A waker for the kernel's XFRM events: IPsec SAs or policies were added, deleted or expired.

It needs CAP_NET_ADMIN and the host's network namespace, which the service has only with the drop-in
xfrm.conf; without them open() returns False. The content of the messages isn't read. They come up
to half a second before pluto's status shows the same change, and only trigger a poll.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.wakers.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

NETLINK_XFRM: Final = 6
# linux/xfrm.h, enum xfrm_nlgroups: acquire, expire, SA, policy
_GROUPS: Final = sum(1 << (group - 1) for group in (1, 2, 3, 4))
_BATCH: Final = 256


class XfrmWatch(Waker):
    """Calls ``wake`` when the kernel reports a change of its IPsec SAs or policies."""

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake
        self._socket: socket.socket | None = None

    def open(self) -> bool:
        """Start to listen for messages. Return False if we lack the rights."""
        try:
            kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
            sock = socket.socket(socket.AF_NETLINK, kind, NETLINK_XFRM)
        except OSError as e:
            logger.debug("no XFRM events: %s", e)
            return False
        try:
            sock.bind((0, _GROUPS))
        except OSError as e:
            logger.debug("no XFRM events: %s", e)
            sock.close()
            return False
        self._socket = sock
        asyncio.get_running_loop().add_reader(sock, self.guard, self._ready)
        return True

    def close(self) -> None:
        """Stop listening for messages."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _ready(self) -> None:
        """Read the waiting messages, at most _BATCH, and call ``wake`` once for all of them.

        It isn't called if no message is from the kernel and none was lost.
        """
        woken = False
        for _ in range(_BATCH):
            if self._socket is None:
                return
            try:
                _, (sender, _) = self._socket.recvfrom(64)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: more happened than fitted, which is a reason, too
                woken = True
                break
            woken = woken or sender == 0  # anybody may send to a netlink socket; the kernel is 0
        if woken:
            self._wake()
