# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import session
from ipsecwatch.agent.all_services import AllServices, follow_as_one
from ipsecwatch.agent.session import World
from ipsecwatch.client import Change, InstanceEvent, Log, Lost, Pluto, Snapshot, Update, View
from ipsecwatch.config import AgentSettings
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from ipsecwatch.client import Event
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN, UNKNOWN = TunnelState.UP, TunnelState.DOWN, TunnelState.UNKNOWN
RUNNING, STOPPED = PlutoState.RUNNING, PlutoState.STOPPED


def view(name: str, state: TunnelState = UP) -> View:
    return View(f"/t/{name}", name, state, state, Reason.NONE, since=1.0, since_mono=1.0)


def snapshot(run: str, *names: str, pluto: PlutoState = RUNNING) -> Snapshot:
    return Snapshot(run, 0, pluto, {f"/t/{n}": view(n) for n in names})


def change(name: str, state: TunnelState) -> Change:
    return Change(name, f"/t/{name}", UP, state, Reason.NONE, 1, 1.0, "down", view(name, state))


def hear(services: AllServices, instance: str, event: Event) -> list[Event]:
    return list(services.combine(InstanceEvent(instance, event)))


def states(event: Event) -> dict[str, TunnelState]:
    assert isinstance(event, Snapshot)
    assert all(path == v.path for path, v in event.tunnels.items())
    return {v.name: v.state for v in event.tunnels.values()}


def test_one_service_alone_is_told_as_it_is() -> None:
    services = AllServices()
    for event in (
        Lost("ipsecwatch isn't running"), snapshot("run", "site"), change("site", DOWN),
        Pluto(STOPPED), Log(LogState.NONE), Update("/t/site", view("site")),
        Update("/t/site", None), Lost("gone"),
    ):  # fmt: skip
        assert hear(services, "", event) == [event]


def test_tunnels_of_one_name_are_told_apart() -> None:
    services = AllServices()
    hear(services, "", snapshot("run-1", "site"))
    [both] = hear(services, "acme", snapshot("run-2", "site"))
    assert states(both) == {"site": UP, "acme: site": UP}
    [theirs] = hear(services, "acme", change("site", DOWN))
    assert isinstance(theirs, Change)
    assert (theirs.name, theirs.view.name, theirs.view.state) == ("acme: site", "acme: site", DOWN)
    assert theirs.path == theirs.view.path != "/t/site"
    [ours] = hear(services, "", change("site", UNKNOWN))
    assert ours == change("site", UNKNOWN)
    [again] = hear(services, "acme", replace(snapshot("run-2", "site", "lab"), serial=9))
    assert states(again) == {"site": UNKNOWN, "acme: site": UP, "acme: lab": UP}
    [gone] = hear(services, "acme", Update("/t/lab", None))
    assert gone == Update("/t/lab@acme", None)


def test_of_a_service_that_is_lost_the_tunnels_are_unknown_and_nothing_is_invented() -> None:
    services = AllServices()
    hear(services, "", snapshot("run-1", "site"))
    hear(services, "acme", snapshot("run-2", "lab"))
    [rest] = hear(services, "acme", Lost("ipsecwatch@acme isn't running"))
    assert states(rest) == {"site": UP, "acme: lab": UNKNOWN}
    assert hear(services, "acme", Lost("for another reason")) == []
    last = Lost("ipsecwatch isn't running")
    assert hear(services, "", last) == [last]
    [back] = hear(services, "acme", snapshot("run-3", "lab"))
    assert states(back) == {"site": UNKNOWN, "acme: lab": UP}


def test_an_instance_that_may_not_be_heard_hides_nothing() -> None:
    services = AllServices()
    assert hear(services, "acme", Lost("denied")) == []
    first = snapshot("run-1", "site")
    assert hear(services, "", first) == [first]
    assert hear(services, "acme", Lost("denied")) == []


def test_of_pluto_the_machines_own_service_tells_while_it_is_heard() -> None:
    services = AllServices()
    hear(services, "acme", snapshot("run-2", "lab", pluto=STOPPED))
    assert hear(services, "acme", Pluto(RUNNING)) == [Pluto(RUNNING)]
    [both] = hear(services, "", snapshot("run-1", pluto=STOPPED))
    assert isinstance(both, Snapshot)
    assert both.pluto_state is STOPPED
    assert hear(services, "acme", Pluto(STOPPED)) == []
    assert hear(services, "acme", Log(LogState.CUT)) == []
    assert hear(services, "", Pluto(RUNNING)) == [Pluto(RUNNING)]


def test_another_run_of_any_of_them_is_another_run() -> None:
    services = AllServices()
    runs = []
    for instance, run in (("", "1"), ("acme", "2"), ("acme", "3"), ("", "4")):
        [event] = hear(services, instance, snapshot(run))
        assert isinstance(event, Snapshot)
        runs.append(event.run_id)
    assert len(set(runs)) == len(runs)


@pytest.mark.usefixtures("system_bus")
async def test_the_agent_tells_of_a_tunnel_of_an_instance(session_bus: PrivateBus) -> None:
    session_bus.stop()  # without a notification server, ``unshown`` gets the notifications
    titles: list[str] = []
    world = World(watches=(), unshown=lambda n: titles.append(n.title), name="", speed=50.0)
    async with serving("run-2", "acme") as acme:
        await acme.look(tunnel("site", UP))
        agent = asyncio.create_task(session.work(AgentSettings(), world))
        await asyncio.sleep(0.5)  # that is 25 s for the agent, longer than policy.GRACE
        await acme.become(tunnel("site", DOWN), reason=Reason.PEER_DEAD)
        await until(lambda: any("acme: site" in title for title in titles))
        agent.cancel()
        await asyncio.wait([agent])


@pytest.mark.usefixtures("system_bus")
async def test_several_services_on_a_bus_are_followed_as_one() -> None:
    async with serving("run-1") as plain, serving("run-2", "acme") as acme:
        await plain.look(tunnel("site", UP))
        await acme.look(tunnel("site", DOWN))
        async with asyncio.timeout(10), aclosing(follow_as_one()) as events:
            async for event in events:
                if isinstance(event, Snapshot) and len(event.tunnels) == 2:
                    assert states(event) == {"site": UP, "acme: site": DOWN}
                    await acme.become(tunnel("site", UP))
                elif isinstance(event, Change):
                    assert (event.name, event.new) == ("acme: site", UP)
                    return
