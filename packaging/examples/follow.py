#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Print the state of each IPsec tunnel and every change, without gaps. Needs dbus-fast."""

import asyncio
import random
import sys
from importlib.util import find_spec

if not find_spec("dbus_fast"):  # ipsecwatch's packages contain it in a folder of their own
    sys.path.insert(0, "/usr/share/ipsecwatch/python")

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

SIGNAL = MessageType.SIGNAL
NAME, BUS, PATH = "org.ipsecwatch1", "org.freedesktop.DBus", "/org/freedesktop/DBus"
RULES = f"sender='{NAME}',path='/org/ipsecwatch1'", f"sender='{BUS}',arg0='{NAME}'"


def show(*found: dict) -> None:
    for tunnel in found:
        print(tunnel["Name"].value, tunnel["State"].value, flush=True)


async def follow(bus: MessageBus) -> None:
    """Print the tunnels of a snapshot, then each change; take a new snapshot after a gap."""
    news: asyncio.Queue[Message] = asyncio.Queue()
    bus.add_message_handler(lambda m: news.put_nowait(m) if m.message_type is SIGNAL else None)
    for rule in RULES:  # subscribe first, then ask for the states
        await bus.call(Message(BUS, PATH, BUS, "AddMatch", signature="s", body=[rule]))
    while True:
        reply = await bus.call(Message(NAME, "/org/ipsecwatch1", f"{NAME}.Manager", "GetSnapshot"))
        owner, (serial, tunnels) = reply.sender, reply.body[1:] or (0, {})
        show(*tunnels.values())
        if (reply.error_name or "").endswith("LimitsExceeded"):
            await asyncio.sleep(random.uniform(1, 5))  # noqa: S311 - not all at once
            continue
        # Ask again when the service has another connection, or a signal was missed.
        while (signal := await news.get()).member != "NameOwnerChanged" or signal.sender != BUS:
            if signal.sender == owner and signal.member == "InterfacesAdded":
                show(*signal.body[1].values())
            elif signal.sender == owner and signal.member == "TunnelStateChanged":
                if signal.body[5] > serial + 1:
                    break
                if signal.body[5] > serial:  # not one of the snapshot's
                    serial += 1
                    print(signal.body[1], signal.body[3], signal.body[4], flush=True)


async def main() -> None:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    await asyncio.gather(follow(bus), bus.wait_for_disconnect())  # ends with the bus


asyncio.run(main())
