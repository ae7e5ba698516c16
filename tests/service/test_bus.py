# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import logging
import os
import struct
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from dbus_fast import Message, MessageType

from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import ErrorReplyError
from ipsecwatch.dbus.introspection import interfaces
from ipsecwatch.service.bus import Bus, RefusedError
from ipsecwatch.service.object_tree import Publication
from ipsecwatch.tunnel import TunnelState
from tests.support import dbus_broker, dbus_daemon
from tests.support.bus_service import (
    MANAGER,
    NAME,
    ROOT,
    calling,
    serving,
)
from tests.support.dbus_broker import PrivateBroker
from tests.support.dbus_daemon import POLICY, PrivateBus
from tests.support.other_user import NOBODY, OtherUser
from tests.support.paths import TOP
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call

UP, DOWN = TunnelState.UP, TunnelState.DOWN
OFFICE = f"{ROOT}/tunnel/office"

pytestmark = pytest.mark.usefixtures("system_bus")


async def test_2000_tunnels_and_their_fall_are_announced_without_a_gap(
    system_bus: PrivateBus,
) -> None:
    names = [f"tunnel-{n}" for n in range(2000)]
    async with serving() as service, calling(listen=True) as caller:
        system_bus.pause()
        look = asyncio.create_task(service.look(*(tunnel(n, UP) for n in names)))
        await asyncio.wait_for(look, 5.0)
        await service.become(*(tunnel(n, DOWN) for n in names))
        await asyncio.sleep(0.5)
        system_bus.resume()
        await until(lambda: len(caller.heard) >= 1 + 4 * 2000)
        run_id, serial, tunnels = await caller.call("GetSnapshot")
    members = caller.members()
    assert members.count("InterfacesAdded") == members.count("TunnelDown") == 2000
    serials = [s.body[5] for s in caller.heard if s.member == "TunnelStateChanged"]
    assert serials == list(range(1, 2001))
    assert (run_id, serial, len(tunnels)) == ("run-1", 2000, 2000)


async def test_a_snapshot_in_the_midst_of_the_signals_is_of_one_piece() -> None:
    """A snapshot has all transitions up to its serial, and none after it."""
    names = [f"tunnel-{n}" for n in range(500)]
    async with serving() as service, calling(listen=True) as caller:
        await service.look(*(tunnel(n, UP) for n in names))
        fall = asyncio.create_task(service.become(*(tunnel(n, DOWN) for n in names)))
        snapshots = []
        while not fall.done():
            snapshots.append(await caller.call("GetSnapshot"))
        await fall
    assert snapshots
    for _, serial, tunnels in snapshots:
        states = {t["State"] for t in tunnels.values()}
        assert (serial, states) in [(0, {"up"}), (500, {"down"})]


# --- The bus itself ------------------------------------------------------------------------------


async def test_a_service_without_a_bus_keeps_its_state_for_the_day_there_is_one(
    system_bus: PrivateBus, caplog: pytest.LogCaptureFixture
) -> None:
    system_bus.stop()
    async with serving() as service:
        assert not service.bus.connected
        await service.look(tunnel("office"))
        await service.become(tunnel("office", UP))
        system_bus.start()
        await until(lambda: service.bus.connected)
        async with calling() as caller:
            _, serial, tunnels = await caller.call("GetSnapshot")
    assert (serial, tunnels[OFFICE]["State"]) == (1, "up")
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


async def test_a_service_whose_bus_restarts_is_there_again_and_has_lost_nothing(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        await service.look(tunnel("office"))
        service.may_refresh.clear()
        async with calling() as caller:
            waiting = asyncio.create_task(caller.call("Refresh"))
            await asyncio.sleep(0.05)
            system_bus.stop()
            with pytest.raises(Exception, match="the system bus"):
                await waiting
        await service.become(tunnel("office", UP))
        system_bus.start()
        await until(lambda: service.bus.connected)
        async with calling(listen=True) as caller:
            assert (await caller.call("GetSnapshot"))[1] == 1
            await service.become(tunnel("office", DOWN))
            await until(lambda: "TunnelDown" in caller.members())
            assert caller.heard[0].body[3] == 2


async def test_a_second_service_is_refused_and_told_why() -> None:
    async with serving():
        second = Bus("run-2", lambda: asyncio.sleep(0))
        with pytest.raises(RefusedError, match="another program has the name org") as caught:
            await second.start(Publication())
        assert "another ipsecwatch" in caught.value.hint


async def test_a_service_that_follows_another_one_waits_until_that_has_let_go() -> None:
    successor = Bus("run-2", lambda: asyncio.sleep(0))
    async with serving():
        starting = asyncio.create_task(successor.start(Publication()))
        await asyncio.sleep(0.3)
        assert not starting.done()
    await starting
    assert successor.connected
    await successor.stop()


async def test_a_bus_without_our_policy_is_refused_and_told_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PrivateBus(system=True, policies=()) as bare:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bare.address)
        with pytest.raises(RefusedError, match="refuses the name org") as caught:
            await Bus("run", lambda: asyncio.sleep(0)).start(Publication())
    assert "org.ipsecwatch1.conf" in caught.value.hint


async def test_what_was_announced_is_sent_before_the_service_leaves() -> None:
    async with calling(listen=True) as caller:
        async with serving() as service:
            await service.look(*(tunnel(f"t{n}", UP) for n in range(300)))
            await service.become(*(tunnel(f"t{n}", DOWN) for n in range(300)))
        await until(lambda: caller.members().count("TunnelDown") == 300)


