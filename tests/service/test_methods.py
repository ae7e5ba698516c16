# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from dbus_fast import Message, MessageFlag, MessageType

from ipsecwatch.dbus.messages import Call, Variant
from ipsecwatch.report import PlutoState
from ipsecwatch.service import admission, methods
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import (
    INTROSPECTABLE,
    MANAGER,
    NAME,
    OBJECT_MANAGER,
    PROPERTIES,
    ROOT,
    TUNNEL,
    asks_for_details,
    calling,
    serving,
)
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.other_user import OtherUser

UP = TunnelState.UP
PEER = "org.freedesktop.DBus.Peer"
OFFICE = f"{ROOT}/tunnel/office"

pytestmark = pytest.mark.usefixtures("system_bus")


# --- Methods -------------------------------------------------------------------------------------


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


@asks_for_details
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


@asks_for_details
async def test_an_answer_that_is_too_large_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipsecwatch.dbus.send_queue.MAX_MESSAGE", 20_000)
    async with serving() as service, calling() as caller:
        await service.look(*(tunnel(f"tunnel-{n}", detail="x" * 200) for n in range(100)))
        assert await caller.error("GetDetails", "asa{sv}", [], {}) == "LimitsExceeded"
        limit = {"limit": Variant("u", 10)}
        assert len(await caller.call("GetDetails", "asa{sv}", [], limit)) == 10


async def test_the_machine_and_the_connection_are_answered_for() -> None:
    async with serving(), calling() as caller:
        assert await caller.call("Ping", interface=PEER) == []


# --- Errors --------------------------------------------------------------------------------------


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
        (ROOT, MANAGER, "GetTunnel", "s", ["x" * 3_000], "org.ipsecwatch1.Error.NoSuchTunnel"),
        (ROOT, MANAGER, "GetTunnel", "s", ["x" * 1_000_000], "InvalidArgs"),
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
        # The bus drops an answer for which nobody waits. Therefore the sending itself is observed.
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


# --- Callers -------------------------------------------------------------------------------------


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


async def his_greed() -> int:
    """Make more calls wait than one user may; return how many were refused at once."""
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
