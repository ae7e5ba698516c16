# SPDX-License-Identifier: MIT
"""Attacks on the service over the system bus, as another user of the machine may try them.

Each attack is a coroutine function, which `OtherUser` runs in a process of its own and as any user.
Its first argument is the unique bus name of the victim, a client of the service. Most attacks don't
use that name.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dbus_fast import Variant

from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import ErrorReplyError
from tests.support import raw_bus
from tests.support.bus_service import MANAGER, NAME, OBJECT_MANAGER, PROPERTIES, ROOT, TUNNEL
from tests.support.raw_bus import CALL, SIGNAL, RawBus

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Attack = Callable[[str], Coroutine[Any, Any, None]]

SERVICE = {"path": ROOT, "destination": NAME}
TUNNEL_0 = f"{ROOT}/tunnel/tunnel_2d0"
PIPELINED = 10_000
MIB = 1 << 20
SECONDS = 2.0


async def steal_the_name(_victim: str) -> None:
    """Ask the bus for the service's name, with several sets of flags; assert that it isn't given.

    The same is tried with another name that begins with the service's name. If the bus grants that
    one, as to root, it is given back.
    """
    connection = await connect("system")
    for flags in (0, 1, 2, 3, 4, 7):
        for name in (NAME, f"{NAME}.Other"):
            try:
                reply = await connection.call_bus("RequestName", "su", name, flags)
            except ErrorReplyError:
                continue
            # The policy lets root ask, but the owner doesn't give the name up.
            assert reply.body != [1] or name != NAME, "the name was given away"
            await connection.call_bus("ReleaseName", "s", name)
    await connection.close()


async def forge_signals(victim: str) -> None:
    """Send false signals of the service and the bus: to all, to the victim and to the service."""
    up = raw_bus.body("osta{sv}", TUNNEL_0, "tunnel-0", 1, {})
    change = [TUNNEL_0, "tunnel-0", "up", "down", "operator", 1, 1, {}]
    changed = [TUNNEL, {"State": Variant("s", "down")}, []]
    signals = [
        (ROOT, MANAGER, "TunnelUp", "osta{sv}", up),
        (
            ROOT,
            MANAGER,
            "TunnelStateChanged",
            "osssstta{sv}",
            raw_bus.body("osssstta{sv}", *change),
        ),
        (
            TUNNEL_0,
            PROPERTIES,
            "PropertiesChanged",
            "sa{sv}as",
            raw_bus.body("sa{sv}as", *changed),
        ),
        (
            ROOT,
            OBJECT_MANAGER,
            "InterfacesRemoved",
            "oas",
            raw_bus.body("oas", TUNNEL_0, [TUNNEL]),
        ),
        (
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "NameOwnerChanged",
            "sss",
            raw_bus.body("sss", NAME, victim, ":1.999"),
        ),
    ]
    with RawBus() as bus:
        for destination in ({}, {"destination": victim}, {"destination": NAME}):
            for path, interface, member, signature, body in signals:
                fields = {"path": path, "interface": interface, "member": member, **destination}
                fields["signature"] = signature
                bus.send(raw_bus.message(bus.next(), fields, kind=SIGNAL, body=body))
        bus.drain_until_quiet(0.2)


async def send_oddities(_victim: str) -> None:
    """Send messages with unknown types, flags and header fields, each over its own connection."""
    fields = {**SERVICE, "interface": MANAGER, "member": "GetSnapshot"}
    for kind in (CALL, 2, 3, SIGNAL, 5, 200, 0):
        for flags in (0, 1, 4, 0x80, 0xFE, 0xFF):
            for odd in (True, False):
                with RawBus() as bus:
                    bus.send(raw_bus.message(bus.next(), fields, kind=kind, flags=flags, odd=odd))
                    bus.drain_until_quiet(0.01)


async def call_with_wrong_signatures(_victim: str) -> None:
    """Call the service's methods with arguments of wrong types, and with large and nested ones."""
    deep: Any = Variant("s", "x")
    for _ in range(20):
        deep = Variant("v", deep)
    bodies: list[tuple[str, list[Any]]] = [
        ("", []),
        ("s", ["\x1b[2J\u202e"]),
        ("u", [7]),
        ("as", [["x"] * 100]),
        ("asa{sv}", [["tunnel-0"] * 2000, {}]),
        ("asa{sv}", [[], {"offset": Variant("u", 2**32 - 1), "limit": Variant("s", "x")}]),
        ("asa{sv}", [[], {"limit": deep}]),
        ("a{oa{sv}}", [{"/": {"x": deep}}]),
        ("ssv", [MANAGER, "RunId", Variant("s", "x")]),
        ("(((((s)))))", [[[[[["x"]]]]]]),
        ("ay", [bytes(1000)]),
        ("d", [float("nan")]),
    ]
    members = ["GetSnapshot", "GetTunnel", "Refresh", "GetDetails", "Get", "GetAll", "Set", "Nope"]
    with RawBus() as bus:
        for signature, body in bodies:
            for member in members:
                for interface in (MANAGER, PROPERTIES, None):
                    fields = {**SERVICE, "member": member}
                    fields |= {"interface": interface} if interface else {}
                    fields |= {"signature": signature} if signature else {}
                    data = raw_bus.message(bus.next(), fields, body=raw_bus.body(signature, *body))
                    bus.send(data)
        bus.drain_until_quiet(0.3)


