# SPDX-License-Identifier: MIT
"""A queue of messages that wait to be sent, which knows how much of them the bus has read."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.errors import TooLargeError

if TYPE_CHECKING:
    from ipsecwatch.dbus.throttled_socket import ThrottledSocket

MAX_BACKLOG: Final = 32 << 20
"""Bytes that may wait until the kernel accepts them; enough for 10,000 tunnels that are lost at
once."""
ROOM: Final = 1 << 20
"""Bytes of backlog below which there is room for an answer of any size."""
MAX_MESSAGE: Final = 16 << 20
"""Bytes of one message. The system bus disconnects a sender of more than 32 MiB."""


class QueueFullError(Exception):
    """The bus doesn't read what we send. The text is what follows "the bus" in a sentence."""


class SendQueue(deque[Any]):
    """The library's queue of marshalled messages, which also counts the bytes that wait."""

    def __init__(self, sock: ThrottledSocket) -> None:
        super().__init__()
        self._socket = sock
        sock.written = self.written
        self.size = 0
        """Bytes that the kernel hasn't accepted yet."""
        self.last = 0
        """Bytes of the message that was added last."""
        self.taken = 0
        """Bytes that the kernel has accepted in all."""
        self.room = asyncio.Event()
        """Set while at most ROOM bytes wait."""
        self.room.set()
        self._glance = 0, 0, asyncio.get_running_loop().time()
        """At the last call of stalled(): the bytes in the kernel, the bytes that it had accepted in
        all, and when the bus had last read anything."""

    def append(self, item: Any) -> None:  # noqa: ANN401
        """Add a message.

        Raise TooLargeError past MAX_MESSAGE, QueueFullError if more than MAX_BACKLOG would wait.
        """
        size = len(item[0])
        if size > MAX_MESSAGE:
            raise TooLargeError(f"a message of {size >> 20} MiB is too large for the bus")
        if self.size + size > MAX_BACKLOG:
            raise QueueFullError(f"has left {MAX_BACKLOG >> 20} MiB unread")
        self.size += size
        self.last = size
        if self.size > ROOM:
            self.room.clear()
        super().append(item)

    def written(self, size: int) -> None:
        """Record that the kernel has accepted so many bytes."""
        self.size -= size
        self.taken += size
        if self.size <= ROOM:
            self.room.set()

    @property
    def in_flight(self) -> int:
        """Bytes that the bus hasn't read: those in this queue and in the kernel.

        A bus that others keep busy may read only some kilobytes a second from us.
        """
        return self.size + self._socket.unsent

    def stalled(self) -> float:
        """Return for how many seconds the bus has read nothing although bytes wait; else 0.0.

        Has to be called regularly: it compares what is unread with the last call.
        """
        now, held, taken = asyncio.get_running_loop().time(), self._socket.unsent, self.taken
        before, taken_before, _ = self._glance
        # If the bus has read nothing, all that the kernel accepted since is still there.
        if not held + self.size or held < before + taken - taken_before:
            self._glance = held, taken, now
        else:
            self._glance = held, taken, self._glance[2]
        return now - self._glance[2]
