# SPDX-License-Identifier: MIT
"""A pluto played from a recording: a control socket that answers what was answered then.

Faithful where a watcher could tell: one question at a time, each line with its ``NNN`` prefix, no
socket while pluto was stopped, nobody listening after it was killed, and silence while it hung, to
those who asked in that time too.
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
"""As pluto's: listen(fd, 5) makes six places."""
LOOK: Final = 0.02
"""Seconds (of the listener's) between two looks at what pluto does."""
PATIENCE: Final = 5.0
"""Seconds for somebody to ask, or to read on."""

_PREFIX: Final = re.compile(r"\d{3} ")
_BAD_MAGIC: Final = (
    "030 ignoring message from whack with bad magic; Mismatched versions of userland tools.\n"
)


class Silence(Enum):
    """How pluto was when it gave no answer."""

    STOPPED = auto()
    """Stopped: there is no socket."""
    KILLED = auto()
    """Killed: the socket is there, and nobody listens."""
    HANGING = auto()
    """It takes connections and doesn't answer."""


Said = str | Silence
"""An answer to ``status`` as whack or the socket gave it, or why there was none."""


class Timeline:
    """What pluto said and when: each from its time on, the first from the beginning on."""

    def __init__(self, said: Iterable[tuple[float, Said]]) -> None:
        moments = sorted(said, key=lambda moment: moment[0])
        if not moments:
            raise ValueError("a timeline needs one moment at least")
        self._times = [at for at, _ in moments]
        self._said = [said for _, said in moments]

    def __call__(self, t: float) -> Said:
        """Return what pluto said at ``t``."""
        return self._said[max(0, bisect_right(self._times, t) - 1)]


def on_the_wire(text: str) -> str:
    """Add to every line the ``NNN`` prefix that it has on the socket and that whack 5 removes."""
    return "".join(line if _PREFIX.match(line) else f"000 {line}" for line in _lines(text))


def _lines(text: str) -> list[str]:
    """Split at newlines alone, and keep them: str.splitlines() knows other ends as well."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


class FakePluto:
    """Plays a pluto at ``path`` while its context lasts.

    ``says`` tells what pluto says at a time in seconds, ``clock`` what time it is by that count; a
    demo runs it faster than life. ``packets``: the socket is a SOCK_SEQPACKET, as from 5.4 on.
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
        """How many questions have been answered."""

    async def __aenter__(self) -> FakePluto:
        """Start to play. On return the socket is there, if pluto had one at that time."""
        self._remove()
        self._follow()
        self._player = asyncio.create_task(self._play(), name="playback")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and remove the socket. Raise the error that ended the play, if one did."""
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
        while True:
            self._follow()
            if self._listener is None:
                await asyncio.sleep(LOOK)
            else:
                await self._answer_next(self._listener)

    def _follow(self) -> None:
        """Open or close the socket, as pluto did."""
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
        if not await _readable(listener, LOOK):
            return
        # Whoever asked may be gone again; one who is slow to read loses the rest.
        with suppress(OSError, TimeoutError):
            client, _ = listener.accept()
            with client:
                client.settimeout(0)
                await self._answer(client)

    async def _answer(self, client: socket.socket) -> None:
        if not await _readable(client, PATIENCE):
            return
        question = client.recv(4096)
        while (now := self._now) is Silence.HANGING:  # noqa: ASYNC110 - nobody tells of its end
            await asyncio.sleep(LOOK)
        if isinstance(now, Silence):
            return  # it went without a word
        text = on_the_wire(now) if question == QUESTION else _BAD_MAGIC
        # Up to 5.3 a stream has no borders; from 5.4 on each line is a packet.
        for piece in _lines(text) if self._kind is socket.SOCK_SEQPACKET else [text]:
            data = piece.encode("utf-8", "surrogateescape")
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_sendall(client, data)
        self.asked += 1


async def _readable(sock: socket.socket, timeout: float) -> bool:  # noqa: ASYNC109
    """Wait for something to read; sock_accept() with a time limit can lose what it accepts."""
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
