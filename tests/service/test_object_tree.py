# SPDX-License-Identifier: MIT
from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from ipsecwatch import __version__
from ipsecwatch.dbus.introspection import FILES, interfaces
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import (
    INTROSPECTABLE,
    MANAGER,
    OBJECT_MANAGER,
    PROPERTIES,
    ROOT,
    TUNNEL,
    calling,
    serving,
)
from tests.support.tunnels import SINCE, SINCE_MONO, becomes, tunnel
from tests.support.waiting import until

UP, DOWN, PARTIAL = TunnelState.UP, TunnelState.DOWN, TunnelState.PARTIAL
STUCK, CONNECTING, UNKNOWN = TunnelState.STUCK, TunnelState.CONNECTING, TunnelState.UNKNOWN
OFFICE = f"{ROOT}/tunnel/office"

pytestmark = pytest.mark.usefixtures("system_bus")


# --- Introspection and properties ----------------------------------------------------------------


def shape(element: ET.Element) -> object:
    """Return what an element of an interface defines, independent of layout and order."""
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


def test_every_member_is_explained_in_the_xml() -> None:
    for interface in (MANAGER, TUNNEL):
        text = (FILES / f"{interface}.xml").read_text()
        described = interfaces()[interface]
        for member in [*described.methods, *described.signals, *described.properties]:
            assert f"{member}:" in text


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
        "SinceBoottime": 0,
        "SinceKnown": True,
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
        await service.publish(
            [],
            unrecognised=3,
            missed=7,
            log=LogState.FILE,
            unit="vpn\x1b.service",
            complete=False,
            pluto_version="4.10\x1b[2J",
        )
        told = await caller.call("GetAll", "s", MANAGER, interface=PROPERTIES)
    assert told == {
        "Version": __version__,
        "PlutoState": "running",
        "PlutoVersion": "4.10\\x1b[2J",
        "RunId": "run-1",
        "Complete": False,
        "Unrecognised": 3,
        "Serial": 1,
        "Missed": 7,
        "LogState": "file",
        "PlutoUnit": "vpn\\x1b.service",
        "LastPoll": 1_700_000_000_000_000,
        "Counts": {"up": 2, "connecting": 1},
    }
    assert told.keys() == interfaces()[MANAGER].properties.keys()


# --- Signals -------------------------------------------------------------------------------------


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
