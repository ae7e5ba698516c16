# SPDX-License-Identifier: MIT
"""The socket of a connection to a bus, which limits what is read at once, and filters messages."""

from __future__ import annotations

import fcntl
import socket
import termios
from array import array
from errno import EAGAIN
from typing import TYPE_CHECKING, Final

from ipsecwatch.dbus.frames import Frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.dbus.frames import Handling, Header

PORTION: Final = 32 << 10
"""Bytes that are read before other tasks of the event loop get their turn: some 200 calls."""


class ThrottledSocket(socket.socket):
    """A socket that is read in portions, filters incoming messages, and whose send() doesn't raise.

    The library reads until recv() raises BlockingIOError, so thousands of calls from one connection
    would block the event loop. Therefore recv() also raises it after about PORTION bytes; the event
    loop then calls the library again, since something is left to read. send() returns 0 where a
    usual socket raises BlockingIOError.
    """

    written: Callable[[int], None] = staticmethod(lambda _: None)
    """Called after each send() with the number of bytes that the kernel has accepted."""
    received: Callable[[int], None] = staticmethod(lambda _: None)
    """Called with the number of bytes that were received, before any of them are removed."""
    judge: Callable[[Header], Handling] | None = None
    """Called with the header of each incoming message; decides how much of the message is passed
    on. None: all messages are passed on as they are."""
    _portion = 0
    _frames: Frames | None = None

    def send(self, data: memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """Send as much of ``data`` as the kernel accepts now. Return the number of bytes sent.

        Return 0 if the kernel accepts nothing now. Other errors of the socket are raised.
        """
        try:
            size = super().send(data, flags)
        except BlockingIOError:
            return 0
        if self._frames is None and self.judge is not None and bytes(data[-7:]) == b"BEGIN\r\n":
            self._frames = Frames(self.judge)  # what comes in are messages from now on
        self.written(size)
        return size

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return the next received bytes that ``judge`` lets pass.

        b"": the other side has closed the connection. Raise BlockingIOError if there is nothing to
        read, and also once after about PORTION bytes: then the library returns to the event loop as
        if there was nothing to read.
        """
        while True:
            if self._portion >= PORTION:
                self._portion = 0
                raise BlockingIOError(EAGAIN, "let others have their turn")
            data = super().recv(size, flags)
            self._portion += len(data)
            self.received(len(data))
            if self._frames is None or not data:
                return data
            if passed := self._frames.feed(data):
                return passed

    @property
    def unsent(self) -> int:
        """The number of bytes in the kernel that we sent and the other side hasn't read.

        (unix(7), SIOCOUTQ.) 0 if the socket is closed.
        """
        return self._bytes_in_kernel(termios.TIOCOUTQ)

    @property
    def unread(self) -> int:
        """The number of bytes in the kernel that the other side sent and we haven't read.

        0 if the socket is closed.
        """
        return self._bytes_in_kernel(termios.FIONREAD)

    def _bytes_in_kernel(self, request: int) -> int:
        """Return the number of bytes in one of the kernel's two queues for this socket.

        ``request``: the ioctl(2) that asks for the queue. 0 if the socket is closed.
        """
        held = array("i", [0])
        try:
            fcntl.ioctl(self, request, held)
        except (OSError, ValueError):  # it is closed
            return 0
        return held[0]
