# SPDX-License-Identifier: MIT
"""A fake pluto: a control socket that gives the answers of a recording.

It behaves as pluto did: one question at a time, each line with its ``NNN`` prefix, no socket while
pluto was stopped, nobody listening after it was killed, and no answer while it hung. A client that
still waits when it goes on is answered then.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from bisect import bisect_right
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.query import QUESTION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

BACKLOG: Final = 5
"""pluto's own value: listen(fd, 5) makes six places."""
LOOK: Final = 0.02
"""Seconds, by the real clock, between two checks of what the recorded pluto did."""
PATIENCE: Final = 5.0
"""Seconds that a client has to send its question, and to take the answer, or each packet of it."""

_PREFIX: Final = re.compile(r"\d{3} ")
_BAD_MAGIC: Final = (
    "030 ignoring message from whack with bad magic; Mismatched versions of userland tools.\n"
)


class Silence(Enum):
    """Why pluto gives no answer."""

    STOPPED = auto()
    """Stopped: there is no socket."""
    KILLED = auto()
    """Killed: the socket is there, and nobody listens."""
    HANGING = auto()
    """It accepts connections and doesn't answer."""


Said = str | Silence
"""The answer to ``status`` as it was recorded, or why there was none."""


class Timeline:
    """pluto's answers over time: each is given from its time on, the first also before it."""

    def __init__(self, said: Iterable[tuple[float, Said]]) -> None:
        moments = sorted(said, key=lambda moment: moment[0])
        if not moments:
            raise ValueError("a timeline needs one moment at least")
        self._times = [at for at, _ in moments]
        self._said = [said for _, said in moments]

    def __call__(self, t: float) -> Said:
        """Return pluto's answer at time ``t``, or why it gave none then."""
        return self._said[max(0, bisect_right(self._times, t) - 1)]


def on_the_wire(text: str) -> str:
    """Return a text with pluto's ``NNN`` prefix on each line; ``000`` where whack removed it."""
    return "".join(line if _PREFIX.match(line) else f"000 {line}" for line in _lines(text))


def _lines(text: str) -> list[str]:
    """Return the lines of a text with their newlines; str.splitlines() splits elsewhere, too."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


class FakePluto:
    """Plays a pluto at ``path`` while its context lasts.

    ``clock`` returns the time that is played now, in seconds as in the recording; a demo may let it
    run faster than real time. ``says`` returns what pluto answered at such a time. ``packets``: the
    socket is a SOCK_SEQPACKET, as from 5.4 on.
    """

    def __init__(
        self,
        path: str,
        says: Callable[[float], Said],
        clock: Callable[[], float],
        *,
        packets: bool = False,
    ) -> None:
        self._path = path
        self._says = says
        self._clock = clock
        self._kind = socket.SOCK_SEQPACKET if packets else socket.SOCK_STREAM
        self._listener: socket.socket | None = None
        self._player: asyncio.Task[None] | None = None
        self.asked = 0
        """The number of questions that were answered."""

    async def __aenter__(self) -> FakePluto:
        """Start to answer. On return the socket exists, if the recorded pluto has one by now."""
        self._remove()
        self._update_socket()
        self._player = asyncio.create_task(self._play(), name="playback")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and remove the socket. Raise the error that ended the answering, if one did."""
        assert self._player is not None
        self._player.cancel()
        try:
            await asyncio.wait([self._player])
        finally:
            self._hush()
            self._remove()
        if not self._player.cancelled():
            self._player.result()

    @property
    def _now(self) -> Said:
        return self._says(self._clock())

    async def _play(self) -> None:
        """Answer one client after the other while there is a socket, until cancelled."""
        while True:
            self._update_socket()
            if self._listener is None:
                await asyncio.sleep(LOOK)
            else:
                await self._answer_next(self._listener)

    def _update_socket(self) -> None:
        """Open, close or remove the socket, as the recorded pluto did at the time of ``clock``."""
        now = self._now
        if now is Silence.STOPPED:
            self._hush()
            self._remove()
        elif now is Silence.KILLED:
            if not os.path.exists(self._path):
                self._listen()
            self._hush()
        elif self._listener is None:
            self._remove()
            self._listen()

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, self._kind | socket.SOCK_NONBLOCK)
        mask = os.umask(0o077)
        try:
            self._listener.bind(self._path)
        finally:
            os.umask(mask)
        self._listener.listen(BACKLOG)

    def _hush(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    async def _answer_next(self, listener: socket.socket) -> None:
        """Answer the next client, if one connects within LOOK seconds."""
        if not await _readable(listener, LOOK):
            return
        # The client may have left; one that reads too slowly loses the rest.
        with suppress(OSError, TimeoutError):
            client, _ = listener.accept()
            with client:
                client.settimeout(0)
                await self._answer(client)

    async def _answer(self, client: socket.socket) -> None:
        """Read a client's question and answer it; one that isn't QUESTION gets pluto's error.

        While the recorded pluto hangs, wait. If it stopped or was killed, return without an answer.
        """
        if not await _readable(client, PATIENCE):
            return
        question = client.recv(4096)
        while (now := self._now) is Silence.HANGING:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(LOOK)
        if isinstance(now, Silence):
            return  # pluto ended without an answer
        text = on_the_wire(now) if question == QUESTION else _BAD_MAGIC
        # Up to 5.3 a stream has no borders; from 5.4 on each line is a packet.
        for piece in _lines(text) if self._kind is socket.SOCK_SEQPACKET else [text]:
            data = piece.encode("utf-8", "surrogateescape")
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_sendall(client, data)
        self.asked += 1


async def _readable(sock: socket.socket, timeout: float) -> bool:  # noqa: ASYNC109
    """Wait until a socket is readable, at most ``timeout`` seconds. Return whether it is.

    sock_accept() with a time limit isn't used, since it can lose a connection.
    """
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        async with asyncio.timeout(timeout):
            await ready.wait()
    except TimeoutError:
        return ready.is_set()
    finally:
        loop.remove_reader(sock)
    return True
