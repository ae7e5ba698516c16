# SPDX-License-Identifier: MIT
"""Faults of more than twenty kinds, in any order; afterwards everybody must agree with the truth.

The model of pluto knows the true state of each tunnel. When a fault is over, two subscribers, the
journal, the agent's notifications and ``ipsecwatch status`` must agree with it within LIMIT. Nobody
may ever have received a transition into a state in which a tunnel wasn't.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.tunnel import Reason, TunnelState
from tests.chaos import world
from tests.chaos.faults import FAULTS, QUIET, Fault
from tests.chaos.model import Fate
from tests.chaos.world import World
from tests.support import dbus_broker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping
    from pathlib import Path

    from tests.support.subscriber_process import Told

why_not = world.missing()
pytestmark = [
    pytest.mark.skipif(why_not is not None, reason=str(why_not)),
    pytest.mark.slow,
]

LIMIT: Final = 30.0
"""For how many seconds after a fault somebody may have a wrong state."""
MEMORY: Final = 10.0
"""For how many seconds after its end a state may still be announced: a signal can wait in a bus
that is stopped."""
BETWEEN: Final = 0.5
"""How many seconds at most lie between a signal and its journal entry."""
SECONDS: Final = {"short": 30.0, "full": 600.0}
"""For how many seconds faults go on, on each kind of bus, by the value of --bed."""

_IN_THE_SENSE_OF: Final = {
    TunnelState.UP: Fate.ESTABLISHED,
    TunnelState.CONNECTING: Fate.REFUSED,
    TunnelState.STUCK: Fate.REFUSED,
    TunnelState.DOWN: Fate.TAKEN_DOWN,
}
_FINAL: Final[dict[str, str]] = {}
_EARLY: Final = {"connecting": "stuck"}
"""States that are taken for others right after a fault: a tunnel is "connecting" before it is
"stuck"."""
_PLUTO_GONE: Final = {Reason.PLUTO_STOPPED, Reason.PLUTO_RESTARTED, Reason.PLUTO_STARTING}
_BAD_NEWS: Final = re.compile(r"is down|is stuck|can't connect")
_GOOD_NEWS: Final = re.compile(r"is up|is connected|is back")


@dataclass
class Run:
    """One run of the chaos, and what was counted."""

    world: World
    seed: int
    done: Counter[str] = field(default_factory=Counter)
    """How often each fault happened, by name."""
    longest: float = 0.0
    """The longest time after a fault until everybody knew the truth, in seconds."""
    limit: float = LIMIT
    """For how many seconds after a fault somebody may have a wrong state."""
    checked: int = 0
    """How many transitions, of those that the recorder received, were compared with the truth."""

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.done.total()} faults of {len(self.done)} kinds, "
            f"{self.checked} transitions, all knew the truth after {self.longest:.1f} s at most"
        )

    async def befall(self, fault: Fault) -> None:
        """Cause one fault, with changes of tunnels before, during and after it, and check the rest.

        The rest is: everybody knows the truth again, no signal was missed, and none was invented.
        """
        w = self.world
        snapshots = (await w.recorder.knowledge()).snapshots
        w.tell(w.rng.randint(0, 2))
        async with _course(fault, w):
            await asyncio.sleep(fault.lasts * w.rng.random())
            if "pluto" not in fault.name:
                w.tell(w.rng.randint(0, 2))
            await asyncio.sleep(fault.lasts * w.rng.random())
        w.tell(w.rng.randint(0, 1))
        over = time.monotonic()
        await self.all_know(str(fault), _EARLY)
        again = (await w.recorder.knowledge()).snapshots - snapshots
        if again and not fault.reads_anew:
            pytest.fail(
                f"{self}\nafter {fault}: signals were missed, {again} snapshots were needed"
            )
        self.longest = max(self.longest, time.monotonic() - over)
        self.done[fault.name] += 1
        self.nothing_was_invented(str(fault), await self.told())

    async def told(self) -> list[Told]:
        """Return all transitions that the recorder has received."""
        return (await self.world.recorder.knowledge()).told

    async def all_know(self, after: str, as_good: Mapping[str, str] = _FINAL) -> None:
        """Wait until everybody knows the truth; fail the test after ``limit`` seconds.

        ``as_good`` maps states to those for which they are taken.
        """
        give_up = time.monotonic() + self.limit
        while wrong := await self._disagreements(as_good):
            if time.monotonic() > give_up:
                pytest.fail(f"{self}\nafter {after}:\n" + "\n".join(wrong))
            await asyncio.sleep(0.3)

    async def _disagreements(self, as_good: Mapping[str, str]) -> list[str]:
        """Return a sentence about each way in which somebody's knowledge differs from the truth."""
        w = self.world
        true = {name: as_good.get(state, state) for name, state in w.model.states.items()}
        wrong: list[str] = []

        def compare(who: str, seen: dict[str, str]) -> None:
            seen = {name: as_good.get(state, state) for name, state in seen.items()}
            for name in seen.keys() | true.keys():
                if (one := seen.get(name)) != (other := true.get(name)):
                    wrong.append(f"{who} says that {name} is {one}, not {other}")

        for who, process in (("a subscriber", w.subscriber), ("the recorder", w.recorder)):
            known = await process.knowledge()
            wrong += [f"{who}: {text}" for text in known.wrong]
            compare(who, {v.name: v.state.value for v in known.tunnels.values()})
        for program, name in ((w.service, "the service"), (w.agent, "the agent")):
            if program.has_died:
                wrong.append(f"{name} has ended by itself")
        wrong += self._on_the_screen()
        if as_good is _FINAL:
            wrong += self._not_on_the_screen()
        if not wrong:  # these take longer
            compare("status", await w.status())
            wrong += self._in_the_journal(await self.told())
        return wrong

    def _on_the_screen(self) -> Iterator[str]:
        """Yield a sentence about each notification that contradicts a tunnel's true state."""
        for notification in self.world.screen.notifications.values():
            for name, state in self.world.model.states.items():
                wrong = _BAD_NEWS if state == Fate.ESTABLISHED else _GOOD_NEWS
                if name in notification.title and wrong.search(notification.title):
                    passes = f"{notification.timeout} ms" if notification.timeout else "lasting"
                    yield f"the screen says: {notification.title} ({passes}), and it is {state}"

    def _not_on_the_screen(self) -> Iterator[str]:
        """Yield a sentence about each tunnel that is stuck, if no lasting notification names it."""
        notifications = self.world.screen.notifications.values()
        lasting = "\n".join(f"{n.title}\n{n.body}" for n in notifications if n.timeout == 0)
        for name, state in self.world.model.states.items():
            if state == Fate.REFUSED and name not in lasting:
                yield f"the screen says nothing of {name}, which is {state}: {lasting!r}"

    def _in_the_journal(self, told: list[Told]) -> Iterator[str]:
        """Yield a sentence about each received transition that has no journal entry, or several."""
        entries = self.world.entries()
        found = Counter((e["IPSECWATCH_RUN_ID"], int(e["IPSECWATCH_SERIAL"])) for e in entries)
        for key, count in found.items():
            if count > 1:
                yield f"the journal has {count} entries of {key}"
        cut_short = self._cut_short(told)
        for t in told:
            if not found[t.run_id, t.serial] and t not in cut_short:
                killed = self.world.service.killed[-1:]
                yield f"the journal has no entry of {t}; killed last: {killed}"

    def _cut_short(self, told: list[Told]) -> set[Told]:
        """Return the received transitions whose journal entry may be missing.

        The service sends the signal first and then logs the entry: it may be killed in between.
        """
        found: set[Told] = set()
        for killed in self.world.service.killed:
            before = [t for t in told if t.heard <= killed]
            if before:
                run = before[-1].run_id
                found |= {t for t in told if t.run_id == run and t.heard >= killed - BETWEEN}
        return found

    def nothing_was_invented(self, after: str, told: list[Told]) -> None:
        """Fail the test if a transition was received into a state that its tunnel didn't have."""
        tunnels = {t.name: t for t in self.world.model.tunnels}
        for t in told[self.checked :]:
            fate = _IN_THE_SENSE_OF.get(t.new)
            true = t.new is TunnelState.UNKNOWN or (
                t.new is TunnelState.DOWN and t.reason in _PLUTO_GONE
            )
            if not true and (
                fate is None or not tunnels[t.name].was(fate, t.heard - MEMORY, t.heard)
            ):
                pytest.fail(f"{self}\nafter {after}: {t} isn't so")
        self.checked = len(told)


