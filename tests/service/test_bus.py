# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gc
import logging
import os
import struct
import xml.etree.ElementTree as ET
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from dbus_fast import Message, MessageFlag, MessageType

from ipsecwatch import __version__
from ipsecwatch.dbus.connection import ErrorReplyError, connect
from ipsecwatch.dbus.introspection import FILES, interfaces
from ipsecwatch.dbus.messages import Call, Variant
from ipsecwatch.report import PlutoState
from ipsecwatch.service import admission, methods
from ipsecwatch.service.bus import Bus, RefusedError
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import (
    INTROSPECTABLE,
    MANAGER,
    NAME,
    OBJECT_MANAGER,
    PROPERTIES,
    ROOT,
    TUNNEL,
    calling,
    serving,
)
from tests.support.dbus_daemon import POLICY, PrivateBus
from tests.support.other_user import OtherUser
from tests.support.tunnels import SINCE, SINCE_MONO, becomes, tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.dbus.connection import BusConnection

UP, DOWN, PARTIAL = TunnelState.UP, TunnelState.DOWN, TunnelState.PARTIAL
STUCK, CONNECTING, UNKNOWN = TunnelState.STUCK, TunnelState.CONNECTING, TunnelState.UNKNOWN
PEER = "org.freedesktop.DBus.Peer"
OFFICE = f"{ROOT}/tunnel/office"

pytestmark = pytest.mark.usefixtures("system_bus")


# --- Introspection and properties ---------------------------------------------------------------


def shape(element: ET.Element) -> object:
    """What an interface is, whatever its layout and order."""
    parts = sorted((shape(e) for e in element if e.tag != "arg"), key=repr)
    # A signal's arguments go out; the specification lets the attribute be left out.
    arguments = [(e.attrib.get("direction", "out"), shape(e)) for e in element if e.tag == "arg"]
    attributes = sorted(item for item in element.attrib.items() if item[0] != "direction")
    return element.tag, attributes, arguments, parts


def by_name(root: ET.Element) -> dict[str, object]:
    return {e.attrib["name"]: shape(e) for e in root.iter("interface")}


@pytest.mark.parametrize(("path", "interface"), [(ROOT, MANAGER), (OFFICE, TUNNEL)])
async def test_the_running_service_describes_itself_as_the_xml_file_does(
    path: str, interface: str
) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office"))
        told = await caller.call("Introspect", interface=INTROSPECTABLE, path=path)
    file = by_name(ET.parse(FILES / f"{interface}.xml").getroot())
    running = by_name(ET.fromstring(told))
    assert file[interface] == running[interface]
    standard = by_name(ET.parse(FILES / "standard.xml").getroot())
    for name, described in running.items():
        assert described == (file | standard)[name]
    assert "<!--" not in told


async def test_one_finds_the_way_from_the_root_of_the_tree() -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office"), tunnel("home-1"))

        async def children(path: str) -> list[str]:
            told = await caller.call("Introspect", interface=INTROSPECTABLE, path=path)
            return [
                e.attrib["name"] for e in ET.fromstring(told).iter("node") if "name" in e.attrib
            ]

        assert await children("/") == ["org"]
        assert await children("/org") == ["ipsecwatch1"]
        assert await children(ROOT) == ["tunnel"]
        assert await children(f"{ROOT}/tunnel") == ["office", "home_2d1"]
        assert await children(OFFICE) == []


async def test_a_tunnels_properties_are_told_one_by_one_and_together() -> None:
    office = tunnel(
        "office",
        UNKNOWN,
        last_state=UP,
        reason=Reason.PLUTO_UNREACHABLE,
        children_up=2,
        children=3,
        instances=4,
        managed="NetworkManager",
        attempts=7,
        peer="192.0.2.1",
        detail="secret",
    )
    expected = {
        "Name": "office",
        "State": "unknown",
        "LastState": "up",
        "Reason": "pluto-unreachable",
        "Since": round(SINCE * 1e6),
        "SinceMonotonic": round(SINCE_MONO * 1e6),
        "ChildrenUp": 2,
        "Children": 3,
        "Instances": 4,
        "Managed": "NetworkManager",
        "Attempts": 7,
    }
    async with serving() as service, calling() as caller:
        await service.look(office)
        assert (
            await caller.call("GetAll", "s", TUNNEL, interface=PROPERTIES, path=OFFICE) == expected
        )
        assert await caller.call("GetAll", "s", "", interface=PROPERTIES, path=OFFICE) == expected
        for name, value in expected.items():
            got = await caller.call("Get", "ss", TUNNEL, name, interface=PROPERTIES, path=OFFICE)
            assert got == value
        managed = await caller.call("GetManagedObjects", interface=OBJECT_MANAGER)
        assert managed == {OFFICE: {TUNNEL: expected}}
        assert await caller.call("GetSnapshot") == ["run-1", 0, {OFFICE: expected}]
        assert await caller.call("GetTunnel", "s", "office") == OFFICE
    assert expected.keys() == interfaces()[TUNNEL].properties.keys()


