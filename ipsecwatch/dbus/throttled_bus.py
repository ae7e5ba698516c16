# SPDX-License-Identifier: MIT
"""The library's class for a bus, with our socket, and with reading that can be paused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbus_fast.aio import MessageBus

from ipsecwatch.dbus.throttled_socket import ThrottledSocket

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ipsecwatch.dbus.frames import Handling, Header


class ThrottledBus(MessageBus):
    """The library's class for a connection to a bus, with a ThrottledSocket and a PausableLoop."""

    def __init__(
        self, bus_address: str, auth_timeout: float, judge: Callable[[Header], Handling]
    ) -> None:
        super().__init__(bus_address=bus_address, auth_timeout=auth_timeout)
        self._judge = judge
        self._loop: Any = PausableLoop(self._loop)
        self.reading: PausableLoop = self._loop

    def _create_socket_for_transport(  # type: ignore[override]
        self, transport: str, options: dict[str, str]
    ) -> tuple[ThrottledSocket, Any, Any]:
        """Return a new socket that isn't connected, a file object around it, and where to connect.

        This overrides the library's method of this name, so that the socket is a ThrottledSocket.
        """
        made, stream, where = MessageBus._create_socket_for_transport(transport, options)  # noqa: SLF001
        ours = ThrottledSocket(made.family, made.type, made.proto)
        ours.judge = self._judge
        stream.close()
        made.close()
        return ours, ours.makefile("rwb"), where


class PausableLoop:
    """Given to the library in the place of the event loop, so that reading can be paused.

    It passes everything on to the event loop, and remembers the one reader that the library adds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader: tuple[int, Callable[[], object]] | None = None
        self._paused = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._loop, name)

    def add_reader(self, fd: int, reader: Callable[[], object]) -> None:
        """Make the loop call ``reader`` whenever there is something to read from ``fd``.

        Both are remembered for pause() and resume().
        """
        self._reader = fd, reader
        self._loop.add_reader(fd, reader)

    def pause(self) -> None:
        """Keep the loop from calling the reader until resume()."""
        if self._reader is not None and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._reader[0])

    def resume(self) -> None:
        """Make the loop call the reader again after pause(). Do nothing if it isn't paused."""
        if self._reader is not None and self._paused:
            self._paused = False
            self._loop.add_reader(*self._reader)
