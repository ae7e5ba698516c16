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
"""Bytes that are read before others get their turn: some 200 calls."""


class ThrottledSocket(socket.socket):
    """A socket that receives some PORTION bytes in a row, and whose send() never raises EAGAIN.

    The library reads for as long as there is something to read, so thousands of calls from one
    connection would block the event loop. It is called again where something is left.
    """

    written: Callable[[int], None] = staticmethod(lambda _: None)
    """Called with the number of bytes that were sent."""
    received: Callable[[int], None] = staticmethod(lambda _: None)
    """Called with the number of bytes that were received, before any were filtered out."""
    judge: Callable[[Header], Handling] | None = None
    """Decides by its header what is passed on of each incoming message; None: all of each."""
    _portion = 0
    _frames: Frames | None = None

    def send(self, data: memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """Send what can be sent now. Return the number of bytes; 0 where it would block."""
        try:
            size = super().send(data, flags)
        except BlockingIOError:
            return 0
        if self._frames is None and self.judge is not None and bytes(data[-7:]) == b"BEGIN\r\n":
            self._frames = Frames(self.judge)  # what comes in are messages from now on
        self.written(size)
        return size

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Return received bytes, filtered; b"": the other side has closed the connection.

        Raise BlockingIOError where there is nothing to read, and once after each PORTION: then the
        library returns to the event loop, as if there was nothing to read.
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
        """Bytes that we sent and the other side hasn't read (unix(7), SIOCOUTQ)."""
        return self._bytes_in_kernel(termios.TIOCOUTQ)

    @property
    def unread(self) -> int:
        """Bytes that the other side sent and we haven't read."""
        return self._bytes_in_kernel(termios.FIONREAD)

    def _bytes_in_kernel(self, request: int) -> int:
        """Return the bytes in one of the kernel's queues for this socket; 0 if it is closed."""
        held = array("i", [0])
        try:
            fcntl.ioctl(self, request, held)
        except (OSError, ValueError):  # it is closed
            return 0
        return held[0]
