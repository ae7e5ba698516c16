# SPDX-License-Identifier: MIT
"""A lock that users get in turn, and within each user the connections.

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
    """A lock that waiting users get in turn; a user's turn goes to its connections in turn."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: OrderedDict[int, OrderedDict[str, _Queue]] = OrderedDict()

    @asynccontextmanager
    async def hold(self, uid: int, sender: str) -> AsyncGenerator[None]:
        """Wait for the lock, and hold it while the context lasts.

        ``uid``, ``sender``: the user and the connection for which it is held.
        """
        await self._wait(uid, sender)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, uid: int, sender: str) -> None:
        """Wait until the lock is ours. If cancelled when it is ours already, pass it on."""
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
        """Pass the lock to the next waiter that wasn't cancelled, or leave it free."""
        while (future := self._next()) is not None:
            if not future.done():
                future.set_result(None)
                return
        self._taken = False

    def _next(self) -> asyncio.Future[None] | None:
        """Remove and return the future of the next waiter; None: there is none.

        It is the first one of the first connection of the first user. Connection and user move to
        the end if they have more.
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
