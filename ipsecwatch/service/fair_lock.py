# SPDX-License-Identifier: MIT
"""A lock that the waiting users get in turn, and when it is a user's turn, one of its connections.

If it was given in the order of arrival, a few programs of one user that ask without a pause would
make root wait for seconds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_Queue = deque[asyncio.Future[None]]


class FairLock:
    """A lock that the users who wait for it get in turn, however often each asks for it.

    In the same way, each time that a user's turn comes, another one of its connections gets the
    lock.
    """

    def __init__(self) -> None:
        self._taken = False
        self._waiting: OrderedDict[int, OrderedDict[str, _Queue]] = OrderedDict()

    @asynccontextmanager
    async def hold(self, uid: int, sender: str) -> AsyncGenerator[None]:
        """Wait for the lock, and hold it until the context ends.

        ``uid``, ``sender``: the user and the connection for which the lock is taken.
        """
        await self._wait(uid, sender)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, uid: int, sender: str) -> None:
        """Wait until the lock is given to this caller.

        If the caller is cancelled just after it got the lock, pass the lock on.
        """
        if not self._taken:
            self._taken = True
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queues = self._waiting.setdefault(uid, OrderedDict())
        queues.setdefault(sender, deque()).append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Pass the lock to the next caller that waits and wasn't cancelled.

        If there is none, the lock is free.
        """
        while (future := self._next()) is not None:
            if not future.done():
                future.set_result(None)
                return
        self._taken = False

    def _next(self) -> asyncio.Future[None] | None:
        """Remove the caller whose turn is next from those that wait. Return its future, or None.

        None: nobody waits. The next one is the first of the first connection of the first user.
        That connection, and that user, come last then, if they have more callers that wait.
        """
        if not self._waiting:
            return None
        uid, queues = self._waiting.popitem(last=False)
        sender, queue = queues.popitem(last=False)
        future = queue.popleft()
        if queue:
            queues[sender] = queue
        if queues:
            self._waiting[uid] = queues
        return future
