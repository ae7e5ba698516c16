# SPDX-License-Identifier: MIT
"""The recipe for subscribers in docs/dbus.md, with dbus-fast."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

NAME, ROOT = "org.ipsecwatch1", "/org/ipsecwatch1"
BUS, BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
MANAGER, TUNNEL = f"{NAME}.Manager", f"{NAME}.Tunnel"
RULES = (
    f"type='signal',sender='{BUS}',member='NameOwnerChanged',arg0='{NAME}'",
    f"type='signal',sender='{NAME}',path='{ROOT}',interface='{MANAGER}'",
    f"type='signal',sender='{NAME}',path='{ROOT}',interface='org.freedesktop.DBus.ObjectManager'",
)


async def main() -> None:
    """Follow the service for ever, also when it restarts."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    signals: asyncio.Queue[Message] = asyncio.Queue()

    def take(message: Message) -> bool:
        if message.message_type is MessageType.SIGNAL:
            signals.put_nowait(message)
        return False

    bus.add_message_handler(take)
    for rule in RULES:
        await bus.call(Message(BUS, BUS_PATH, BUS, "AddMatch", signature="s", body=[rule]))
    while True:
        reply = await bus.call(Message(NAME, ROOT, MANAGER, "GetSnapshot"))
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            if (reply.error_name or "").endswith("LimitsExceeded"):
                await asyncio.sleep(random.uniform(1, 5))
                continue
            print(json.dumps(None), flush=True)
            await gone(signals)
            continue
        owner, (_, serial, found) = reply.sender, reply.body
        paths = {path: p["Name"].value for path, p in found.items()}
        states = {p["Name"].value: p["State"].value for p in found.values()}
        print(json.dumps(states), flush=True)
        await follow(signals, owner, serial, paths, states)


async def gone(signals: asyncio.Queue[Message]) -> None:
    """Wait until the service's name has an owner again."""
    while True:
        signal = await signals.get()
        if signal.member == "NameOwnerChanged" and signal.body[2]:
            return


async def follow(
    signals: asyncio.Queue[Message],
    owner: str | None,
    serial: int,
    paths: dict[str, str],
    states: dict[str, str],
) -> None:
    """Print the states at each signal of the service.

    Return when the service's name has another owner, or none, or when a signal is missing.
    """
    while True:
        signal = await signals.get()
        body: list[Any] = signal.body
        if signal.member == "NameOwnerChanged":
            if body[2] != owner:
                return
        elif signal.sender != owner:
            continue
        elif signal.member == "TunnelStateChanged":
            if body[5] > serial + 1:
                return
            if body[5] == serial + 1:
                serial += 1
                states[body[1]] = body[3]
        elif signal.member == "InterfacesAdded" and TUNNEL in body[1]:
            added = body[1][TUNNEL]
            paths[body[0]] = added["Name"].value
            states.setdefault(added["Name"].value, added["State"].value)
        elif signal.member == "InterfacesRemoved":
            states.pop(paths.pop(body[0], ""), None)
        print(json.dumps(states), flush=True)


asyncio.run(main())
