# SPDX-License-Identifier: MIT
"""Read a file descriptor to its end in the background, and keep a limited part of the data.

pluto waits in send() while nobody reads its answer, so all of it is read even when no more is kept.
One turn of the event loop reads a limited amount: else a pluto that writes as fast as we read would
block the loop.
"""

from __future__ import annotations

import asyncio
import codecs
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE: Final = 256 << 10
"""Bytes of one read. A packet must fit: Linux bounds those of a Unix socket at some 208 KiB."""
TURN_BYTES: Final = 256 << 10
"""Bytes that are read in one turn of the loop, at most."""
TURN_READS: Final = 256
"""Reads in one turn of the loop, at most: from 5.4 each line is a packet."""
ENDLESS: Final = 4
"""An answer is given up as endless after this many times the bytes that may be kept of it."""


class BoundedReader:
    """Reads a non-blocking descriptor until its end, an error, or ``most`` bytes (None: no limit).

    The first ``keep`` bytes are kept, as text with undecodable bytes as surrogate escapes. The
    caller closes the descriptor, after this reader. ``read_into`` reads from it, raises
    BlockingIOError where there is nothing yet, and returns 0 at the end.
    """

    def __init__(
        self, fd: int, read_into: Callable[[memoryview], int], keep: int, most: int | None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._read_into = read_into
        self._keep = keep
        self._room = keep
        self._most = most
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._parts: list[str] = []
        self._end = asyncio.Event()
        self.size = 0
        """Bytes read, kept or not."""
        self.first: float | None = None
        """When the first byte came, on the loop's clock; None: none has come."""
        self.error: OSError | None = None
        """The error that ended the reading; None: none did."""
        self.endless = False
        """The reading was given up after ``most`` bytes."""
        self.on_end: Callable[[], None] | None = None
        """Called when the reading has ended, also by close()."""
        self._loop.add_reader(fd, self._turn)

    @property
    def ended(self) -> bool:
        """Whether the reading has ended: at the end, by an error, after too much, or by close()."""
        return self._end.is_set()

    @property
    def overflowed(self) -> bool:
        """Whether more than ``keep`` bytes were read."""
        return self.size > self._keep

    @property
    def text(self) -> str:
        """The text of the bytes that were kept; "" after forget()."""
        return "".join(self._parts)

    async def wait(self, deadline: float) -> bool:
        """Wait until the reading has ended, at most until ``deadline`` (loop's clock).

        Return whether it has ended, by whatever ``ended`` lists.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._end.wait()
        except TimeoutError:
            return self.ended
        return True

    def forget(self) -> None:
        """Drop what was kept and keep nothing more, but go on reading."""
        self._room = 0
        self._parts.clear()

    def close(self) -> None:
        """Stop reading, and call ``on_end``; do nothing if the reading has ended."""
        if not self.ended:
            self._finish()

    def _turn(self) -> None:
        """Read for one turn of the loop, and decode what is kept."""
        pieces: list[bytearray] = []
        ending = self._read(pieces)
        if self.first is None and self.size:
            self.first = self._loop.time()
        # Packets are put together before they are decoded: a call for each line would cost more
        # than all the rest.
        data = b"".join(pieces)[: self._room]
        self._room -= len(data)
        if data or ending:
            self._parts.append(self._decoder.decode(data, final=ending))
        if ending:
            self._finish()

    def _read(self, pieces: list[bytearray]) -> bool:
        """Read what is there, up to one turn's limit. Return whether the reading has ended."""
        stop = self.size + TURN_BYTES
        try:
            for _ in range(TURN_READS):
                n = self._read_into(_view)
                if n == 0:
                    return True
                self.size += n
                if self._room:
                    pieces.append(_buffer[:n])
                if self._most is not None and self.size >= self._most:
                    self.endless = True
                    return True
                if self.size >= stop:
                    break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as e:
            self.error = e
            return True
        return False

    def _finish(self) -> None:
        """Stop watching the descriptor, let wait() return, and call ``on_end``."""
        self._loop.remove_reader(self._fd)
        self._end.set()
        if self.on_end is not None:
            self.on_end()


# One buffer for all readers: what it holds is copied before the next call of read_into.
_buffer: Final = bytearray(PIECE)
_view: Final = memoryview(_buffer)
