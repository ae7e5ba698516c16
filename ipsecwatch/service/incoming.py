# SPDX-License-Identifier: MIT
"""What waits in the bus for us to read it, and what to do when that is too much.

What is sent to a connection waits in one queue, whoever sent it. dbus-broker sends us 16 messages
of it while it takes a dozen from each connection that has some to send; so two programs that ask
without a pause are enough to let it grow, however fast we read, up to a quarter or so of what a
user may have in the broker (512 MiB). Whoever asks then waits for 5 to 10 s, until the broker cuts
the flood off. (dbus-broker 33: dispatch.c, socket.c, user.c.)

What a new connection is sent comes at once. So our name passes on to one, and the one before is
read when there is time: what waits there still counts against whom it is from, and once his
portion is used up the broker takes nothing more from him, and all that others ask comes at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ipsecwatch.dbus.connection import BUS, BUS_PATH, BusError, ErrorReplyError, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.dbus.connection import BusConnection

logger = logging.getLogger(__name__)

LAG: Final = 0.3
"""Seconds that the bus's answer to a question may wait behind what others sent."""
TIMES: Final = 2.0
"""How many times as long as the bus takes on a quiet connection it may take at least."""
SLOW: Final = 400 << 10
"""Bytes a second that come in where there is a queue for us: else it will be empty soon."""
OWN: Final = 16 << 10
"""Bytes that we have sent and the bus hasn't read, up to which it is asked."""
EVERY: Final = 0.05
"""Seconds between two questions at least."""
MUCH: Final = 4 << 10
"""Bytes that come in before the bus is asked again: some 20 calls."""
MAX_LEFT: Final = 8
"""Connections left behind that wait to be read."""
PATIENCE: Final = 30.0
"""Seconds after which they are read, whether there is time or not."""


class LeftBehind:
    """Connections that our name has left, until all that came in there is answered.

    ``serves`` tells whether somebody still gets an answer on one of them.
    """

    def __init__(self, serves: Callable[[BusConnection], bool]) -> None:
        self._serves = serves
        self._unread: deque[tuple[BusConnection, float]] = deque()
        """With when each was left."""
        self._tasks: dict[asyncio.Task[None], BusConnection] = {}

    @property
    def full(self) -> bool:
        """Whether there are enough of them."""
        return len(self._unread) >= MAX_LEFT

    @property
    def names(self) -> list[str]:
        """Their unique names."""
        return [c.unique_name for c in self._tasks.values()]

    def __bool__(self) -> bool:
        return bool(self._unread)

    def add(self, connection: BusConnection) -> None:
        """Leave a connection, right after it let go of our name."""
        connection.pause()
        self._unread.append((connection, _now()))
        task = asyncio.create_task(self._end(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    def read(self, *, calm: bool) -> None:
        """Read the first of them on, or wait with it."""
        if not self._unread:
            return
        connection, since = self._unread[0]
        if calm or _now() - since > PATIENCE:
            connection.resume()
        else:
            connection.pause()

    async def close(self) -> None:
        """Give them all up."""
        for task, connection in list(self._tasks.items()):
            task.cancel()
            await connection.close()

    async def _end(self, connection: BusConnection) -> None:
        """Close a connection when there is nothing left of it."""
        try:
            # The bus's answer comes behind all that was sent to us by our name.
            await connection.call(BUS, BUS_PATH, BUS, "GetId", within=None)
        except BusError as e:
            logger.debug("of a connection left behind: %s", e)
        self._unread = deque(left for left in self._unread if left[0] is not connection)
        while connection.alive and self._serves(connection):  # noqa: ASYNC110 - rare
            await asyncio.sleep(1.0)
        await connection.close()


async def is_dbus_broker(connection: BusConnection) -> bool:
    """Return whether this is a bus that has a queue for each receiver. Raise BusError.

    dbus-daemon passes on no more than 128 calls of a connection that aren't answered.
    """
    try:
        reply = await connection.call(BUS, BUS_PATH, f"{BUS}.Debug.Stats", "GetStats")
    except ErrorReplyError:
        return False
    return bool(reply.body) and any(key.startswith("org.bus1.") for key in reply.body[0])


async def overrun(
    connection: BusConnection, spare: Callable[[], BusConnection | None], left: LeftBehind
) -> None:
    """Return when what is sent to us waits in the bus for too long, or the connection is lost.

    ``spare`` tells of a connection that nobody else writes to. Meanwhile have those left behind
    read, as long as there is time for it.
    """
    with suppress(LostError):
        while True:
            await _some_came_in(connection, EVERY if left else None)
            quiet = spare()
            if quiet is not None and await _waits(connection, quiet, left) and not left.full:
                return
            await asyncio.sleep(EVERY)


async def _waits(connection: BusConnection, quiet: BusConnection, left: LeftBehind) -> bool:
    """Return whether what comes next on a connection waits, by what comes on a quiet one.

    If it doesn't there either it is the bus that is slow; if it is here already, it is we; and a
    question that stands behind answers of ours says nothing.
    """
    if connection.in_flight > OWN:
        return False
    before, began = connection.received, _now()
    asked, other = (asyncio.ensure_future(_ask(c)) for c in (connection, quiet))
    try:
        await asyncio.wait([other])
        slow = TIMES * (_now() - began)
        done, _ = await asyncio.wait([asked], timeout=slow)
        left.read(calm=bool(done))
        if not done:
            await asyncio.wait([asked], timeout=max(0.0, LAG - (_now() - began)))
        if asked.done() or connection.in_flight > OWN:
            return False
        came_in = connection.received - before
        return 0 < came_in < SLOW * (_now() - began) and connection.ready < MUCH
    finally:
        asked.cancel()
        other.cancel()


async def _ask(connection: BusConnection) -> None:
    with suppress(BusError):
        await connection.call(BUS, BUS_PATH, BUS, "GetId", within=PATIENCE)


async def _some_came_in(connection: BusConnection, within: float | None) -> None:
    try:
        async with asyncio.timeout(within):
            await connection.receives(MUCH)
    except TimeoutError:
        return


def _now() -> float:
    return asyncio.get_running_loop().time()
