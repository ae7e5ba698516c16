# SPDX-License-Identifier: MIT
"""Follows all services on the bus at once: the machine's own, and its instances.

The bus is asked which services there are. Each is followed over a connection of its own, so that a
service that sends many signals doesn't delay the events of another.
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
"""Events that are kept for a slow consumer, at most. Further ones wait in each service's
subscription, which replaces them by a fresh Snapshot when they become too many."""


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    """An event, with the service that it comes from."""

    instance: str
    """The service: "" is ``ipsecwatch.service``, else ``ipsecwatch@INSTANCE.service``."""
    event: Event


async def follow_all() -> AsyncGenerator[InstanceEvent]:
    """Follow the service and all its instances, for ever; yield the events of all.

    Events of different services come in any order. Those of each begin with a Snapshot or Lost, as
    in follow(): for the service itself at once, for an instance as soon as it is on the bus. When
    an instance leaves the bus, a Lost is yielded; it is followed again when it comes back. Close
    the generator (contextlib.aclosing) to end it.
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
    """Call ``found`` with each instance on the bus, now and whenever one appears, for ever."""
    backoff = Backoff(RETRY)
    while True:
        with suppress(BusError):  # each follow() reports that itself
            await _watch_one_bus(found)
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def _watch_one_bus(found: Callable[[str], None]) -> None:
    """Call ``found`` with each instance on the bus, now and whenever one appears.

    Return when the connection to the bus is lost. Raise BusError where there is no bus.
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
    """Call ``found`` if the bus itself reports that an instance's name has got an owner."""
    if signal.sender == BUS and signal.member == "NameOwnerChanged" and signal.body[2]:
        _report(signal.body[0], found)


def _report(name: str, found: Callable[[str], None]) -> None:
    """Call ``found`` with the instance to which a bus name belongs; do nothing for other names.

    The service itself isn't reported: it is followed from the start.
    """
    if instance := instance_of(name):
        found(instance)
