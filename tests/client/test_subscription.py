# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from dbus_fast import Message, MessageType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipsecwatch import client
from ipsecwatch.client import Answer, Change, Log, Lost, Pluto, Snapshot, Update, subscription
from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import MANAGER, NAME, OBJECT_MANAGER, ROOT, TUNNEL, serving
from tests.support.following import assert_consistent, following
from tests.support.odd_service import OddService, odd_service
from tests.support.tunnels import SINCE, SINCE_MONO, tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from ipsecwatch.client import Event
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN, STUCK = TunnelState.UP, TunnelState.DOWN, TunnelState.STUCK

OFFICE = f"{ROOT}/tunnel/office"

pytestmark = pytest.mark.usefixtures("system_bus")


# --- Following -----------------------------------------------------------------------------------


async def test_a_follower_sees_how_things_are_and_then_what_happens() -> None:
    async with serving() as service, following() as follow:
        await service.look(tunnel("office", DOWN))
        await follow.seen(Snapshot)
        follow.events.clear()
        await service.become(tunnel("office", UP, children=1, children_up=1))
        await service.become(tunnel("office", DOWN), reason=Reason.PEER_DEAD)
        await service.become(tunnel("office", STUCK, reason=Reason.NO_ANSWER, attempts=4))
        await follow.seen(Change, 3)
        up, down, stuck = follow.of(Change)
    assert (up.old, up.new, up.told, up.serial, up.at) == (DOWN, UP, "up", 1, SINCE)
    assert (down.old, down.new, down.told, down.reason) == (UP, DOWN, "down", Reason.PEER_DEAD)
    assert (stuck.new, stuck.told, stuck.serial) == (STUCK, "stuck", 3)
    assert up.view == client.View(
        OFFICE, "office", UP, UP, Reason.NONE, SINCE, SINCE_MONO, children_up=1, children=1
    )
    assert (stuck.view.attempts, stuck.view.reason) == (4, Reason.NO_ANSWER)
    assert follow.kinds() == ["Change"] * 3, "the properties came with it: no news"


async def test_the_snapshot_tells_of_pluto_and_of_every_tunnel() -> None:
    async with serving() as service:
        service.pluto = PlutoState.UNREACHABLE
        await service.look(tunnel("office", UP), tunnel("home", DOWN))
        async with following() as follow:
            await follow.seen(Snapshot)
            snapshot = await client.snapshot()
            assert follow.events == [snapshot]
    assert (snapshot.run_id, snapshot.serial) == ("run-1", 0)
    assert snapshot.pluto_state is PlutoState.UNREACHABLE
    assert {v.name: v.state for v in snapshot.tunnels.values()} == {"office": UP, "home": DOWN}


async def test_news_without_a_transition_are_told_as_such() -> None:
    async with serving() as service, following() as follow:
        await service.look(tunnel("office", UP))
        await follow.seen(Snapshot)
        follow.events.clear()
        service.pluto = PlutoState.STARTING
        await service.look(tunnel("office", UP, reason=Reason.OTHER), tunnel("home"))
        await service.look(tunnel("home"))
        await until(lambda: len(follow.events) == 4)
    added, pluto, changed, gone = follow.events
    assert isinstance(added, Update)
    assert added.view
    assert added.view.name == "home"
    assert pluto == Pluto(PlutoState.STARTING, "")
    assert isinstance(changed, Update)
    assert changed.view
    assert changed.view.reason is Reason.OTHER
    assert gone == Update(OFFICE, None)


async def test_where_the_log_is_heard_and_who_runs_pluto_are_told_when_they_change() -> None:
    async with serving() as service, following() as follow:
        await service.publish([], log=LogState.JOURNAL, unit="ipsec.service")
        await follow.seen(Snapshot)
        (snapshot,) = follow.of(Snapshot)
        follow.events.clear()
        await service.publish([], log=LogState.CUT, unit="ipsec.service")
        await service.publish([], log=LogState.CUT, unit="ipsec.service")
        service.pluto = PlutoState.STOPPED
        await service.publish([], log=LogState.FILE, unit="")
        await follow.seen(Log, 2)
    assert (snapshot.log, snapshot.unit) == (LogState.JOURNAL, "ipsec.service")
    assert follow.events == [
        Log(LogState.CUT), Pluto(PlutoState.STOPPED, ""), Log(LogState.FILE)
    ]  # fmt: skip


async def test_an_answer_that_is_less_to_be_trusted_is_told_and_the_next_one_too() -> None:
    async with serving() as service, following() as follow:
        await follow.seen(Snapshot)
        follow.events.clear()
        await service.publish([], complete=False, unrecognised=3)
        await service.publish([], complete=False, unrecognised=3)
        await service.publish([])
        await follow.seen(Answer, 2)
    assert follow.of(Answer) == [Answer(complete=False, unrecognised=3), Answer()]


