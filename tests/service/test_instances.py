# SPDX-License-Identifier: MIT
"""Tests of several services on one bus: their names, who may ask them, and which pluto is whose."""

from __future__ import annotations

import asyncio
import os
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import client
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import ErrorReplyError
from ipsecwatch.dbus.names import bus_name, owner_of_name, socket_name
from ipsecwatch.service.bus import Bus, RefusedError, SocketTakenError
from ipsecwatch.service.object_tree import Publication
from ipsecwatch.tunnel import TunnelState
from tests.support import dbus_broker, dbus_daemon
from tests.support.bus_service import calling, serving
from tests.support.dbus_broker import PrivateBroker
from tests.support.dbus_daemon import POLICY, PrivateBus
from tests.support.other_user import NOBODY, OtherUser
from tests.support.paths import TOP
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ASK = TOP / "packaging/ask-instance.conf"
GROUP = TOP / "packaging/restrict-to-group.conf"

BUSES = pytest.mark.parametrize("brokered", [False, True], ids=["dbus-daemon", "dbus-broker"])
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@contextmanager
def system_bus(
    monkeypatch: pytest.MonkeyPatch, *policies: Path, brokered: bool
) -> Iterator[PrivateBus]:
    """A private system bus with our policy and others; for this process it is the system bus."""
    if why := dbus_broker.missing() if brokered else dbus_daemon.missing():
        pytest.skip(why)
    both = (POLICY, *policies)
    bus = PrivateBroker(both) if brokered else PrivateBus(system=True, policies=both)
    with bus as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        yield made


def asking(folder: Path, instance: str) -> Path:
    """Write the policy file that allows other users to ask an instance, as the template says."""
    file = folder / f"org.ipsecwatch1.{instance}.conf"
    file.write_text(ASK.read_text().replace("NAME", instance))
    return file


# --- Names ---------------------------------------------------------------------------------------


