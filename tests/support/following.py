# SPDX-License-Identifier: MIT
"""A client that follows the service in an asyncio task, and keeps the events that it gets."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

from ipsecwatch import client
from ipsecwatch.client import Change, Snapshot
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.client import Event


class Following:
    """A client of the service, which keeps all events in ``events``, oldest first.

    While ``may_read`` isn't set, it reads no further event. ``ask_after`` is follow()'s argument.
    """

    def __init__(self, ask_after: float | None = None) -> None:
        self.ask_after = ask_after
        self.events: list[Event] = []
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def run(self) -> None:
        """Follow the service until cancelled."""
        async with aclosing(client.follow(ask_after=self.ask_after)) as events:
            async for event in events:
                self.events.append(event)
                await self.may_read.wait()

    async def seen(self, kind: type[Event], count: int = 1) -> None:
        """Wait until there were ``count`` events of this kind. Raise TimeoutError after 30 s."""
        await until(lambda: len(self.of(kind)) >= count)

    def of(self, kind: type[Event]) -> list[Any]:
        """Return all events of this kind, oldest first."""
        return [e for e in self.events if isinstance(e, kind)]

    def kinds(self) -> list[str]:
        """Return the class names of all events, oldest first."""
        return [type(e).__name__ for e in self.events]


@asynccontextmanager
async def following(ask_after: float | None = None) -> AsyncGenerator[Following]:
    """Follow the service in a task while the context lasts; yield the Following.

    At the end, raise the error if following has failed.
    """
    made = Following(ask_after)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5.0)
        assert done, "the follower didn't end"
        if not task.cancelled() and (error := task.exception()):
            raise error


def assert_consistent(events: list[Event]) -> None:
    """Assert that each Change has the next serial after the Change or Snapshot before it."""
    serial = None
    for event in events:
        if isinstance(event, Snapshot):
            serial = event.serial
        elif isinstance(event, Change):
            assert serial is not None
            assert event.serial == serial + 1
            serial = event.serial
