# SPDX-License-Identifier: MIT
"""A fake pluto: a control socket that gives the answers of a recording.

It behaves as the recorded pluto did. It answers one question at a time, with a prefix of three
digits on each line. While pluto was stopped, there is no socket; after it was killed, nobody
listens on the socket; while it hung, nothing is answered. A client that still waits when a pluto
that hung goes on is answered then.
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
"""How many clients may wait to be accepted: pluto's own value. Linux lets one more wait."""
LOOK: Final = 0.02
"""Seconds, by the real clock, between two checks of what the recorded pluto did."""
PATIENCE: Final = 5.0
"""Seconds that a client has to send its question, and again to take the answer.

On a SOCK_SEQPACKET, it has this time for each packet of the answer.
"""

_PREFIX: Final = re.compile(r"\d{3} ")
_BAD_MAGIC: Final = (
    "030 ignoring message from whack with bad magic; Mismatched versions of userland tools.\n"
)


class Silence(Enum):
    """Why pluto gives no answer."""

    STOPPED = auto()
    """pluto was stopped: there is no socket."""
    KILLED = auto()
    """pluto was killed: its socket is still there, but nobody listens on it."""
    HANGING = auto()
    """pluto hangs: it accepts connections, but doesn't answer."""


Said = str | Silence
"""An answer to ``status`` as it was recorded, or why there was none."""


class Timeline:
    """What pluto answered when: call it with a time.

    Each answer is given from its own time on, until that of the next one. The first answer is given
    for all times before it, too. The constructor raises ValueError if there are no answers.
    """

    def __init__(self, said: Iterable[tuple[float, Said]]) -> None:
        moments = sorted(said, key=lambda moment: moment[0])
        if not moments:
            raise ValueError("a timeline needs one moment at least")
        self._times = [at for at, _ in moments]
        self._said = [said for _, said in moments]

    def __call__(self, t: float) -> Said:
        """Return pluto's answer at the time ``t`` (in seconds), or why it gave none then."""
        return self._said[max(0, bisect_right(self._times, t) - 1)]


def on_the_wire(text: str) -> str:
    """Return an answer as it is on pluto's socket: each line has a prefix of three digits.

    A line without a prefix gets ``000``, because whack removed its prefix.
    """
    return "".join(line if _PREFIX.match(line) else f"000 {line}" for line in _lines(text))


def _lines(text: str) -> list[str]:
    """Return the lines of a text, with their line feeds. Only line feeds end a line.

    str.splitlines() would also split at other characters.
    """
    return re.findall(r"[^\n]*\n|[^\n]+", text)


class FakePluto:
    """Plays a pluto with its control socket at ``path``, while its context (``async with``) lasts.

    ``clock`` returns the time of the recording that is played now, in seconds; a demo may let it
    run faster than real time. ``says`` returns what pluto answered at such a time (Timeline).
    ``packets`` says that the socket is a SOCK_SEQPACKET, as from 5.4 on, not a SOCK_STREAM.
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
        """How many questions were answered, wrong ones included."""

    async def __aenter__(self) -> FakePluto:
        """Start to play. When this returns, the socket exists, if pluto has one at this time."""
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
        """Stop to play, and remove the socket. If an error has ended the playing, raise it."""
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
        """Play until cancelled: answer one client after the other, while there is a socket."""
        while True:
            self._update_socket()
            if self._listener is None:
                await asyncio.sleep(LOOK)
            else:
                await self._answer_next(self._listener)

    def _update_socket(self) -> None:
        """Open, close or remove the socket, so that it is as pluto's was at this time."""
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
        """Send the next client its answer. Return if none connects within LOOK seconds.

        A client that leaves, or takes its answer too slowly, is dropped.
        """
        if not await _readable(listener, LOOK):
            return
        # The client may have left; one that reads too slowly loses the rest.
        with suppress(OSError, TimeoutError):
            client, _ = listener.accept()
            with client:
                client.settimeout(0)
                await self._answer(client)

    async def _answer(self, client: socket.socket) -> None:
        """Read a client's question and answer it; any question but QUESTION gets pluto's error.

        While the recorded pluto hangs, wait. If it is stopped or killed then, or if the client
        sends nothing for PATIENCE seconds, return without an answer.
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

    It is used instead of sock_accept() with a time-out, which can lose a connection.
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
