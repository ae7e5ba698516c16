# SPDX-License-Identifier: MIT
"""Attacks on the service over the bus, on both kinds of bus that distributions have.

After each attack the service must answer a normal client within a second, must have neither lost
nor invented a serial number, and may have grown only a little.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.client.events import Change, Lost
from ipsecwatch.client.views import Snapshot
from ipsecwatch.tunnel import TunnelState
from tests.support import attacks, dbus_broker, dbus_daemon
from tests.support.bus_process import BusProcess
from tests.support.bus_service import NAME, calling
from tests.support.dbus_broker import PrivateBroker
from tests.support.dbus_daemon import PrivateBus
from tests.support.following import Following, assert_consistent, following
from tests.support.other_user import NOBODY, OtherUser
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from tests.support.attacks import Attack
    from tests.support.bus_process import Figures
    from tests.support.bus_service import Caller

UP, DOWN = TunnelState.UP, TunnelState.DOWN
TUNNELS = 1000
PROMPT = 1.0
"""How many seconds a normal client may wait for an answer after an attack."""
PATIENCE = 10.0
"""How many seconds it may wait during an attack, on a machine with other work."""
GROWTH = 20 << 20
BLOCKED = 0.2
"""How many seconds of processor time one step of the service's event loop may take."""

pytestmark = pytest.mark.alone


@pytest.fixture(params=["dbus-daemon", "dbus-broker"])
def any_bus(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateBus]:
    """A private system bus of each kind; for this process it is the system bus."""
    brokered = request.param == "dbus-broker"
    if why := dbus_broker.missing() if brokered else dbus_daemon.missing():
        pytest.skip(why)
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    with PrivateBroker() if brokered else PrivateBus(system=True) as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        yield made


class Scene:
    """The service, a client that follows it, another one that asks, and what was measured."""

    def __init__(self, service: BusProcess, client: Caller, follow: Following) -> None:
        self.service = service
        self.client = client
        self.follow = follow
        self.waits: list[float] = []
        self.figures: list[Figures] = []

    async def ask(self) -> None:
        """Ask for a snapshot as a normal client does, and record how long that took."""
        began = time.monotonic()
        reply = await self.client.connection.call(
            NAME, "/org/ipsecwatch1", "org.ipsecwatch1.Manager", "GetSnapshot", within=30.0
        )
        assert len(reply.body[2]) == TUNNELS
        self.waits.append(time.monotonic() - began)

    async def live_on(self) -> None:
        """Make tunnels go down and up, and ask for snapshots, until cancelled."""
        while True:
            for state in (DOWN, UP):
                self.figures.append(await self.service.become(state, 50))
                await self.ask()
                await asyncio.sleep(0.2)

    async def check_all_is_well(self, before: Figures) -> None:
        """Assert that the service is prompt, complete and not much larger than before."""
        await self.ask()  # this call waits behind all messages of the attackers
        await self.ask()
        assert self.waits[-1] < PROMPT
        assert max(self.waits) < PATIENCE
        self.figures.append(await self.service.become(DOWN, 50))
        after = self.figures[-1]
        await until(lambda: self.follow.of(Change)[-1].serial == after.serial)
        assert_consistent(self.follow.events)
        assert after.serial == sum(isinstance(e, Change) for e in self.follow.events)
        assert after.memory - before.memory < GROWTH
        assert max(f.busy for f in self.figures) < BLOCKED


@asynccontextmanager
async def scene() -> AsyncGenerator[tuple[Scene, Figures]]:
    """Run the service in its own process, with both clients; yield the scene and the figures."""
    with BusProcess() as service:
        await service.look(TUNNELS)
        async with calling() as client, following() as follow:
            await follow.seen(Snapshot)
            made = Scene(service, client, follow)
            for state in (DOWN, UP):  # everything has been used once
                await service.become(state)
                await made.ask()
            await until(lambda: len(follow.of(Change)) == 2 * TUNNELS)
            yield made, await service.figures()