def _pipelined(bus: RawBus, count: int, interface: str, member: str) -> bytes:
    fields = {**SERVICE, "interface": interface, "member": member}
    return b"".join(raw_bus.message(bus.next(), fields) for _ in range(count))


async def pipeline_snapshots(_victim: str) -> None:
    """Send 10,000 calls of GetSnapshot without waiting for answers, then read the answers."""
    with RawBus() as bus:
        calls = _pipelined(bus, PIPELINED, MANAGER, "GetSnapshot")
        bus.send(calls)
        bus.drain_until_quiet(0.5)


async def pipeline_small_calls(_victim: str) -> None:
    """Send 5,000 calls each of Ping and GetAll without waiting, then read the answers."""
    with RawBus() as bus:
        ping = _pipelined(bus, PIPELINED // 2, "org.freedesktop.DBus.Peer", "Ping")
        body = raw_bus.body("s", MANAGER)
        fields = {**SERVICE, "interface": PROPERTIES, "member": "GetAll", "signature": "s"}
        properties = b"".join(
            raw_bus.message(bus.next(), fields, body=body) for _ in range(PIPELINED // 2)
        )
        bus.send(ping + properties)
        bus.drain_until_quiet(0.5)


async def ask_and_never_read(_victim: str) -> None:
    """Send 10,000 calls of GetSnapshot, or as many as the bus takes in 2 s, and read no answer."""
    with RawBus() as bus:
        calls = _pipelined(bus, PIPELINED, MANAGER, "GetSnapshot")
        bus.send(calls, read=False, within=SECONDS)
        await asyncio.sleep(SECONDS)


async def subscribe_and_never_read(_victim: str) -> None:
    """Subscribe to all signals, and read none for 2 s."""
    with RawBus() as bus:
        bus.bus("AddMatch", "type='signal'")
        await asyncio.sleep(SECONDS)


async def refresh_in_a_loop(_victim: str) -> None:
    """Call Refresh again and again for 2 s, 50 calls at a time."""
    give_up = time.monotonic() + SECONDS
    with RawBus() as bus:
        while time.monotonic() < give_up:
            bus.send(_pipelined(bus, 50, MANAGER, "Refresh"))
            bus.drain_until_quiet(0.01)


async def send_huge_strings(_victim: str) -> None:
    """Send calls with strings of 1, 8, 30 and 40 MiB; the bus accepts messages up to 32 MiB."""
    for size in (1 << 20, 8 << 20, 30 << 20, 40 << 20):
        with RawBus() as bus:
            fields = {**SERVICE, "interface": MANAGER, "member": "GetTunnel", "signature": "s"}
            data = raw_bus.message(bus.next(), fields, body=raw_bus.body("s", "A" * size))
            bus.send(data, within=5.0)
            bus.drain_until_quiet(0.2)


async def call_what_does_not_exist(_victim: str) -> None:
    """Call 5,000 methods of objects that don't exist without waiting, then read the errors."""
    with RawBus() as bus:
        calls = b""
        for n in range(PIPELINED // 2):
            fields = {
                "destination": NAME,
                "path": f"{ROOT}/tunnel/nobody{n}",
                "interface": TUNNEL,
                "member": "A" * (n % 200 + 1),
            }
            calls += raw_bus.message(bus.next(), fields)
        bus.send(calls)
        bus.drain_until_quiet(0.3)


async def come_and_go(_victim: str) -> None:
    """Connect, send eight calls, and disconnect without waiting for answers, repeatedly for 2 s."""
    give_up = time.monotonic() + SECONDS
    while time.monotonic() < give_up:
        with RawBus() as bus:
            bus.send(_pipelined(bus, 8, MANAGER, "GetSnapshot"))


async def introspect_and_never_read(_victim: str, connections: int, seconds: float) -> int:
    """Call Introspect up to 2,000 times a second on each connection, and read no answer.

    Stop after ``seconds``, and return how many calls were sent. Each answer is some ten times as
    large as its call, and stays in the bus daemon's memory.
    """
    count = 0
    give_up = time.monotonic() + seconds
    with ExitStack() as stack:
        buses = [stack.enter_context(RawBus()) for _ in range(connections)]
        while time.monotonic() < give_up:
            began = time.monotonic()
            for bus in buses:
                calls = _pipelined(bus, 100, "org.freedesktop.DBus.Introspectable", "Introspect")
                if bus.send(calls, read=False, within=0.05):
                    count += 100
            await asyncio.sleep(max(0.0, 0.05 - (time.monotonic() - began)))
    return count


def _nested(depth: int) -> Variant:
    made = Variant("y", 0)
    for _ in range(depth):
        made = Variant("v", made)
    return made


async def send_costly_bodies(_victim: str, seconds: float) -> int:
    """Send messages of 1 MiB for ``seconds``: nested variants, which take long to unpack.

    Return how many messages were sent. Stop earlier if the bus cuts the connection or doesn't take
    a message within 5 s.
    """
    made = raw_bus.body("av", [_nested(20)] * (MIB // len(raw_bus.body("av", [_nested(20)]))))
    count = 0
    give_up = time.monotonic() + seconds
    with RawBus() as bus:
        fields = {**SERVICE, "interface": MANAGER, "member": "GetTunnel", "signature": "av"}
        while time.monotonic() < give_up:
            if not bus.send(raw_bus.message(bus.next(), fields, body=made), within=5.0):
                break
            count += 1
    return count