async def test_the_managers_properties_are_told() -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("a", UP), tunnel("b", UP), tunnel("c"))
        await service.become(tunnel("c", CONNECTING))
        await service.publish([], unrecognised=3, complete=False, pluto_version="4.10\x1b[2J")
        told = await caller.call("GetAll", "s", MANAGER, interface=PROPERTIES)
    assert told == {
        "Version": __version__,
        "PlutoState": "running",
        "PlutoVersion": "4.10\\x1b[2J",
        "RunId": "run-1",
        "Complete": False,
        "Unrecognised": 3,
        "Serial": 1,
        "LastPoll": 1_700_000_000_000_000,
        "Counts": {"up": 2, "connecting": 1},
    }
    assert told.keys() == interfaces()[MANAGER].properties.keys()


# --- Signals ------------------------------------------------------------------------------------


async def test_a_poll_is_announced_in_order() -> None:
    async with serving() as service, calling(listen=True) as caller:
        await service.look(tunnel("office", UP), tunnel("home", DOWN), tunnel("old", UP))
        await until(lambda: len(caller.heard) == 4)
        caller.heard.clear()
        service.pluto = PlutoState.STARTING
        await service.become(
            tunnel("office", DOWN, reason=Reason.PEER_DEAD),
            tunnel("home", UP),
            tunnel("new", STUCK),
            gone=("old",),
            reason=Reason.PEER_DEAD,
        )
        await until(lambda: "InterfacesRemoved" in caller.members())
    assert [(s.path, s.member) for s in caller.heard] == [
        (ROOT, "InterfacesAdded"),
        (ROOT, "PropertiesChanged"),
        (ROOT, "TunnelDown"),
        (ROOT, "TunnelStateChanged"),
        (ROOT, "TunnelUp"),
        (ROOT, "TunnelStateChanged"),
        (ROOT, "TunnelStuck"),
        (ROOT, "TunnelStateChanged"),
        (ROOT, "TunnelDown"),
        (ROOT, "TunnelStateChanged"),
        (OFFICE, "PropertiesChanged"),
        (f"{ROOT}/tunnel/home", "PropertiesChanged"),
        (ROOT, "InterfacesRemoved"),
    ]
    for signal in caller.heard:
        assert signal.signature == interfaces()[signal.interface].signals[signal.member]


async def test_the_four_signals_say_what_the_xml_promises() -> None:
    async with serving() as service, calling(listen=True) as caller:
        await service.look(tunnel("office", DOWN))
        await service.become(tunnel("office", UP))
        await service.become(tunnel("office", DOWN), reason=Reason.PEER_DELETED)
        await service.become(tunnel("office", STUCK), reason=Reason.NO_ANSWER)
        await until(lambda: caller.members().count("TunnelStateChanged") == 3)
        snapshot = await caller.call("GetSnapshot")
    signals = {(s.member, s.body[-2]): s.body for s in caller.heard if s.interface == MANAGER}
    assert signals["TunnelUp", 1] == [OFFICE, "office", 1, {}]
    assert signals["TunnelDown", 2] == [OFFICE, "office", "peer-deleted", 2, {}]
    assert signals["TunnelStuck", 3] == [OFFICE, "office", "no-answer", 3, {}]
    changes = [s.body for s in caller.heard if s.member == "TunnelStateChanged"]
    at = round(SINCE * 1e6)
    assert [c[:7] for c in changes] == [
        [OFFICE, "office", "down", "up", "none", 1, at],
        [OFFICE, "office", "up", "down", "peer-deleted", 2, at],
        [OFFICE, "office", "down", "stuck", "no-answer", 3, at],
    ]
    assert {k: v.value for k, v in changes[-1][7].items()} == snapshot[2][OFFICE]
    assert snapshot[1] == 3


