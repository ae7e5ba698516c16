# SPDX-License-Identifier: MIT
"""Following all services on the bus at once: the machine's own, and its instances.

The bus is asked which services there are. Each is followed over a connection of its own, so that
one that sends many signals doesn't delay the events of another.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.client.subscription import RETRY, follow
from ipsecwatch.dbus.connection import BUS, connect
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.dbus.names import INSTANCES_RULE, instance_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from ipsecwatch.client.events import Event
    from ipsecwatch.dbus.messages import Signal

MAX_UNREAD: Final = 100
"""Events that wait for a slow consumer. With more, each service's events wait, and in the end a
fresh Snapshot replaces them."""


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """An event, with the service that it comes from."""

    instance: str
    """The service: "" is ``ipsecwatch.service``, else ``ipsecwatch@INSTANCE.service``."""
    event: Event


async def follow_all() -> AsyncGenerator[InstanceEvent]:
    """Follow the service and all its instances, for ever. Events of several come in no order.

    The events of each begin with a Snapshot or Lost, as those of follow(): for the service itself
    at once, for an instance as soon as it is on the bus. One that leaves the bus is Lost, and is
    followed again when it comes back. Close the generator (contextlib.aclosing) to end it.
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
                event = task.result()  # all other tasks run for ever
                yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _pass_on(instance: str, put: Callable[[InstanceEvent], Awaitable[None]]) -> None:
    """Call ``put`` with each event of one service, for ever."""
    async with aclosing(follow(instance)) as events:
        async for event in events:
            await put(InstanceEvent(instance, event))


async def _look_for_instances(found: Callable[[str], None]) -> None:
    """Call ``found`` with every service on the bus, now and whenever one comes, for ever."""
    backoff = Backoff(RETRY)
    while True:
        with suppress(BusError):  # each follow() reports that itself
            await _watch_one_bus(found)
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def _watch_one_bus(found: Callable[[str], None]) -> None:
    """Call ``found`` in the same way until the bus is lost. Raise BusError without a bus."""
    connection = await connect("system")
    try:
        connection.on_signal = lambda signal: _hear(signal, found)
        await connection.call_bus("AddMatch", "s", INSTANCES_RULE)
        [names] = (await connection.call_bus("ListNames", "")).body
        for name in names:
            _report(name, found)
        await connection.lost()
    finally:
        await connection.close()


def _hear(signal: Signal, found: Callable[[str], None]) -> None:
    """Report a service's name that has got an owner, if the signal is from the bus itself."""
    if signal.sender == BUS and signal.member == "NameOwnerChanged" and signal.body[2]:
        _report(signal.body[0], found)


def _report(name: str, found: Callable[[str], None]) -> None:
    """Call ``found`` if a bus name is one of the service's; "" is the service itself."""
    if instance := instance_of(name):
        found(instance)
