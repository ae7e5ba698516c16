# SPDX-License-Identifier: MIT
"""A lock whose holders take turns: users, and the connections of one user.

First come, first served would let whoever asks most be served most: a few programs of one user that
ask without a pause, and root waits for seconds.
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
    """A lock that is handed round among users, and among the connections of each."""

    def __init__(self) -> None:
        self._taken = False
        self._waiting: OrderedDict[int, OrderedDict[str, _Queue]] = OrderedDict()

    @asynccontextmanager
    async def hold(self, uid: int, sender: str) -> AsyncGenerator[None]:
        """Wait for one's turn; it ends with the context."""
        await self._wait(uid, sender)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, uid: int, sender: str) -> None:
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
        while (future := self._next()) is not None:
            if not future.done():
                future.set_result(None)
                return
        self._taken = False

    def _next(self) -> asyncio.Future[None] | None:
        """Take the first of the first connection of the first user; both go to the back."""
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
