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
"""Bytes that may wait in the queue until the kernel accepts them: enough for the signals of 10,000
tunnels that are lost at once."""
ROOM: Final = 1 << 20
"""While at most so many bytes wait in the queue, there is room for an answer of any size."""
MAX_MESSAGE: Final = 16 << 20
"""Bytes of the largest message that is sent. The system bus disconnects who sends one of more than
32 MiB."""


class QueueFullError(Exception):
    """Too much waits to be sent, because the bus doesn't read.

    The text is the end of a sentence that begins with the bus: ``has left 32 MiB unread``.
    """


class SendQueue(deque[Any]):
    """A queue of marshalled messages, which is put in the place of the library's own queue.

    It also counts bytes: those that wait, and those that the kernel has accepted.
    """

    def __init__(self, sock: ThrottledSocket) -> None:
        super().__init__()
        self._socket = sock
        sock.written = self.written
        self.size = 0
        """The number of bytes that wait: the kernel hasn't accepted them yet."""
        self.last = 0
        """The size of the message that was added last, in bytes."""
        self.taken = 0
        """The number of bytes that the kernel has accepted since this queue exists."""
        self.room = asyncio.Event()
        """An event that is set while at most ROOM bytes wait in this queue."""
        self.room.set()
        self._glance = 0, 0, asyncio.get_running_loop().time()
        """What the last call of stalled() saw: the number of bytes in the kernel that the bus
        hadn't read, the value of ``taken``, and the last time (loop's clock) at which a call saw
        that the bus had read something, or that nothing waited."""

    def append(self, item: Any) -> None:  # noqa: ANN401
        """Add a message, as the library does: a tuple that begins with the marshalled message.

        Raise TooLargeError if it has more than MAX_MESSAGE bytes, and QueueFullError if more than
        MAX_BACKLOG bytes would wait then. It isn't added in either case.
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
        """Record that the kernel has accepted ``size`` more bytes. The socket calls this."""
        self.size -= size
        self.taken += size
        if self.size <= ROOM:
            self.room.set()

    @property
    def in_flight(self) -> int:
        """The number of bytes from us that the bus hasn't read, in this queue and in the kernel.

        A bus that others keep busy may read only some kilobytes a second from us.
        """
        return self.size + self._socket.unsent

    def stalled(self) -> float:
        """Return for how many seconds the bus has read nothing although bytes from us wait for it.

        0.0: nothing waits, or the bus has read something since the last call of this method. Call
        it regularly: it only compares with what was unread at its last call.
        """
        now, held, taken = asyncio.get_running_loop().time(), self._socket.unsent, self.taken
        before, taken_before, _ = self._glance
        # If the bus has read nothing, all that the kernel accepted since is still there.
        if not held + self.size or held < before + taken - taken_before:
            self._glance = held, taken, now
        else:
            self._glance = held, taken, self._glance[2]
        return now - self._glance[2]
