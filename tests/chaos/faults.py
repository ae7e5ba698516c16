# SPDX-License-Identifier: MIT
"""What can go wrong on a machine. Each fault begins, lasts for some time, and is repaired.

Afterwards everybody must know the true states again.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos.world import clock_library
from tests.support import attacks
from tests.support.other_user import OtherUser

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from tests.chaos.world import World

    Course = Callable[[World], AsyncGenerator[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. ``course`` is a generator: it causes the fault, yields, and repairs it.

    Some faults are over before the yield, such as a restart.
    """

    name: str
    course: Course
    lasts: float = 1.0
    """The test waits up to so many seconds, twice, before the repair."""
    reads_anew: bool = False
    """Whether subscribers may need a new snapshot, because they lose the service, the bus or
    signals."""

    def __str__(self) -> str:
        return self.name


async def nothing(_: World) -> AsyncGenerator[None]:
    yield


QUIET: Final = Fault("nothing", nothing, 0.2)


async def service_killed(w: World) -> AsyncGenerator[None]:
    await w.service.ended(signal.SIGKILL)
    yield
    w.service.start()


async def service_restarted(w: World) -> AsyncGenerator[None]:
    await w.service.ended(signal.SIGTERM)
    w.service.start()
    yield


async def service_away(w: World) -> AsyncGenerator[None]:
    await w.service.ended(signal.SIGTERM)
    yield
    w.service.start()


async def service_stopped(w: World) -> AsyncGenerator[None]:
    w.service.send(signal.SIGSTOP)
    yield
    w.service.send(signal.SIGCONT)


async def service_reloads(w: World) -> AsyncGenerator[None]:
    for _ in range(5):
        w.service.send(signal.SIGHUP)
        await asyncio.sleep(0.05)
    yield


async def settings_are_bad(w: World) -> AsyncGenerator[None]:
    w.write_settings("nonsense = 1\n")
    w.service.send(signal.SIGHUP)
    yield
    w.write_settings()
    w.service.send(signal.SIGHUP)


async def bus_restarted(w: World) -> AsyncGenerator[None]:
    w.stop_polkit()
    w.bus.stop()
    yield
    w.bus.start()
    w.start_polkit()


async def bus_stopped(w: World) -> AsyncGenerator[None]:
    w.bus.pause()
    yield
    w.bus.resume()


async def journald_hangs(w: World) -> AsyncGenerator[None]:
    w.journald.hang()
    yield
    w.journald.go_on()


async def journald_restarted(w: World) -> AsyncGenerator[None]:
    w.journald.restart()
    yield


async def journald_hangs_and_is_killed(w: World) -> AsyncGenerator[None]:
    w.journald.hang()
    yield
    w.journald.restart(signal.SIGKILL)


async def polkit_killed(w: World) -> AsyncGenerator[None]:
    w.stop_polkit()
    yield
    w.start_polkit()


async def polkit_hangs(w: World) -> AsyncGenerator[None]:
    w.polkit.hang()
    yield
    w.polkit.go_on()


async def pluto_killed(w: World) -> AsyncGenerator[None]:
    w.stop_pluto()
    yield
    w.start_pluto()


async def pluto_restarted(w: World) -> AsyncGenerator[None]:
    w.stop_pluto()
    w.start_pluto()
    yield


async def pluto_hangs(w: World) -> AsyncGenerator[None]:
    w.pluto.hang()
    yield
    w.pluto.go_on()


async def pluto_talks_nonsense(w: World) -> AsyncGenerator[None]:
    w.talk_nonsense()
    yield
    w.talk_sense()


async def agent_killed(w: World) -> AsyncGenerator[None]:
    await w.agent.ended(signal.SIGKILL)
    yield
    w.agent.start()


async def agent_restarted(w: World) -> AsyncGenerator[None]:
    await w.agent.ended(signal.SIGTERM)
    w.agent.start()
    yield


async def agent_stopped(w: World) -> AsyncGenerator[None]:
    w.agent.send(signal.SIGSTOP)
    yield
    w.agent.send(signal.SIGCONT)


async def screen_restarted(w: World) -> AsyncGenerator[None]:
    await w.stop_screen()
    yield
    await w.start_screen()


async def screen_hangs(w: World) -> AsyncGenerator[None]:
    w.screen.hangs = True
    yield
    w.screen.hangs = False


async def session_restarted(w: World) -> AsyncGenerator[None]:
    await w.stop_screen()
    w.session.stop()
    yield
    w.session.start()
    await w.start_screen()


async def disk_is_full(w: World) -> AsyncGenerator[None]:
    w.fill_disk()
    yield
    w.empty_disk()


async def clock_jumps(w: World) -> AsyncGenerator[None]:
    w.set_clock(w.rng.choice((-7200, -30, 30, 7200)))
    yield
    w.set_clock(0)


async def subscriber_stopped(w: World) -> AsyncGenerator[None]:
    w.subscriber.stop()
    yield
    w.subscriber.go_on()


async def subscriber_killed(w: World) -> AsyncGenerator[None]:
    w.subscriber.restart()
    yield


async def flooded(w: World) -> AsyncGenerator[None]:
    attack = w.rng.choice(
        (attacks.pipeline_snapshots, attacks.ask_and_never_read, attacks.refresh_in_a_loop,
         attacks.come_and_go, attacks.subscribe_and_never_read)
    )  # fmt: skip
    with OtherUser() as stranger:
        flood = asyncio.create_task(stranger.run(attack, ""))
        yield
        await flood


FAULTS: Final = (
    Fault("the service is killed", service_killed, reads_anew=True),
    Fault("the service is restarted", service_restarted, reads_anew=True),
    Fault("the service is away", service_away, 2.0, reads_anew=True),
    Fault("the service is stopped", service_stopped, 2.0),
    Fault("the service reloads", service_reloads),
    Fault("its settings are bad", settings_are_bad),
    Fault("the bus is restarted", bus_restarted, reads_anew=True),
    Fault("the bus is stopped", bus_stopped, 2.0, reads_anew=True),
    Fault("journald hangs", journald_hangs, 2.0),
    Fault("journald hangs and is killed", journald_hangs_and_is_killed, 2.0),
    Fault("journald is restarted", journald_restarted),
    Fault("polkit is killed", polkit_killed),
    Fault("polkit hangs", polkit_hangs),
    Fault("pluto is killed", pluto_killed, 2.0),
    Fault("pluto is restarted", pluto_restarted),
    Fault("pluto hangs", pluto_hangs, 2.0),
    Fault("pluto talks nonsense", pluto_talks_nonsense, 2.0),
    Fault("the agent is killed", agent_killed),
    Fault("the agent is restarted", agent_restarted),
    Fault("the agent is stopped", agent_stopped, 2.0),
    Fault("the notification server is restarted", screen_restarted),
    Fault("the notification server hangs", screen_hangs, 2.0),
    Fault("the session's bus is restarted", session_restarted),
    Fault("the disk is full", disk_is_full),
    *([Fault("the clock jumps", clock_jumps)] if clock_library() else []),
    Fault("a subscriber is stopped", subscriber_stopped),
    Fault("a subscriber is killed", subscriber_killed),
    Fault("another user floods the bus", flooded, 0.5, reads_anew=True),
)
