# SPDX-License-Identifier: MIT
"""The socket under a connection to a bus: bears with a busy bus, and with whoever floods us."""

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
    """Writes nothing rather than to say that it would block, and reads in portions.

    The library reads for as long as there is something to read: whoever sends us thousands of calls
    would keep the loop for himself. It is called again where something is left.
    """

    written: Callable[[int], None] = staticmethod(lambda _: None)
    """Told how many bytes were sent."""
    received: Callable[[int], None] = staticmethod(lambda _: None)
    """Told how many bytes came in."""
    judge: Callable[[Header], Handling] | None = None
    """Says what becomes of each message that comes in; None: all are passed on."""
    _portion = 0
    _frames: Frames | None = None

    def send(self, data: memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """Send what can be sent now, perhaps nothing."""
        try:
            size = super().send(data, flags)
        except BlockingIOError:
            return 0
        if self._frames is None and self.judge is not None and bytes(data[-7:]) == b"BEGIN\r\n":
            self._frames = Frames(self.judge)  # what comes in are messages from now on
        self.written(size)
        return size

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read what there is; after each PORTION it is as if there were nothing."""
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
        """Bytes that the kernel holds and the other side hasn't read (unix(7), SIOCOUTQ)."""
        return self._bytes_in_kernel(termios.TIOCOUTQ)

    @property
    def unread(self) -> int:
        """Bytes that the kernel holds and we haven't read."""
        return self._bytes_in_kernel(termios.FIONREAD)

    def _bytes_in_kernel(self, request: int) -> int:
        held = array("i", [0])
        try:
            fcntl.ioctl(self, request, held)
        except (OSError, ValueError):  # it is closed
            return 0
        return held[0]
