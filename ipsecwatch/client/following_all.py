# SPDX-License-Identifier: MIT
"""Follow all services on the bus at once: the machine's own service and its instances.

The bus is asked which services are there. Each has a connection to the bus of its own, so that one
that sends many signals doesn't delay the events of another.
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
"""The number of events that are kept at most while the consumer is slow. Further ones wait in the
subscription of each service, which replaces them by a fresh Snapshot if they become too many."""


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """One event of one service."""

    instance: str
    """The service that the event is about: "" for ``ipsecwatch.service``, and NAME for
    ``ipsecwatch@NAME.service``."""
    event: Event


async def follow_all() -> AsyncGenerator[InstanceEvent]:
    """Follow the service and all its instances for ever, and yield the events of all of them.

    The events of each service begin with a Snapshot or Lost, as in follow(). Those of the service
    itself begin at once, and those of an instance as soon as it is on the bus. Events of different
    services come in no certain order. When an instance leaves the bus, a Lost comes, and when it
    returns, a Snapshot. Close the generator (contextlib.aclosing) to end it.
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
    """Follow one service for ever, and call ``put`` with each of its events."""
    async with aclosing(follow(instance)) as events:
        async for event in events:
            await put(InstanceEvent(instance, event))


async def _look_for_instances(found: Callable[[str], None]) -> None:
    """Call ``found`` with the name of each instance that is on the bus now or later, for ever."""
    backoff = Backoff(RETRY)
    while True:
        with suppress(BusError):  # each follow() reports that itself
            await _watch_one_bus(found)
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def _watch_one_bus(found: Callable[[str], None]) -> None:
    """Call ``found`` with the name of each instance that is on the bus now or appears later.

    Use one connection to the bus, and return when it is lost. Raise BusError if the bus can't be
    connected to, or refuses.
    """
    connection = await connect("system")
    try:
        connection.on_signal = lambda signal: _on_signal(signal, found)
        await connection.call_bus("AddMatch", "s", INSTANCES_RULE)
        [names] = (await connection.call_bus("ListNames", "")).body
        for name in names:
            _report(name, found)
        await connection.lost()
    finally:
        await connection.close()


def _on_signal(signal: Signal, found: Callable[[str], None]) -> None:
    """Call ``found`` if a signal from the bus itself says that an instance has appeared."""
    if signal.sender == BUS and signal.member == "NameOwnerChanged" and signal.body[2]:
        _report(signal.body[0], found)


def _report(name: str, found: Callable[[str], None]) -> None:
    """Call ``found`` with the instance that has this bus name. Do nothing for any other bus name.

    Nothing is done for the service itself either: it is followed from the start.
    """
    if instance := instance_of(name):
        found(instance)