async def test_a_tunnel_that_goes_goes_down_first() -> None:
    async with serving() as service, following() as follow:
        await service.look(tunnel("office", UP))
        await follow.seen(Snapshot)
        await service.become(gone=("office",), reason=Reason.UNLOADED)
        await follow.seen(Update)
    change, update = follow.events[-2:]
    assert isinstance(change, Change)
    assert (change.new, change.told, change.reason) == (DOWN, "down", Reason.UNLOADED)
    assert update == Update(OFFICE, None)


async def test_who_asks_is_told_of_a_service_that_hangs_and_of_its_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service is also silent while nothing happens: as long as it answers, that's no event."""
    monkeypatch.setattr(subscription, "ANSWER_LIMIT", 0.3)
    async with odd_service() as service, following(ask_after=0.05) as follow:
        await follow.seen(Snapshot)
        asked = service.asked
        await until(lambda: service.asked > asked + 1)
        service.refuse = "org.freedesktop.DBus.Error.LimitsExceeded"  # an answer, too
        asked = service.asked
        await until(lambda: service.asked > asked + 1)
        assert follow.kinds() == ["Snapshot"]
        service.silent, service.refuse = True, None
        await follow.seen(Lost)
        service.silent = False
        await follow.seen(Snapshot, 2)
        service.change(1)
        await follow.seen(Change)
    hint = "Look at it with: systemctl status ipsecwatch"
    assert follow.of(Lost) == [Lost("ipsecwatch doesn't answer", hint)]


def _asked_again(service: OddService, before: int) -> bool:
    return service.asked > before


async def test_a_signal_that_comes_while_it_is_asked_is_told_at_once() -> None:
    async with odd_service() as service, following(ask_after=0.05) as follow:
        await follow.seen(Snapshot)
        service.silent = True
        for serial in (1, 2, 3):
            await until(partial(_asked_again, service, service.asked))
            service.change(serial)
            async with asyncio.timeout(subscription.ANSWER_LIMIT / 2):
                await follow.seen(Change, serial)
        assert follow.of(Lost) == []


async def test_nobody_asks_a_silent_service_who_is_not_told_to() -> None:
    async with odd_service() as service, following() as follow:
        await follow.seen(Snapshot)
        asked = service.asked
        await asyncio.sleep(0.3)
        assert service.asked == asked


async def test_without_a_service_it_says_so_once_and_waits() -> None:
    async with following() as follow:
        await follow.seen(Lost)
        await asyncio.sleep(0.3)
        assert follow.events == [
            Lost("ipsecwatch isn't running", "Start it with: systemctl start ipsecwatch")
        ]
        async with serving():
            await follow.seen(Snapshot)
        await follow.seen(Lost, 2)
    assert follow.kinds() == ["Lost", "Snapshot", "Lost"]


async def test_a_service_that_is_started_again_is_followed_with_a_new_snapshot() -> None:
    async with following() as follow:
        async with serving("run-1") as service:
            await service.look(tunnel("office", UP))
            await follow.seen(Snapshot)
            await service.become(tunnel("office", DOWN))
            await follow.seen(Change)
        async with serving("run-2") as service:
            await service.look(tunnel("office", UP))
            await until(lambda: follow.of(Snapshot)[-1].run_id == "run-2")
            await service.become(tunnel("office", DOWN))
            await follow.seen(Change, 2)
    assert [c.serial for c in follow.of(Change)] == [1, 1]


async def test_a_bus_that_restarts_is_followed_again_by_both_sides(system_bus: PrivateBus) -> None:
    async with serving() as service, following() as follow:
        await service.look(tunnel("office", DOWN))
        await follow.seen(Snapshot)
        system_bus.stop()
        await asyncio.sleep(1.0)
        assert len(follow.of(Lost)) == 2, "lost, can't be reached; and that not at every attempt"
        await service.become(tunnel("office", UP))
        system_bus.start()
        await until(lambda: follow.of(Snapshot)[-1].serial == 1)
        await service.become(tunnel("office", DOWN))
        await follow.seen(Change)
        assert follow.of(Change)[0].serial == 2
        assert follow.of(Snapshot)[-1].tunnels[OFFICE].state is UP