async def test_a_partial_tunnel_that_gets_stuck_is_told_without_a_change_of_state() -> None:
    partial = tunnel("office", PARTIAL)
    async with serving() as service, calling(listen=True) as caller:
        await service.look(partial)
        transition = becomes(partial, partial, Reason.CHILD_MISSING)
        await service.publish([replace(transition, sticks=True)])
        await until(lambda: "TunnelStateChanged" in caller.members())
    told = [(s.member, s.body[2:-2]) for s in caller.heard if s.interface == MANAGER]
    assert told == [
        ("TunnelStuck", ["child-missing"]),
        ("TunnelStateChanged", ["partial", "partial", "child-missing", 1]),
    ]


async def test_properties_changed_tells_only_what_changed_and_never_what_ticks() -> None:
    office = tunnel("office", UP, children=2, children_up=1)
    async with serving() as service, calling(listen=True) as caller:
        await service.look(office)
        await until(lambda: len(caller.heard) == 2)
        caller.heard.clear()
        service.tunnels["office"] = tunnel("office", UP, children=2, children_up=2, attempts=3)
        await service.publish([])
        service.tunnels["office"] = tunnel("office", UP, children=2, children_up=2, attempts=4)
        await service.publish([], last_poll=1_700_000_005.0)
        await service.publish([], unrecognised=1)
        await until(lambda: len(caller.heard) == 2)
        ticked = await caller.call(
            "Get", "ss", TUNNEL, "Attempts", interface=PROPERTIES, path=OFFICE
        )
    first, second = caller.heard
    assert ticked == 4
    assert (first.path, second.path) == (OFFICE, ROOT)
    assert first.body == [TUNNEL, {"ChildrenUp": Variant("u", 2)}, []]
    assert second.body == [MANAGER, {"Unrecognised": Variant("u", 1)}, []]


async def test_objects_come_and_go() -> None:
    async with serving() as service, calling(listen=True) as caller:
        await service.look(tunnel("a"))
        await service.look(tunnel("b"))
        await until(lambda: "InterfacesRemoved" in caller.members())
        assert await caller.error("GetTunnel", "s", "a") == "org.ipsecwatch1.Error.NoSuchTunnel"
    objects = [s.body for s in caller.heard if s.interface == OBJECT_MANAGER]
    assert [b[0] for b in objects] == [f"{ROOT}/tunnel/{n}" for n in "aba"]
    assert objects[1][1][TUNNEL]["Name"].value == "b"
    assert objects[2][1] == [TUNNEL]


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
    """Signals up to its serial may follow it; none of them is missing from it."""
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


# --- Methods ------------------------------------------------------------------------------------


async def test_refresh_answers_the_serial_after_the_poll_and_its_signals() -> None:
    async with serving() as service, calling(listen=True) as caller:
        await service.look(tunnel("office"))
        service.may_refresh.clear()
        asking = [asyncio.create_task(caller.call("Refresh")) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert not any(a.done() for a in asking)
        await service.become(tunnel("office", UP))
        service.may_refresh.set()
        assert [await a for a in asking] == [1, 1, 1]
        assert "TunnelUp" in caller.members()


async def test_refresh_fails_where_pluto_cannot_be_asked() -> None:
    async with serving() as service, calling() as caller:
        for pluto in PlutoState.STOPPED, PlutoState.UNREACHABLE:
            service.pluto = pluto
            await service.look()
            assert await caller.error("Refresh") == "org.ipsecwatch1.Error.PlutoUnavailable"


async def test_refresh_fails_after_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "REFRESH_LIMIT", 0.1)
    async with serving() as service, calling() as caller:
        service.may_refresh.clear()
        assert await caller.error("Refresh") == "org.ipsecwatch1.Error.PlutoUnavailable"


