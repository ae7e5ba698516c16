# SPDX-License-Identifier: MIT
"""Detect that too many calls wait for us in dbus-broker, and read old connections to their end.

The broker has one queue for each receiver, whoever sent the messages. It sends us 16 of them while
it takes a dozen from each connection that has some to send; so two programs that call without a
pause make the queue grow, however fast we read, up to about a quarter of what a user may have in
the broker (512 MiB). Until the broker stops that user, every caller waits for 5 to 10 s.
(dbus-broker 33: dispatch.c, socket.c, user.c.)

The queue of a new connection is empty. So bus.py moves our name to one, and the old connection is
read when there is time. The messages that wait there still count against the user who sent them.
Once that user's quota is used up, the broker accepts nothing more from it, and calls of others
arrive at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ipsecwatch.dbus.connection import BUS, BUS_PATH
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, LostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.dbus.connection import BusConnection

logger = logging.getLogger(__name__)

LAG: Final = 0.3
"""Seconds that the bus's answer may take on our connection before the queue counts as too long."""
TIMES: Final = 2.0
"""The answer on our connection may take so many times as long as on a quiet one, even if that is
more than LAG."""
SLOW: Final = 400 << 10
"""Bytes a second: if more than that arrives, the queue will soon be empty."""
OWN: Final = 16 << 10
"""Bytes that the bus may have unread from us; with more, its answer is late because of them."""
EVERY: Final = 0.05
"""Seconds between two questions to the bus at least."""
MUCH: Final = 4 << 10
"""Bytes that arrive before the bus is asked again: some 20 calls."""
MAX_LEFT: Final = 8
"""Old connections that may wait to be read; with so many, our name isn't moved again."""
PATIENCE: Final = 30.0
"""Seconds after which an old connection is read in any case, also while many messages come in."""


class LeftBehind:
    """The connections that had our name before, until all calls that came in there are answered.

    ``serves`` returns whether a caller still waits for an answer on a connection.
    """

    def __init__(self, serves: Callable[[BusConnection], bool]) -> None:
        self._serves = serves
        self._unread: deque[tuple[BusConnection, float]] = deque()
        """Each with the time at which it was left (loop's clock)."""
        self._tasks: dict[asyncio.Task[None], BusConnection] = {}

    @property
    def full(self) -> bool:
        """Whether MAX_LEFT connections wait to be read."""
        return len(self._unread) >= MAX_LEFT

    @property
    def names(self) -> list[str]:
        """The unique names of the connections, as long as they are open."""
        return [c.unique_name for c in self._tasks.values()]

    def __bool__(self) -> bool:
        return bool(self._unread)

    def add(self, connection: BusConnection) -> None:
        """Add a connection that has just released our name, and stop reading it for now."""
        connection.pause()
        self._unread.append((connection, _now()))
        task = asyncio.create_task(self._end(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    def read(self, *, calm: bool) -> None:
        """Resume the reading of the oldest connection, or pause it.

        It is read if few messages come in on the present one (``calm``), and after PATIENCE.
        """
        if not self._unread:
            return
        connection, since = self._unread[0]
        if calm or _now() - since > PATIENCE:
            connection.resume()
        else:
            connection.pause()

    async def close(self) -> None:
        """Close all connections at once, without reading them to their end."""
        for task, connection in list(self._tasks.items()):
            task.cancel()
            await connection.close()

    async def _end(self, connection: BusConnection) -> None:
        """Close a connection once all its calls were read and answered."""
        try:
            # The bus's answer comes after all messages that were sent to our name here.
            await connection.call(BUS, BUS_PATH, BUS, "GetId", within=None)
        except BusError as e:
            logger.debug("of a connection left behind: %s", e)
        self._unread = deque(left for left in self._unread if left[0] is not connection)
        while connection.alive and self._serves(connection):  # noqa: ASYNC110 - rare
            await asyncio.sleep(1.0)
        await connection.close()


async def is_dbus_broker(connection: BusConnection) -> bool:
    """Return whether the bus is dbus-broker: it has statistics named ``org.bus1.…``.

    Raise BusError. With dbus-daemon no long queue arises: it passes on at most 128 unanswered calls
    of a caller.
    """
    try:
        reply = await connection.call(BUS, BUS_PATH, f"{BUS}.Debug.Stats", "GetStats")
    except ErrorReplyError:
        return False
    return bool(reply.body) and any(key.startswith("org.bus1.") for key in reply.body[0])


async def overrun(
    connection: BusConnection, spare: Callable[[], BusConnection | None], left: LeftBehind
) -> None:
    """Return once messages to us wait in the bus for too long, or the connection is lost.

    ``spare`` returns a connection to which nobody sends, for comparison; None: there is none now.
    While there is none, or ``left`` is full, only the loss makes this return. The old connections
    in ``left`` are read while few messages come in.
    """
    with suppress(LostError):
        while True:
            await _wait_for_input(connection, EVERY if left else None)
            quiet = spare()
            if quiet is not None and await _waits(connection, quiet, left) and not left.full:
                return
            await asyncio.sleep(EVERY)


async def _waits(connection: BusConnection, quiet: BusConnection, left: LeftBehind) -> bool:
    """Return whether messages to a connection have waited in the bus for too long (LAG, TIMES).

    The bus is asked on both connections, and its answers are compared. The result is False if the
    ``quiet`` connection's answer is late as well (the bus is slow), if much has arrived that we
    haven't read yet (we are slow), if the bus hasn't read what we sent before, or if messages come
    in so fast that none will wait soon (SLOW).
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


async def _wait_for_input(connection: BusConnection, within: float | None) -> None:
    """Wait until MUCH more bytes have arrived, at most ``within`` seconds; None: for ever."""
    try:
        async with asyncio.timeout(within):
            await connection.receives(MUCH)
    except TimeoutError:
        return


def _now() -> float:
    return asyncio.get_running_loop().time()