async def test_a_follower_that_is_too_slow_gets_a_snapshot_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "MAX_UNREAD", 50)
    async with serving() as service, following() as follow:
        await service.look(tunnel("office", DOWN))
        await follow.seen(Snapshot)
        follow.may_read.clear()
        for _ in range(50):
            await service.become(tunnel("office", UP))
            await service.become(tunnel("office", DOWN))
        await asyncio.sleep(0.1)
        follow.may_read.set()
        await until(lambda: follow.of(Snapshot)[-1].serial == 100)
        await service.become(tunnel("office", UP))
        await until(lambda: follow.of(Change)[-1].serial == 101)
    assert_consistent(follow.events)
    assert len(follow.of(Change)) < 100


async def test_a_paused_bus_costs_a_follower_nothing(system_bus: PrivateBus) -> None:
    names = [f"t{n}" for n in range(1000)]
    async with serving() as service, following() as follow:
        await service.look(*(tunnel(n, UP) for n in names))
        await follow.seen(Snapshot)
        system_bus.pause()
        await service.become(*(tunnel(n, DOWN) for n in names))
        await asyncio.sleep(0.2)
        system_bus.resume()
        await follow.seen(Change, 1000)
    assert_consistent(follow.events)
    assert [c.name for c in follow.of(Change)] == names
    assert len(follow.of(Snapshot)) == 1


# --- Whom to believe -----------------------------------------------------------------------------


def signal(destination: str | None, member: str, signature: str, body: list[Any]) -> Message:
    return Message(
        destination=destination,
        path=ROOT,
        interface=OBJECT_MANAGER if member.startswith("Interfaces") else MANAGER,
        member=member,
        message_type=MessageType.SIGNAL,
        signature=signature,
        body=body,
    )


async def test_signals_of_others_are_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    wires: list[BusConnection] = []

    async def connecting(*args: Any, **more: Any) -> BusConnection:  # noqa: ANN401
        wires.append(await connect(*args, **more))
        return wires[-1]

    monkeypatch.setattr(subscription, "connect", connecting)
    async with serving() as service, following() as follow:
        await service.look(tunnel("office", UP))
        await follow.seen(Snapshot)
        forger = await connect("system")
        for destination in None, wires[0].unique_name:
            body = [OFFICE, "office", "up", "down", "operator", 1, 1, {}]
            for message in (
                signal(destination, "TunnelDown", "ossta{sv}", [OFFICE, "office", "x", 1, {}]),
                signal(destination, "TunnelStateChanged", "osssstta{sv}", body),
                signal(destination, "InterfacesRemoved", "oas", [OFFICE, [TUNNEL]]),
            ):
                forger._send(message)
            fake = Message(
                destination=destination,
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="NameOwnerChanged",
                message_type=MessageType.SIGNAL,
                signature="sss",
                body=[NAME, "", forger.unique_name],
            )
            forger._send(fake)
        await forger.call_bus("GetId", "")
        await service.become(tunnel("office", DOWN))
        await follow.seen(Change)
        await forger.close()
    assert follow.kinds() == ["Snapshot", "Change"]
    assert follow.of(Change)[0].told == "down"


async def test_a_gap_in_the_serials_leads_to_a_snapshot() -> None:
    async with odd_service() as service, following() as follow:
        await follow.seen(Snapshot)
        service.change(1)
        service.change(3)
        service.change(4)
        await until(lambda: len(follow.of(Snapshot)) == 2)
        service.change(5)
        await follow.seen(Change, 2)
    assert_consistent(follow.events)
    assert [c.serial for c in follow.of(Change)] == [1, 5]
    assert follow.of(Snapshot)[1].serial == 4


async def test_signals_that_the_snapshot_includes_are_ignored() -> None:
    async with odd_service() as service, following() as follow:
        service.serial = 7
        await follow.seen(Snapshot)
        service.change(6)
        service.change(7)
        service.change(8)
        await follow.seen(Change)
        await asyncio.sleep(0.05)
    assert [c.serial for c in follow.of(Change)] == [8]


async def test_words_of_a_newer_service_end_nobodys_program() -> None:
    async with odd_service() as service, following() as follow:
        service.manager = {"PlutoState": Variant("s", "hibernating"), "New": Variant("ai", [1])}
        service.tunnels = {
            OFFICE: {
                "Name": Variant("s", "office"),
                "State": Variant("s", "superposed"),
                "Reason": Variant("s", "gremlins"),
                "Since": Variant("s", "yesterday"),
                "Colour": Variant("(ss)", ["red", "green"]),
            }
        }
        await follow.seen(Snapshot)
        service.change(1, "superposed", "gremlins", State=Variant("s", "entangled"))
        service.connection.signal(ROOT, MANAGER, "TunnelPainted", "os", [OFFICE, "red"])
        service.connection.signal(ROOT, MANAGER, "TunnelStateChanged", "o", [OFFICE])
        service.connection.signal(f"{ROOT}/x", MANAGER, "TunnelStateChanged", "o", [OFFICE])
        service.change(2)
        await follow.seen(Change, 2)
    snapshot, first, _ = follow.events
    assert isinstance(snapshot, Snapshot)
    assert snapshot.pluto_state is PlutoState.UNREACHABLE
    view = snapshot.tunnels[OFFICE]
    assert (view.state, view.reason, view.since) == (TunnelState.UNKNOWN, Reason.OTHER, 0.0)
    assert isinstance(first, Change)
    assert (first.new, first.reason) == (TunnelState.UNKNOWN, Reason.OTHER)
    assert first.view.name == "office"