async def test_one_caller_cannot_have_many_calls_waiting() -> None:
    async with serving() as service, calling() as greedy, calling() as modest:
        await service.look(tunnel("office"))
        service.may_refresh.clear()
        asked = [asyncio.create_task(greedy.error("Refresh")) for _ in range(20)]
        done, _ = await asyncio.wait(asked, timeout=1.0)
        assert len(done) == 20 - admission.MAX_WAITING_EACH
        assert {t.result() for t in done} == {"LimitsExceeded"}
        assert (await modest.call("GetSnapshot"))[1] == 0
        mine = asyncio.create_task(modest.call("Refresh"))
        await asyncio.sleep(0.05)
        service.pluto = PlutoState.STOPPED
        await service.publish([])
        service.may_refresh.set()
        for task in asked:
            await task
        with pytest.raises(Exception, match="pluto is stopped"):
            await mine
        service.pluto = PlutoState.RUNNING
        await service.publish([])
        assert await greedy.call("Refresh") == 0


async def test_details_come_in_pages_and_in_order_of_name() -> None:
    async with serving() as service, calling() as caller:
        await service.look(*(tunnel(n, peer=f"192.0.2.{i}") for i, n in enumerate("cab")))

        async def ask(*names: str, **options: int) -> list[str]:
            given = {k: Variant("u", v) for k, v in options.items()}
            told = await caller.call("GetDetails", "asa{sv}", list(names), given)
            return [d["Name"] + d["PeerAddress"][-1] for d in told.values()]

        assert await ask() == ["a1", "b2", "c0"]
        assert await ask(offset=1) == ["b2", "c0"]
        assert await ask(offset=1, limit=1) == ["b2"]
        assert await ask(limit=0) == []
        assert await ask(offset=3) == []
        assert await ask("c", "a") == ["c0", "a1"]
        assert await ask("c", "c", "a", "c", limit=2) == ["c0", "a1"]
        for options in ({"offset": Variant("i", 1)}, {"page": Variant("u", 1)}):
            assert await caller.error("GetDetails", "asa{sv}", [], options) == "InvalidArgs"
        nobody = await caller.error("GetDetails", "asa{sv}", ["a", "x"], {})
        assert nobody == "org.ipsecwatch1.Error.NoSuchTunnel"


async def test_an_answer_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipsecwatch.dbus.connection.MAX_MESSAGE", 20_000)
    async with serving() as service, calling() as caller:
        await service.look(*(tunnel(f"tunnel-{n}", detail="x" * 200) for n in range(100)))
        assert await caller.error("GetDetails", "asa{sv}", [], {}) == "LimitsExceeded"
        limit = {"limit": Variant("u", 10)}
        assert len(await caller.call("GetDetails", "asa{sv}", [], limit)) == 10


async def test_the_machine_and_the_connection_are_answered_for() -> None:
    async with serving(), calling() as caller:
        assert await caller.call("Ping", interface=PEER) == []


# --- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body", "error"),
    [
        ("/org/other", MANAGER, "Refresh", "", [], "UnknownObject"),
        (f"{ROOT}/tunnel/nobody", PROPERTIES, "GetAll", "s", [TUNNEL], "UnknownObject"),
        ("/", MANAGER, "Refresh", "", [], "UnknownInterface"),
        (OFFICE, MANAGER, "Refresh", "", [], "UnknownInterface"),
        (OFFICE, OBJECT_MANAGER, "GetManagedObjects", "", [], "UnknownInterface"),
        (f"{ROOT}/tunnel", PROPERTIES, "GetAll", "s", [TUNNEL], "UnknownInterface"),
        (ROOT, MANAGER, "Nonsense", "", [], "UnknownMethod"),
        (ROOT, PROPERTIES, "Nonsense", "", [], "UnknownMethod"),
        (ROOT, PEER, "Nonsense", "", [], "UnknownMethod"),
        (ROOT, MANAGER, "Refresh", "s", ["x"], "InvalidArgs"),
        (ROOT, MANAGER, "GetTunnel", "", [], "InvalidArgs"),
        (ROOT, MANAGER, "GetTunnel", "u", [5], "InvalidArgs"),
        (ROOT, MANAGER, "GetDetails", "as", [["x"]], "InvalidArgs"),
        (ROOT, PROPERTIES, "Get", "s", [MANAGER], "InvalidArgs"),
        (ROOT, PROPERTIES, "Get", "ss", [MANAGER, "Nonsense"], "UnknownProperty"),
        (ROOT, PROPERTIES, "Get", "ss", ["", "Nonsense"], "UnknownProperty"),
        (ROOT, PROPERTIES, "Get", "ss", [PROPERTIES, "Version"], "UnknownProperty"),
        (ROOT, PROPERTIES, "Get", "ss", ["org.example", "Version"], "UnknownInterface"),
        (ROOT, PROPERTIES, "GetAll", "s", ["not even an interface\n"], "UnknownInterface"),
        (ROOT, PROPERTIES, "Set", "ssv", [MANAGER, "RunId", Variant("s", "x")], "PropertyReadOnly"),
        (OFFICE, PROPERTIES, "Set", "ssv", [TUNNEL, "Name", Variant("u", 1)], "PropertyReadOnly"),
        (ROOT, PROPERTIES, "Set", "ssv", [MANAGER, "X", Variant("s", "x")], "UnknownProperty"),
        (ROOT, MANAGER, "GetTunnel", "s", ["x" * 1_000_000], "org.ipsecwatch1.Error.NoSuchTunnel"),
        (ROOT, MANAGER, "GetTunnel", "s", ["\x1b[2J\n"], "org.ipsecwatch1.Error.NoSuchTunnel"),
    ],
)
async def test_a_wrong_call_gets_the_error_that_says_so(
    path: str, interface: str, member: str, signature: str, body: list[Any], error: str
) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office"))
        got = await caller.error(member, signature, *body, interface=interface, path=path)
        assert got == error
        assert (await caller.call("GetSnapshot"))[1] == 0


