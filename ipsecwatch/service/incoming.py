# SPDX-License-Identifier: MIT
"""Detect that too many calls wait for us in dbus-broker, and read old connections to their end.

The broker has one queue for each receiver, whoever sent the messages. It sends us 16 of them while
it takes a dozen from each connection that has some to send; so two programs that call without a
pause make the queue grow, however fast we read, up to about a quarter of what a user may have in
the broker (512 MiB). Until the broker stops that user, every caller waits for 5 to 10 s.
(dbus-broker 33: dispatch.c, socket.c, user.c.)

The queue of a new connection is empty. So bus.py moves our names to a new connection (the spare
one), and the old connection is read when there is time. The messages that wait there still count
against the user who sent them. Once that user's quota is used up, the broker accepts nothing more
from it, and calls of others arrive at once.
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
"""Seconds that the bus's answer to a question on our connection may take. If it takes longer, the
queue of messages for us is too long (but see TIMES)."""
TIMES: Final = 2.0
"""After the bus's answer on a quiet connection, the answer on ours may take so many times as long
again, even if that is more than LAG."""
SLOW: Final = 400 << 10
"""Bytes a second. If we receive more, the queue will soon be empty, even if it is long."""
OWN: Final = 16 << 10
"""Bytes. If the bus has more unread from us, its answer may be late because of them, and shows
nothing about the queue."""
EVERY: Final = 0.05
"""The least number of seconds between two questions to the bus."""
MUCH: Final = 4 << 10
"""The bus is asked again only after so many bytes have arrived (some 20 calls), unless older
connections wait to be read. If more bytes are in the kernel for us, it is we who are slow."""
MAX_LEFT: Final = 8
"""Old connections that may wait to be read. While so many wait, our names aren't moved again."""
PATIENCE: Final = 30.0
"""Seconds after which an old connection is read even while many messages come in on the present
one. Also the time limit of a question to the bus."""


class LeftBehind:
    """The connections that had our names before: they are read to their end, and then closed.

    ``serves`` returns whether any call that came in on a connection isn't answered yet. The object
    is true while connections wait to be read.
    """

    def __init__(self, serves: Callable[[BusConnection], bool]) -> None:
        self._serves = serves
        self._unread: deque[tuple[BusConnection, float]] = deque()
        """The connections that aren't read to their end yet, the oldest first, each with the time
        (loop's clock) at which our names were moved away from it."""
        self._tasks: dict[asyncio.Task[None], BusConnection] = {}

    @property
    def full(self) -> bool:
        """Whether MAX_LEFT connections wait to be read, so that our names can't be moved now."""
        return len(self._unread) >= MAX_LEFT

    @property
    def names(self) -> list[str]:
        """The unique names of those old connections that aren't closed yet."""
        return [c.unique_name for c in self._tasks.values()]

    def __bool__(self) -> bool:
        return bool(self._unread)

    def add(self, connection: BusConnection) -> None:
        """Add a connection that has just released our names, and pause its reading.

        It is closed once it was read to its end (read()) and its calls are answered.
        """
        connection.pause()
        self._unread.append((connection, _now()))
        task = asyncio.create_task(self._end(connection))
        self._tasks[task] = connection
        task.add_done_callback(self._tasks.pop)

    def read(self, *, calm: bool) -> None:
        """Resume the reading of the oldest connection that isn't read to its end, or pause it.

        It is read while few messages come in on the connection in use (``calm``), or if our names
        left it more than PATIENCE seconds ago. Else its reading is paused.
        """
        if not self._unread:
            return
        connection, since = self._unread[0]
        if calm or _now() - since > PATIENCE:
            connection.resume()
        else:
            connection.pause()

    async def close(self) -> None:
        """Close all old connections now, without reading them to their end."""
        for task, connection in list(self._tasks.items()):
            task.cancel()
            await connection.close()

    async def _end(self, connection: BusConnection) -> None:
        """Wait until all calls to an old connection were read and answered, then close it."""
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
    """Return whether the bus is dbus-broker, which has statistics with names ``org.bus1.…``.

    False also if the bus refuses the question. Raise BusError if it doesn't answer. With
    dbus-daemon no long queue arises: it passes on at most 128 unanswered calls of a caller.
    """
    try:
        reply = await connection.call(BUS, BUS_PATH, f"{BUS}.Debug.Stats", "GetStats")
    except ErrorReplyError:
        return False
    return bool(reply.body) and any(key.startswith("org.bus1.") for key in reply.body[0])


async def overrun(
    connection: BusConnection, spare: Callable[[], BusConnection | None], left: LeftBehind
) -> None:
    """Return once messages to ``connection`` are held up too long in the bus, or it is lost.

    ``spare`` returns another connection, to which nobody sends: the bus's answers on both are
    compared. While it returns None, or while ``left`` is full, only the loss of ``connection`` ends
    the wait. Meanwhile, the old connections in ``left`` are read while few messages come in.
    """
    with suppress(LostError):
        while True:
            await _wait_for_input(connection, EVERY if left else None)
            quiet = spare()
            if quiet is not None and await _waits(connection, quiet, left) and not left.full:
                return
            await asyncio.sleep(EVERY)


async def _waits(connection: BusConnection, quiet: BusConnection, left: LeftBehind) -> bool:
    """Return whether messages to ``connection`` are held up too long in the bus now (LAG, TIMES).

    The bus is asked a question on both connections, and the times of its answers are compared. The
    result is False if the answer on ``connection`` comes in time, or if it is late for another
    reason: the answer on ``quiet`` is late as well (the bus is slow), bytes for us wait in the
    kernel (we are slow), the bus hasn't read what we sent before, nothing at all comes in, or so
    much comes in that the queue will soon be empty (SLOW). Also resume or pause the reading of the
    old connections in ``left``.
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
    """Wait until MUCH more bytes have arrived on a connection, or ``within`` seconds are over.

    None: no time limit. Raise LostError if the connection is or gets lost.
    """
    try:
        async with asyncio.timeout(within):
            await connection.receives(MUCH)
    except TimeoutError:
        return


def _now() -> float:
    return asyncio.get_running_loop().time()