async def test_a_follower_waits_for_a_service_that_refuses_or_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscription, "ANSWER_LIMIT", 0.1)
    async with odd_service() as service, following() as follow:
        await follow.seen(Snapshot)
        service.silent = True
        service.change(5)
        await follow.seen(Lost)
        service.silent = False
        service.refuse = "org.example.Busy"
        await follow.seen(Lost, 2)
        service.refuse = None
        await follow.seen(Snapshot, 2)
    assert follow.kinds() == ["Snapshot", "Lost", "Lost", "Snapshot"]
    assert [e.why for e in follow.of(Lost)] == [
        "ipsecwatch doesn't answer",
        "ipsecwatch can't answer: no,\\x1b[2J no",
    ]


async def test_a_service_that_we_may_not_ask_is_not_asked_again_and_again() -> None:
    # dbus-daemon logs each call that its policy refuses.
    async with odd_service() as service, following() as follow:
        await follow.seen(Snapshot)
        service.refuse, asked = "org.freedesktop.DBus.Error.AccessDenied", service.asked
        service.change(5)
        await follow.seen(Lost)
        await asyncio.sleep(0.7)  # more than the first of subscription.RETRY
        assert service.asked == asked + 1


# --- All together --------------------------------------------------------------------------------


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("become"), st.sampled_from("abc"), st.sampled_from(TunnelState)),
        st.tuples(st.just("reason"), st.sampled_from("abc"), st.sampled_from(Reason)),
        st.tuples(st.just("go"), st.sampled_from("abc")),
        st.tuples(st.just("slow"), st.booleans()),
        st.tuples(st.just("restart bus")),
        st.tuples(st.just("breathe")),
    ),
    max_size=15,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_whatever_happens_a_follower_ends_with_what_the_service_knows(
    system_bus: PrivateBus, steps: list[tuple[Any, ...]]
) -> None:
    asyncio.run(live_through(system_bus, steps))


async def live_through(system_bus: PrivateBus, steps: list[tuple[Any, ...]]) -> None:
    async with serving() as service, following() as follow:
        await service.look(tunnel("a", UP), tunnel("b"))
        for what, *how in steps:
            match what:
                case "become":
                    await service.become(tunnel(how[0], how[1]))
                case "reason" if how[0] in service.tunnels:
                    state = service.tunnels[how[0]].state
                    service.tunnels[how[0]] = tunnel(how[0], state, reason=how[1])
                    await service.publish([])
                case "go" if how[0] in service.tunnels:
                    await service.become(gone=(how[0],))
                case "slow":
                    (follow.may_read.clear if how[0] else follow.may_read.set)()
                case "restart bus":
                    system_bus.stop()
                    system_bus.start()
                case "breathe":
                    await asyncio.sleep(0.02)
        follow.may_read.set()
        expected = await snapshot_when_there()
        await until(lambda: replayed(follow.events) == expected.tunnels)
    assert_consistent(follow.events)


async def snapshot_when_there() -> Snapshot:
    async with asyncio.timeout(10.0):
        while True:
            try:
                return await client.snapshot()
            except client.ServiceUnavailableError:
                await asyncio.sleep(0.05)


def replayed(events: list[Event]) -> dict[str, client.View]:
    """Return the tunnels that a client knows after all these events, by path."""
    known: dict[str, client.View] = {}
    for event in events:
        match event:
            case Snapshot(tunnels=tunnels):
                known = dict(tunnels)
            case Change(path=path, view=view) if path in known:
                known[path] = view
            case Update(path=path, view=None):
                del known[path]
            case Update(path=path, view=client.View() as view):
                known[path] = view
    return known


@pytest.mark.usefixtures("system_bus")
async def test_a_service_whose_answers_come_late_is_found_by_waiting_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asking again and again would make a slow bus slower, and would never succeed."""
    monkeypatch.setattr(subscription, "ANSWER_LIMIT", 0.1)
    monkeypatch.setattr(subscription, "RETRY", (0.01,))
    async with odd_service() as service, following() as follow:
        service.late = 0.5
        await follow.seen(Snapshot)
        assert service.asked < 12
