# SPDX-License-Identifier: MIT
"""Following all services on the bus at once: that of the machine, and one for each other pluto.

Who is on the bus is what the bus says. Each service is followed over a connection of its own, as
if there were no other: one that sends much delays nobody else's events.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.client.subscription import RETRY, follow
from ipsecwatch.dbus.connection import BUS, BusError, connect
from ipsecwatch.dbus.names import INSTANCES_RULE, instance_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from ipsecwatch.client.events import Event
    from ipsecwatch.dbus.messages import Signal

MAX_UNREAD: Final = 100
"""Events that wait for the consumer; then those who follow wait, and end with a fresh Snapshot."""


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """What happens at one of several services."""

    instance: str
    """Which one: "" is ``ipsecwatch.service``, else it is ``ipsecwatch@INSTANCE.service``."""
    event: Event


async def follow_all() -> AsyncGenerator[InstanceEvent]:
    """Follow the service and all instances of it, for ever. They come in no order.

    Each begins with a Snapshot or Lost, as with follow(): the service itself at once, an instance
    as soon as it is on the bus. One that leaves the bus is Lost, and followed on if it comes back.
    Close the generator (contextlib.aclosing) to end it.
    """
    events: asyncio.Queue[InstanceEvent] = asyncio.Queue(MAX_UNREAD)
    followed: set[str] = set()
    tasks: set[asyncio.Task[Any]] = set()

    def found(instance: str) -> None:
        if instance not in followed:
            followed.add(instance)
            tasks.add(asyncio.create_task(_pass_on(instance, events.put)))

    found("")
    tasks.add(asyncio.create_task(_look_for_instances(found)))
    try:
        while True:
            while not events.empty():
                yield events.get_nowait()
            following = asyncio.create_task(events.get())
            tasks.add(following)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            tasks.discard(following)
            for task in done:
                event = task.result()  # all but the one that waits for an event go on for ever
                yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _pass_on(instance: str, put: Callable[[InstanceEvent], Awaitable[None]]) -> None:
    async with aclosing(follow(instance)) as events:
        async for event in events:
            await put(InstanceEvent(instance, event))


async def _look_for_instances(found: Callable[[str], None]) -> None:
    """Call ``found`` with every instance that is on the bus, or comes to it, for ever."""
    backoff = Backoff(RETRY)
    while True:
        with suppress(BusError):  # each that is followed says so itself
            await _look_on_one_bus(found)
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def _look_on_one_bus(found: Callable[[str], None]) -> None:
    """Do the same until the bus is lost. Raise BusError where there is none."""
    connection = await connect("system")
    try:
        connection.on_signal = lambda signal: _hear(signal, found)
        await connection.call_bus("AddMatch", "s", INSTANCES_RULE)
        [names] = (await connection.call_bus("ListNames", "")).body
        for name in names:
            _take(name, found)
        await connection.lost()
    finally:
        await connection.close()


def _hear(signal: Signal, found: Callable[[str], None]) -> None:
    """Take note of a name that has an owner now, if it is the bus that says so."""
    if signal.sender == BUS and signal.member == "NameOwnerChanged" and signal.body[2]:
        _take(signal.body[0], found)


def _take(name: str, found: Callable[[str], None]) -> None:
    if instance := instance_of(name):
        found(instance)