async def test_services_of_several_plutos_are_side_by_side(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with system_bus(monkeypatch, brokered=False):
        async with (
            serving("run-1", "", str(tmp_path / "0.ctl")) as plain,
            serving("run-2", "acme", str(tmp_path / "1.ctl")) as acme,
        ):
            await plain.look(tunnel("office"))
            await acme.look(tunnel("office", TunnelState.UP), tunnel("lab"))
            assert await client.instances() == ["", "acme"]
            seen = {i: await client.snapshot(instance=i) for i in ("", "acme")}
            assert [s.run_id for s in seen.values()] == ["run-1", "run-2"]
            assert len(seen["acme"].tunnels) == 2
            assert await client.refresh(instance="acme") == 0
            assert (plain.refreshes, acme.refreshes) == (0, 1)
            if os.getuid() == 0:
                assert len(await client.details(instance="acme")) == 2
        with pytest.raises(client.ServiceUnavailableError) as caught:
            await client.snapshot(instance="acme")
        assert str(caught.value) == "ipsecwatch@acme isn't running"
        assert caught.value.hint.endswith(": systemctl start ipsecwatch@acme")


# --- One pluto, one service ----------------------------------------------------------------------

ONE_SOCKET = [("", "acme"), ("acme", ""), ("acme", "other")]


@pytest.mark.parametrize(("first", "second"), ONE_SOCKET)
async def test_a_pluto_that_is_watched_is_not_watched_by_another_service(
    first: str, second: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ipsecwatch.service.bus.PREDECESSOR", (0.01,))
    (tmp_path / "link").symlink_to(tmp_path)
    with system_bus(monkeypatch, brokered=False):
        async with serving("run-1", first, str(tmp_path / "pluto.ctl")):
            same = str(tmp_path / "link/pluto.ctl")
            bus = Bus("run-2", lambda: asyncio.sleep(0), second, same)
            with pytest.raises(SocketTakenError) as caught:
                await bus.start(Publication())
            assert str(caught.value) == f"{bus_name(first)} watches the pluto at {same} already"
            assert caught.value.hint == "Set a different control_socket for each service"
            assert await client.instances() == [first], "it was never there under its name"
        await bus.start(Publication())  # the other one has gone
        assert bus.connected
        await bus.stop()


async def test_a_second_service_of_one_name_is_told_that_it_is_the_second(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("ipsecwatch.service.bus.PREDECESSOR", (0.01,))
    with system_bus(monkeypatch, brokered=False):
        async with serving("run-1", "acme", str(tmp_path / "pluto.ctl")):
            for socket in str(tmp_path / "pluto.ctl"), str(tmp_path / "other.ctl"):
                bus = Bus("run-2", lambda: asyncio.sleep(0), "acme", socket)
                with pytest.raises(
                    RefusedError, match=r"another program has the name org\.ipsecwatch1\.acme"
                ):
                    await bus.start(Publication())


async def test_under_a_policy_of_an_older_version_the_service_is_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / POLICY.name
    old.write_text(POLICY.read_text().replace("own_prefix", "own"))
    with PrivateBus(system=True, policies=(old,)) as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        async with serving("run-1", "", str(tmp_path / "pluto.ctl")) as service:
            assert service.bus.connected
        with pytest.raises(RefusedError, match=r"refuses the name org\.ipsecwatch1\.acme"):
            await Bus("run-2", lambda: asyncio.sleep(0), "acme").start(Publication())


async def test_a_service_that_moves_to_another_connection_keeps_both_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    socket = str(tmp_path / "pluto.ctl")
    with system_bus(monkeypatch, brokered=True):
        async with serving("run-1", "acme", socket) as service, calling() as caller:
            old = service.bus._connection
            await until(lambda: service.bus._ready_spare() is not None)
            assert old is not None
            assert service.bus._moved(old)
            new = service.bus._connection
            assert new is not None
            names = bus_name("acme"), socket_name(socket)
            # The bus may read the caller's question before the service's release of the names.
            owners: set[str] = set()
            async with asyncio.timeout(20):
                while owners != {new.unique_name}:
                    owners = {await owner_of_name(caller.connection, name) for name in names}


# --- The policy ----------------------------------------------------------------------------------


async def what_he_may(instance: str, destination: str) -> dict[str, str]:
    """Return what the bus allows this user: the names of errors, or "allowed"."""
    connection = await connect("system")
    manager, properties = "org.ipsecwatch1.Manager", "org.freedesktop.DBus.Properties"
    root, name = "/org/ipsecwatch1", f"org.ipsecwatch1.{instance}"
    outcome = {}
    for what, asked in {
        "own": connection.call_bus("RequestName", "su", f"{name}2", 0),
        "own a socket": connection.call_bus("RequestName", "su", socket_name("/x.ctl"), 0),
        "ask": connection.call(name, root, manager, "GetSnapshot"),
        "ask the unique name": connection.call(destination, root, manager, "GetSnapshot"),
        "read": connection.call(name, root, properties, "GetAll", "s", [manager]),
    }.items():
        try:
            await asked
            outcome[what] = "allowed"
        except ErrorReplyError as e:
            outcome[what] = e.name.removeprefix("org.freedesktop.DBus.Error.")
    await connection.close()
    return outcome


async def at_others(instance: str, bystander: str) -> str:
    """Call a program that isn't ours; return the error's name, or ``instance`` if it answers."""
    connection = await connect("system")
    properties = "org.freedesktop.DBus.Properties"
    try:
        await connection.call(bystander, "/", properties, "GetAll", "s", ["x"], within=0.5)
    except Exception as e:
        return getattr(e, "name", type(e).__name__).removeprefix("org.freedesktop.DBus.Error.")
    finally:
        await connection.close()
    return instance


DENIED, ALLOWED = "AccessDenied", "allowed"


@as_root
@BUSES
async def test_root_may_ask_an_instance_and_others_where_a_file_lets_them(
    brokered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = [asking(tmp_path, "open")]
    with system_bus(monkeypatch, *policies, brokered=brokered):
        async with (
            serving("run-1", "closed") as closed,
            serving("run-2", "open") as opened,
            calling() as bystander,
        ):
            with OtherUser(NOBODY) as stranger:
                for service, asked in ((closed, DENIED), (opened, ALLOWED)):
                    instance = "open" if service is opened else "closed"
                    assert service.bus._connection is not None
                    unique = service.bus._connection.unique_name
                    assert await stranger.run(what_he_may, instance, unique) == {
                        "own": DENIED,
                        "own a socket": DENIED,
                        "ask": asked,
                        "ask the unique name": asked,
                        "read": asked,
                    }
                    assert (await client.snapshot(instance=instance)).serial == 0
                other = bystander.connection.unique_name
                assert await stranger.run(at_others, "open", other) == DENIED


@as_root
@BUSES
async def test_with_the_snippet_for_a_group_only_root_and_that_group_may_ask_an_instance(
    brokered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As docs/installing.md has it.
    text = GROUP.read_text().replace('"org.ipsecwatch1"', '"org.ipsecwatch1.acme"')
    file = tmp_path / "org.ipsecwatch1.acme.conf"
    file.write_text(text.replace('group="adm"', 'group="daemon"'))
    with system_bus(monkeypatch, file, brokered=brokered):
        async with serving("run-1", "acme") as service:
            assert service.bus._connection is not None
            unique = service.bus._connection.unique_name
            with OtherUser(1) as member, OtherUser(NOBODY) as outsider:  # daemon, nobody
                assert (await member.run(what_he_may, "acme", unique))["ask"] == ALLOWED
                assert (await outsider.run(what_he_may, "acme", unique))["ask"] == DENIED
            assert (await client.snapshot(instance="acme")).serial == 0


@as_root
async def test_who_may_not_ask_an_instance_is_told_what_would_let_him(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with system_bus(monkeypatch, brokered=False):
        async with serving("run-1", "acme"):
            with OtherUser(NOBODY) as stranger:
                hint = await stranger.run(his_hint)
    assert hint.endswith("/usr/share/ipsecwatch/ask-instance.conf")


async def his_hint() -> str:
    try:
        await client.snapshot(instance="acme")
    except client.NotAllowedError as e:
        return e.hint
    return "allowed"


def test_no_rule_lets_others_call_what_is_not_named_in_it() -> None:
    # A bus ignores attributes that it doesn't know, as dbus-broker ignores send_destination_prefix.
    known = {
        "send_destination", "send_type", "send_interface", "send_member", "send_path",
        "receive_sender", "own", "own_prefix",
    }  # fmt: skip
    for file in (POLICY, ASK, GROUP):
        for policy in ET.parse(file).getroot().iter("policy"):
            for rule in policy:
                assert set(rule.attrib) <= known
                if policy.get("user") != "root" and rule.tag == "allow":
                    assert {"send_destination", "receive_sender"} & set(rule.attrib)