# --- Other users ---------------------------------------------------------------------------------


async def his_crimes(victim: str) -> dict[str, str]:
    connection = await connect("system")
    outcome = {}
    for name, what in {
        "own": connection.call_bus("RequestName", "su", NAME, 0),
        "own below": connection.call_bus("RequestName", "su", f"{NAME}.Other", 0),
    }.items():
        try:
            await what
            outcome[name] = "allowed"
        except Exception as e:
            outcome[name] = getattr(e, "name", repr(e))
    for destination in None, victim:
        connection._send(
            Message(
                destination=destination,
                path=ROOT,
                interface=MANAGER,
                member="TunnelUp",
                message_type=MessageType.SIGNAL,
                signature="osta{sv}",
                body=[OFFICE, "office", 1, {}],
            )
        )
    await connection.call_bus("GetId", "")
    await connection.close()
    return outcome


async def test_another_user_can_neither_take_our_name_nor_speak_for_us(stranger: OtherUser) -> None:
    async with serving() as service, calling() as caller:
        await caller.connection.call_bus("AddMatch", "s", f"type='signal',interface='{MANAGER}'")
        outcome = await stranger.run(his_crimes, caller.connection.unique_name)
        await service.look(tunnel("office"))
        await service.become(tunnel("office", UP))
        await until(lambda: caller.heard)
    assert set(outcome.values()) == {"org.freedesktop.DBus.Error.AccessDenied"}
    assert caller.members() == ["TunnelUp", "TunnelStateChanged"]


async def his_oddities(unique: str) -> None:
    """Send odd messages that the bus may pass on, and that D-Bus libraries couldn't read."""
    async with calling() as caller:
        sock = caller.connection._bus._sock
        assert sock is not None
        for destination in NAME, unique:
            for kind, flags in (5, 0), (200, 0), (1, 0x80), (1, 0xFE), (4, 0xFE):
                serial = 0xF000_0000 + caller.connection._bus.next_serial()
                sock.sendall(odd_message(destination, kind, flags, serial))
        await caller.call("GetSnapshot")


def odd_message(destination: str, kind: int, flags: int, serial: int) -> bytes:
    """Return a message of any type and with any flags, with an unknown header field."""

    def text(code: int, signature: str, value: str) -> bytes:
        raw = value.encode()
        head = struct.pack("<BB", code, 1) + signature.encode() + b"\0"
        if signature == "g":
            return head + struct.pack("<B", len(raw)) + raw + b"\0"
        return head + struct.pack("<I", len(raw)) + raw + b"\0"

    fields = b""
    for field in (
        text(1, "o", ROOT),
        text(2, "s", MANAGER),
        text(3, "s", "GetSnapshot"),
        text(6, "s", destination),
        text(77, "s", "from the future"),
    ):
        fields += b"\0" * (-len(fields) % 8) + field
    head = struct.pack("<BBBBIII", ord("l"), kind, flags, 1, 0, serial, len(fields))
    return head + fields + b"\0" * (-len(head + fields) % 8)


async def test_what_no_library_knows_does_not_drive_the_service_off_the_bus(
    stranger: OtherUser,
) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office"))
        owner = (await caller.connection.call_bus("GetNameOwner", "s", NAME)).body
        calls: list[str] = []
        answer = service.bus._methods.called
        assert service.bus._connection is not None

        def called(connection: BusConnection, call: Call) -> None:
            calls.append(call.member)
            answer(connection, call)

        service.bus._connection.on_call = called
        await stranger.run(his_oddities, *owner)
        assert calls == ["GetSnapshot"] * 5, "the bus passes four of the odd ones on"
        await caller.call("GetSnapshot")
        assert (await caller.connection.call_bus("GetNameOwner", "s", NAME)).body == owner


def test_the_policy_speaks_of_every_interface_that_the_service_has() -> None:
    allowed = {
        e.attrib.get("send_interface")
        for e in ET.parse(POLICY).getroot().iter("allow")
        if e.attrib.get("send_destination") == NAME
    }
    methods = {i.name for i in interfaces().values() if i.methods}
    assert allowed == methods


GROUP = TOP / "packaging/restrict-to-group.conf"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("brokered", [False, True], ids=["dbus-daemon", "dbus-broker"])
async def test_with_the_snippet_only_root_and_a_group_may_ask(
    brokered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := dbus_broker.missing() if brokered else dbus_daemon.missing():
        pytest.skip(why)
    ours = tmp_path / "zz-group.conf"
    ours.write_text(GROUP.read_text().replace('group="adm"', 'group="daemon"'))
    policies = (dbus_daemon.POLICY, ours)
    bus = PrivateBroker(policies) if brokered else PrivateBus(system=True, policies=policies)
    with bus as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        async with serving() as service:
            await service.look(tunnel("office"))
            with OtherUser(1) as member, OtherUser(NOBODY) as outsider:  # daemon, nobody
                assert await member.run(names_of_tunnels) == ["office"]
                assert await outsider.run(names_of_tunnels) == "AccessDenied"
            assert await names_of_tunnels() == ["office"]


async def names_of_tunnels() -> list[str] | str:
    """Return the names of all tunnels in a snapshot, or the name of the error."""
    connection = await connect("system")
    try:
        reply = await connection.call(NAME, ROOT, MANAGER, "GetSnapshot")
    except ErrorReplyError as e:
        return e.name.rpartition(".")[2]
    finally:
        await connection.close()
    return [p["Name"].value for p in reply.body[2].values()]
