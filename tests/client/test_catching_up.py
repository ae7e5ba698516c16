# SPDX-License-Identifier: MIT
"""Tests that a subscriber always ends with what the service knows, whatever happens to it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import Service, serving
from tests.support.subscriber_process import SubscriberProcess
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from ipsecwatch.client.views import View
    from ipsecwatch.tunnel import Tunnel
    from tests.support.dbus_daemon import PrivateBus
    from tests.support.subscriber_process import Knowledge

NAMES = "abcd"
STATES = st.sampled_from(TunnelState)

# What happens to tunnels, to bus and service, and to one of two subscribers.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("become"), st.sampled_from(NAMES), STATES),
        st.tuples(st.just("reason"), st.sampled_from(NAMES), st.sampled_from(Reason)),
        st.tuples(st.just("children"), st.sampled_from(NAMES), st.integers(0, 3)),
        st.tuples(st.just("pluto"), st.sampled_from(PlutoState)),
        st.tuples(st.just("go"), st.sampled_from(NAMES)),
        st.tuples(st.just("burst"), st.integers(1, 60)),
        st.tuples(st.just("restart bus")),
        st.tuples(st.just("restart service")),
        st.tuples(st.just("breathe")),
        st.tuples(st.sampled_from(["stop", "go on", "kill"]), st.integers(0, 1)),
    ),
    min_size=5,
    max_size=25,
)


def settled(known: Knowledge, service: Service, run_id: str) -> bool:
    """Return whether a subscriber's knowledge equals the service's."""
    told = {v.name: facts(v) for v in known.tunnels.values()}
    true = {t.name: facts(t) for t in service.tunnels.values()}
    return (known.run_id, known.serial, known.pluto, told) == (
        run_id,
        service.serial,
        service.pluto,
        true,
    )


def facts(t: Tunnel | View) -> tuple[object, ...]:
    """Return all values of a tunnel that a subscriber gets when the tunnel changes."""
    return (
        t.state, t.last_state, t.reason, t.since, t.since_mono, t.children_up, t.children,
        t.instances, t.managed,
    )  # fmt: skip


async def settles(subscriber: SubscriberProcess, service: Service, run_id: str) -> Knowledge:
    """Wait until a subscriber knows what the service knows; return the subscriber's knowledge.

    Raise TimeoutError after 60 s.
    """
    async with asyncio.timeout(60.0):
        while True:
            known = await subscriber.knowledge()
            if settled(known, service, run_id):
                return known
            await asyncio.sleep(0.02)


class Life:
    """A service that is started again and again, with its subscribers; ``live`` plays the steps."""

    def __init__(self, bus: PrivateBus, subscribers: list[SubscriberProcess]) -> None:
        self.bus = bus
        self.subscribers = subscribers
        self.runs = 0
        self.now = 1_700_000_000.0
        self.steps: list[tuple[Any, ...]] = []

    async def live(self, steps: list[tuple[Any, ...]]) -> None:
        self.steps = [*steps]
        tunnels = {n: tunnel(n) for n in "ab"}
        pluto = PlutoState.RUNNING
        while True:
            self.runs += 1
            async with serving(f"run-{self.runs}") as service:
                service.pluto = pluto
                await service.look(*tunnels.values())
                while self.steps:
                    what, *how = self.steps.pop(0)
                    if what == "restart service":
                        break
                    await self._step(service, what, *how)
                else:
                    await self._end(service)
                    return
                tunnels, pluto = service.tunnels, service.pluto

    async def _step(self, service: Service, what: str, *how: Any) -> None:  # noqa: ANN401
        match what:
            case "become":
                self.now += 1.0
                made = tunnel(how[0], how[1], since=self.now, since_mono=self.now)
                await service.become(made)
            case "reason" | "children" if how[0] in service.tunnels:
                field = "reason" if what == "reason" else "children_up"
                changed = replace(service.tunnels[how[0]], **{field: how[1]})
                service.tunnels[how[0]] = changed
                await service.publish([])
            case "pluto":
                service.pluto = how[0]
                await service.publish([])
            case "go" if how[0] in service.tunnels:
                await service.become(gone=(how[0],))
            case "burst":
                for n in range(how[0]):
                    state = (TunnelState.DOWN, TunnelState.UP)[n % 2]
                    await service.become(*(tunnel(name, state) for name in NAMES))
            case "restart bus":
                self.bus.stop()
                self.bus.start()
            case "breathe":
                await asyncio.sleep(0.05)
            case "stop":
                self.subscribers[how[0]].stop()
            case "go on":
                self.subscribers[how[0]].go_on()
            case "kill":
                self.subscribers[how[0]].restart()

    async def _end(self, service: Service) -> None:
        await until(lambda: service.bus.connected, within=60.0)
        for subscriber in self.subscribers:
            subscriber.go_on()
            known = await settles(subscriber, service, f"run-{self.runs}")
            assert not known.wrong


async def live_through(bus: PrivateBus, steps: list[tuple[Any, ...]]) -> None:
    with SubscriberProcess(slow=False) as one, SubscriberProcess(slow=True) as other:
        await Life(bus, [one, other]).live(steps)


@pytest.mark.slow
@pytest.mark.flaky(reruns=2)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_whatever_becomes_of_a_subscriber_it_ends_with_what_the_service_knows(
    system_bus: PrivateBus, steps: list[tuple[Any, ...]]
) -> None:
    asyncio.run(live_through(system_bus, steps))


@pytest.mark.usefixtures("system_bus")
async def test_a_subscriber_that_was_stopped_in_a_burst_takes_a_snapshot() -> None:
    with SubscriberProcess(slow=False) as subscriber:
        async with serving() as service:
            await service.look(*(tunnel(f"t{n}") for n in range(50)))
            await settles(subscriber, service, "run-1")
            subscriber.stop()
            for state in (TunnelState.UP, TunnelState.DOWN) * 5:
                await service.become(*(tunnel(f"t{n}", state) for n in range(50)))
            subscriber.go_on()
            known = await settles(subscriber, service, "run-1")
    assert known.snapshots > 1
    assert not known.wrong
