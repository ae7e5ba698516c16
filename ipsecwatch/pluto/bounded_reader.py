# SPDX-License-Identifier: MIT
"""Read a file descriptor to its end in the background, and keep a limited part of the data.

pluto waits in send() while nobody reads its answer. So all of it is read, even if no more of it is
kept. In one turn of the event loop, a limited amount is read; otherwise a pluto that writes as fast
as we read would block the loop.
"""

from __future__ import annotations

import asyncio
import codecs
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE: Final = 256 << 10
"""The size of the buffer for one read. A packet must fit: Linux limits those of a Unix socket to
some 208 KiB."""
TURN_BYTES: Final = 256 << 10
"""Once so many bytes were read in one turn of the loop, the turn ends."""
TURN_READS: Final = 256
"""How many reads there are in one turn of the loop at most: from 5.4 each line is a packet."""
ENDLESS: Final = 4
"""After this many times the bytes that may be kept of an answer, the answer is given up as
endless."""


class BoundedReader:
    """Reads a non-blocking descriptor until its end, an error, or ``most`` bytes (None: no limit).

    The first ``keep`` bytes are kept, as text: undecodable bytes are surrogate escapes.
    ``read_into`` reads from the descriptor into a buffer, and returns the number of bytes, which is
    0 at the end; it raises BlockingIOError if there is nothing to read yet. The caller closes the
    descriptor, after it has closed this reader.
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
        """How many bytes were read, kept or not."""
        self.first: float | None = None
        """When the first bytes were read, on the loop's clock; None: none were."""
        self.error: OSError | None = None
        """The error that ended the reading; None: none did."""
        self.endless = False
        """Whether the reading was given up after ``most`` bytes."""
        self.on_end: Callable[[], None] | None = None
        """Called once when the reading has ended for any reason, close() included; None: nothing
        is."""
        self._loop.add_reader(fd, self._turn)

    @property
    def ended(self) -> bool:
        """Whether the reading has ended.

        It ends at the descriptor's end, by an error, after ``most`` bytes, or by close().
        """
        return self._end.is_set()

    @property
    def overflowed(self) -> bool:
        """Whether more than ``keep`` bytes were read."""
        return self.size > self._keep

    @property
    def text(self) -> str:
        """The kept bytes as text. forget() empties it."""
        return "".join(self._parts)

    async def wait(self, deadline: float) -> bool:
        """Wait until the reading has ended, at most until ``deadline`` (loop's clock).

        Return whether it has ended; it may have been ended by an error or by close(), too.
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
        """Stop reading, and call ``on_end``. Do nothing if the reading has ended before."""
        if not self.ended:
            self._finish()

    def _turn(self) -> None:
        """Read for one turn of the loop, and decode what is to be kept. Finish if it is the end."""
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
        """Add what is there to ``pieces``, up to one turn's limit. Return whether it is the end."""
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
        """End the reading: stop watching the descriptor, let wait() return, call ``on_end``."""
        self._loop.remove_reader(self._fd)
        self._end.set()
        if self.on_end is not None:
            self.on_end()


# One buffer for all readers: what it holds is copied before the next call of read_into.
_buffer: Final = bytearray(PIECE)
_view: Final = memoryview(_buffer)