async def test_who_wants_no_reply_gets_none_not_even_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office"))
        # The bus itself drops an answer that nobody waits for: look where it would be sent.
        assert service.bus._connection is not None
        sent: list[Message] = []
        send = service.bus._connection._send

        def note(message: Message) -> None:
            if getattr(message, "message_type", None) is MessageType.METHOD_CALL:
                send(message)  # its own question to the bus
            else:
                sent.append(message)

        monkeypatch.setattr(service.bus._connection, "_send", note)
        for member in "GetSnapshot", "Refresh", "Nonsense":
            flags = MessageFlag.NO_REPLY_EXPECTED
            await caller.connection._bus.send(Message(NAME, ROOT, MANAGER, member, flags=flags))
        await until(lambda: service.refreshes == 1)
        await asyncio.sleep(0.05)
    assert sent == []


async def test_a_fault_of_ours_is_told_to_the_log_and_not_to_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as service, calling() as caller:
        service.bus._objects.tunnels[OFFICE] = "no tunnel"  # type: ignore[assignment]
        assert await caller.error("GetSnapshot") == "Failed"
        name = await caller.error("GetAll", "s", TUNNEL, interface=PROPERTIES, path=OFFICE)
        assert name == "Failed"
    assert caplog.text.count("AttributeError") == 2


# --- The bus itself -----------------------------------------------------------------------------


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
        with pytest.raises(RefusedError, match="somebody else is org") as caught:
            await second.start()
        assert "another ipsecwatch" in caught.value.hint


async def test_a_service_that_follows_another_one_waits_until_that_has_let_go() -> None:
    successor = Bus("run-2", lambda: asyncio.sleep(0))
    async with serving():
        starting = asyncio.create_task(successor.start())
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
        with pytest.raises(RefusedError, match="doesn't let us be org") as caught:
            await Bus("run", lambda: asyncio.sleep(0)).start()
    assert "org.ipsecwatch1.conf" in caught.value.hint


async def test_what_was_announced_is_sent_before_the_service_leaves() -> None:
    async with calling(listen=True) as caller:
        async with serving() as service:
            await service.look(*(tunnel(f"t{n}", UP) for n in range(300)))
            await service.become(*(tunnel(f"t{n}", DOWN) for n in range(300)))
        await until(lambda: caller.members().count("TunnelDown") == 300)


# --- Other users --------------------------------------------------------------------------------


@pytest.fixture
def stranger(system_bus: PrivateBus) -> Iterator[OtherUser]:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    with OtherUser() as made:
        yield made


async def his_calls() -> dict[str, Any]:
    async with calling(listen=True) as caller:
        details = await caller.error("GetDetails", "asa{sv}", [], {})
        await caller.call("Refresh")
        told = {
            "snapshot": await caller.call("GetSnapshot"),
            "tunnel": await caller.call("GetTunnel", "s", "office"),
            "version": await caller.call("Get", "ss", MANAGER, "Version", interface=PROPERTIES),
            "objects": await caller.call("GetManagedObjects", interface=OBJECT_MANAGER),
            "xml": await caller.call("Introspect", interface=INTROSPECTABLE, path=OFFICE),
            "ping": await caller.call("Ping", interface=PEER),
            "details": details,
        }
        await until(lambda: "TunnelUp" in caller.members())
        return told