@asynccontextmanager
async def _course(fault: Fault, w: World) -> AsyncGenerator[None]:
    """Cause the fault at the beginning of the context, and repair it at its end."""
    course = fault.course(w)
    await anext(course)
    yield
    with suppress(StopAsyncIteration):
        await anext(course)


@asynccontextmanager
async def chaos(folder: Path, seed: int, *, broker: bool, breaks: str = "") -> AsyncGenerator[Run]:
    """Start a world, wait until everybody in it knows the truth, and yield the run."""
    rng = random.Random(seed)
    async with World(folder, rng, broker=broker, breaks=breaks) as w:
        run = Run(w, seed)
        await run.all_know("the start")
        yield run


def needs(*, broker: bool) -> None:
    """Skip the test if a dbus-broker is needed, and none can run here."""
    if broker and (why := dbus_broker.missing()):
        pytest.skip(why)


async def faults(folder: Path, seed: int, seconds: float, *, broker: bool) -> str:
    """Cause all kinds of faults in random order for ``seconds``; return what was counted."""
    async with chaos(folder, seed, broker=broker) as run:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for fault in run.world.rng.sample(FAULTS, len(FAULTS)):
                await run.befall(fault)
                if time.monotonic() > end:
                    break
        await run.all_know("everything")
        return str(run)


# No coroutine: a coroutine that fails is tried again, and so a rare failure would be missed.
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("broker", [False, True], ids=["dbus-daemon", "dbus-broker"])
def test_after_any_fault_everybody_knows_the_truth(
    broker: bool, tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(broker=broker)
    seconds = SECONDS[pytestconfig.getoption("--bed")]
    counted = asyncio.run(faults(tmp_path, int(time.time()), seconds, broker=broker))
    with capsys.disabled():
        print(f"\n{counted}")


async def noticed(folder: Path, breaks: str) -> str:
    """Change tunnels of a service with a built-in fault until a check fails; return why.

    Return "nothing was noticed" after 20 checks.
    """
    async with chaos(folder, 1, broker=False, breaks=breaks) as run:
        run.limit = 8.0
        for _ in range(20):
            try:
                await run.befall(QUIET)
            except pytest.fail.Exception as e:
                return str(e)
    return "nothing was noticed"


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        ("drop signals", "signals were missed"),
        ("invent transitions", "isn't so|was not waiting"),
        ("skip entries", "the journal has no entry of"),
    ],
)
def test_a_fault_in_the_service_is_noticed(breaks: str, words: str, tmp_path: Path) -> None:
    assert re.search(words, asyncio.run(noticed(tmp_path, breaks)))