async def attack(what: Attack, uid: int, attackers: int) -> None:
    """Run an attack by several attackers as one user, and check the service meanwhile.

    The service is also checked afterwards.
    """
    with ExitStack() as stack:
        strangers = [stack.enter_context(OtherUser(uid)) for _ in range(attackers)]
        async with scene() as (made, before):
            living = asyncio.create_task(made.live_on())
            victim = made.client.connection.unique_name
            await asyncio.gather(*(s.run(what, victim) for s in strangers))
            living.cancel()
            await asyncio.wait([living])
            if not living.cancelled():
                living.result()
            await made.check_all_is_well(before)
            assert len(made.follow.of(Snapshot)) == 1, "the client lost nothing"
            assert not made.follow.of(Lost)
            print(
                f"{what.__name__}: after it {made.waits[-1]:.2f} s, "
                f"{made.figures[-1].serial} serials, worst wait {max(made.waits):.2f} s, "
                f"worst step {max(f.busy for f in made.figures) * 1000:.0f} ms "
                f"({max(f.blocked for f in made.figures) * 1000:.0f} ms with all), "
                f"growth {(made.figures[-1].memory - before.memory) / 2**20:.1f} MiB"
            )


ONE = [
    attacks.steal_the_name,
    attacks.forge_signals,
    attacks.send_oddities,
    attacks.call_with_wrong_signatures,
    attacks.send_huge_strings,
]
FOUR = [
    attacks.pipeline_snapshots,
    attacks.pipeline_small_calls,
    attacks.ask_and_never_read,
    attacks.subscribe_and_never_read,
    attacks.refresh_in_a_loop,
    attacks.call_what_does_not_exist,
    attacks.come_and_go,
]
SUBTLE = [attacks.pipeline_snapshots, attacks.refresh_in_a_loop, attacks.come_and_go]
GREEDY = [attacks.pipeline_snapshots, attacks.ask_and_never_read, attacks.come_and_go]


def some(these: Sequence[Attack], *always: Attack) -> list[Any]:
    """Return test parameters in which all attacks but ``always`` are marked ``thorough``."""
    thorough = pytest.mark.thorough
    return [pytest.param(a, marks=[] if a in always else [thorough]) for a in these]


@pytest.mark.usefixtures("any_bus")
@pytest.mark.parametrize("uid", [NOBODY, pytest.param(0, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("what", ONE, ids=lambda w: w.__name__)
async def test_one_attacker_does_no_harm(what: Attack, uid: int) -> None:
    await attack(what, uid, attackers=1)


@pytest.mark.slow
@pytest.mark.usefixtures("any_bus")
@pytest.mark.parametrize("what", some(FOUR, *SUBTLE), ids=lambda w: w.__name__)
async def test_four_attackers_do_no_harm(what: Attack) -> None:
    await attack(what, NOBODY, attackers=4)


@pytest.mark.slow
@pytest.mark.usefixtures("any_bus")
@pytest.mark.parametrize("what", some(GREEDY, attacks.ask_and_never_read), ids=lambda w: w.__name__)
async def test_four_attackers_of_the_same_user_do_no_harm(what: Attack) -> None:
    await attack(what, os.getuid(), attackers=4)


@pytest.mark.slow
async def test_a_bus_that_stops_for_10_s_costs_nothing(any_bus: PrivateBus) -> None:
    async with scene() as (made, before):
        any_bus.pause()
        for _ in range(5):
            await made.service.become(DOWN, 200)
            await made.service.become(UP, 200)
            await asyncio.sleep(2.0)
        any_bus.resume()
        await made.check_all_is_well(before)
        assert len(made.follow.of(Snapshot)) == 1
        assert not made.follow.of(Lost)


async def test_a_bus_that_restarts_costs_no_serial(any_bus: PrivateBus) -> None:
    async with scene() as (made, before):
        any_bus.stop()
        while_away = await made.service.become(DOWN, 100)
        any_bus.start()
        await until(lambda: made.follow.of(Snapshot)[-1].serial == while_away.serial)
        after = await made.service.become(UP, 100)
        await until(lambda: made.follow.of(Change)[-1].serial == after.serial)
        assert_consistent(made.follow.events)
        assert after.memory - before.memory < GROWTH
        async with calling() as client:
            began = time.monotonic()
            assert (await client.call("GetSnapshot"))[1] == after.serial
            assert time.monotonic() - began < PROMPT
