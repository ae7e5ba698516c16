# SPDX-License-Identifier: MIT
"""The socket under a connection to a bus: bears with a busy bus, and with whoever floods us."""

from __future__ import annotations

import socket
import struct
from errno import EAGAIN
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PORTION: Final = 32 << 10
"""Bytes that are read before others get their turn: some 200 calls."""

_HEADER: Final = 16
"""Bytes with which every message begins; they tell how long it is."""


class ThrottledSocket(socket.socket):
    """Writes nothing rather than to say that it would block, and reads in portions.

    The library reads for as long as there is something to read: whoever sends us thousands of calls
    would keep the loop for himself. It is called again where something is left.
    """

    written: Callable[[int], None] = staticmethod(lambda _: None)
    """Told how many bytes were sent."""
    largest: int | None = None
    """Bytes of the largest body that comes in whole; a larger one is left out."""
    _portion = 0
    _frames: Frames | None = None

    def send(self, data: memoryview, flags: int = 0) -> int:  # type: ignore[override]
        """Send what can be sent now, perhaps nothing."""
        try:
            size = super().send(data, flags)
        except BlockingIOError:
            return 0
        if self._frames is None and self.largest is not None and bytes(data[-7:]) == b"BEGIN\r\n":
            self._frames = Frames(self.largest)  # what comes in are messages from now on
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
            if self._frames is None or not data:
                return data
            if passed := self._frames.feed(data):
                return passed


class Frames:
    """Goes through a stream of messages and leaves out bodies that are too large.

    The bus passes messages of 32 MiB, or of 128, from anybody; read and unpacked they take several
    times as much memory. What is left of such a message has no body: a call gets an error.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._head = bytearray()
        self._passing = self._skipping = 0

    def feed(self, data: bytes) -> bytes:
        """Take what came in, cut anywhere; answers what of it is passed on."""
        if len(data) <= self._passing:  # the usual case of a long message
            self._passing -= len(data)
            return data
        out = bytearray()
        rest = memoryview(data)
        while rest:
            if self._passing:
                out += rest[: self._passing]
                rest, self._passing = self._advanced(rest, self._passing)
            elif self._skipping:
                rest, self._skipping = self._advanced(rest, self._skipping)
            else:
                missing = _HEADER - len(self._head)
                self._head += rest[:missing]
                rest = rest[missing:]
                if len(self._head) == _HEADER:
                    out += self._begin()
        return bytes(out)

    @staticmethod
    def _advanced(rest: memoryview, count: int) -> tuple[memoryview, int]:
        return rest[count:], max(0, count - len(rest))

    def _begin(self) -> bytes:
        head, self._head = self._head, bytearray()
        order = ">" if head[0] == ord("B") else "<"
        body, _, fields = struct.unpack_from(f"{order}III", head, 4)
        fields += -fields % 8
        if fields > self._largest:
            self._skipping = fields + body
            return b""
        self._passing = fields
        if body > self._largest:
            self._skipping = body
            struct.pack_into(f"{order}I", head, 4, 0)
        else:
            self._passing += body
        return bytes(head)