async def test_another_user_may_ask_and_listen_but_not_for_details(stranger: OtherUser) -> None:
    async with serving() as service:
        await service.look(tunnel("office", peer="192.0.2.99"))
        asking = asyncio.create_task(stranger.run(his_calls))
        await until(lambda: service.refreshes)
        await service.become(tunnel("office", UP))
        told = await asking
    assert told["details"] == "AccessDenied"
    assert told["tunnel"] == OFFICE
    assert told["snapshot"][2][OFFICE]["Name"] == "office"
    assert "192.0.2.99" not in repr(told)


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
    """Send what the bus may let pass and libraries have choked on."""
    async with calling() as caller:
        sock = caller.connection._bus._sock
        assert sock is not None
        for destination in NAME, unique:
            for kind, flags in (5, 0), (200, 0), (1, 0x80), (1, 0xFE), (4, 0xFE):
                serial = 0xF000_0000 + caller.connection._bus.next_serial()
                sock.sendall(odd_message(destination, kind, flags, serial))
        await caller.call("GetSnapshot")


def odd_message(destination: str, kind: int, flags: int, serial: int) -> bytes:
    """A message of any type and flags, with a header field that nobody knows."""

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


def test_every_member_is_explained_in_the_xml() -> None:
    for interface in (MANAGER, TUNNEL):
        text = (FILES / f"{interface}.xml").read_text()
        described = interfaces()[interface]
        for member in [*described.methods, *described.signals, *described.properties]:
            assert f"{member}:" in text


async def his_greed() -> int:
    """Have as many calls wait as one user may, and more; how many were refused at once."""
    async with AsyncExitStack() as stack:
        each = admission.MAX_WAITING_EACH
        callers = [
            await stack.enter_async_context(calling())
            for _ in range(admission.MAX_WAITING_USER // each + 2)
        ]
        asked = [asyncio.create_task(c.error("Refresh")) for c in callers for _ in range(each)]
        done, waiting = await asyncio.wait(asked, timeout=1.5)
        assert {t.result() for t in done} == {"LimitsExceeded"}
        for task in waiting:
            task.cancel()
        return len(done)


async def test_one_user_cannot_keep_others_out(stranger: OtherUser) -> None:
    async with serving() as service, calling() as root:
        await service.look(tunnel("office"))
        service.may_refresh.clear()
        asking = asyncio.create_task(stranger.run(his_greed))
        waiting = service.bus._methods._admission._tasks
        await until(lambda: len(waiting) >= admission.MAX_WAITING_USER)
        assert (await root.call("GetSnapshot"))[1] == 0
        mine = asyncio.create_task(root.call("Refresh"))
        assert await asking == 2 * admission.MAX_WAITING_EACH
        service.may_refresh.set()
        assert await mine == 0
        await until(lambda: not waiting)
        assert not service.bus._methods._admission._waiting


async def test_whoever_has_hung_up_costs_no_answer() -> None:
    async with serving() as service, calling() as caller:
        await service.look(tunnel("office"))
        assert service.bus._connection is not None
        gone = Call(":1.999", 1, ROOT, MANAGER, "GetSnapshot", "", [], True, False)
        for _ in range(5):
            service.bus._methods.called(service.bus._connection, gone)
        assert not service.bus._methods._admission._tasks
        assert len(service.bus._methods._admission._unknown[":1.999"].calls) == 5
        assert (await caller.call("GetSnapshot"))[1] == 0
        await until(lambda: not service.bus._methods._admission._unknown)
        await until(lambda: not service.bus._methods._admission._tasks)
        assert not service.bus._methods._admission._waiting


async def test_a_call_in_vain_leaves_nothing_to_the_collector() -> None:
    async with calling() as caller:
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                with pytest.raises(ErrorReplyError):
                    await caller.connection.call_bus("GetConnectionUnixUser", "s", ":1.999")
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [e for e in gc.garbage if isinstance(e, ErrorReplyError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
        assert not left
