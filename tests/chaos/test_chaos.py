# SPDX-License-Identifier: MIT
"""Faults of twenty kinds in any order: afterwards subscriber, journal, agent and status agree.

The model pluto knows how each tunnel truly is. Nobody may know less when a fault is over, and
nobody may ever have been told what wasn't so.
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
"""Seconds after a fault within which everybody must know the truth."""
MEMORY: Final = 10.0
"""Seconds for which a state that is over may still be told: a signal may wait in a stopped bus."""
BETWEEN: Final = 0.5
"""Seconds between a signal and its entry, at most."""
SECONDS: Final = {"short": 30.0, "full": 600.0}
"""How long it goes on, on each kind of bus."""

_IN_THE_SENSE_OF: Final = {
    TunnelState.UP: Fate.ESTABLISHED,
    TunnelState.CONNECTING: Fate.REFUSED,
    TunnelState.STUCK: Fate.REFUSED,
    TunnelState.DOWN: Fate.TAKEN_DOWN,
}
_FINAL: Final[dict[str, str]] = {}
_EARLY: Final = {"connecting": "stuck"}
"""A tunnel gets stuck only some seconds after it began to connect."""
_PLUTO_GONE: Final = {Reason.PLUTO_STOPPED, Reason.PLUTO_RESTARTED, Reason.PLUTO_STARTING}
_BAD_NEWS: Final = re.compile(r"is down|is stuck|can't connect")
_GOOD_NEWS: Final = re.compile(r"is up|is connected|is back")


@dataclass
class Run:
    """One run, and what was counted."""

    world: World
    seed: int
    done: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0
    """Seconds until all knew the truth, after the fault that took the longest."""
    limit: float = LIMIT
    """Seconds within which everybody must know the truth."""
    checked: int = 0
    """Transitions that were looked at."""

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.done.total()} faults of {len(self.done)} kinds, "
            f"{self.checked} transitions, all knew the truth after {self.longest:.1f} s at most"
        )

    async def befall(self, fault: Fault) -> None:
        """Have a fault happen, with changes before, during and after it."""
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
        return (await self.world.recorder.knowledge()).told

    async def all_know(self, after: str, as_good: Mapping[str, str] = _FINAL) -> None:
        """Wait until everybody knows the truth, and fail if somebody doesn't come to.

        ``as_good`` has states that are taken for others.
        """
        give_up = time.monotonic() + self.limit
        while wrong := await self._disagreements(as_good):
            if time.monotonic() > give_up:
                pytest.fail(f"{self}\nafter {after}:\n" + "\n".join(wrong))
            await asyncio.sleep(0.3)

    async def _disagreements(self, as_good: Mapping[str, str]) -> list[str]:
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
        """Look for notifications that say of a tunnel what isn't so."""
        for notification in self.world.screen.notifications.values():
            for name, state in self.world.model.states.items():
                wrong = _BAD_NEWS if state == Fate.ESTABLISHED else _GOOD_NEWS
                if name in notification.title and wrong.search(notification.title):
                    passes = f"{notification.timeout} ms" if notification.timeout else "lasting"
                    yield f"the screen says: {notification.title} ({passes}), and it is {state}"

    def _not_on_the_screen(self) -> Iterator[str]:
        """Look for tunnels that don't come up, and of which the screen says nothing that stays."""
        notifications = self.world.screen.notifications.values()
        lasting = "\n".join(f"{n.title}\n{n.body}" for n in notifications if n.timeout == 0)
        for name, state in self.world.model.states.items():
            if state == Fate.REFUSED and name not in lasting:
                yield f"the screen says nothing of {name}, which is {state}: {lasting!r}"

    def _in_the_journal(self, told: list[Told]) -> Iterator[str]:
        """Compare the entries with what was told on the bus."""
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
        """Find what was told right before the service was killed.

        The signal comes first, and then the entry: between the two it may be killed.
        """
        found: set[Told] = set()
        for killed in self.world.service.killed:
            before = [t for t in told if t.heard <= killed]
            if before:
                run = before[-1].run_id
                found |= {t for t in told if t.run_id == run and t.heard >= killed - BETWEEN}
        return found

    def nothing_was_invented(self, after: str, told: list[Told]) -> None:
        """Fail if a transition was told into a state in which the tunnel wasn't just then."""
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
    course = fault.course(w)
    await anext(course)
    yield
    with suppress(StopAsyncIteration):
        await anext(course)


@asynccontextmanager
async def chaos(folder: Path, seed: int, *, broker: bool, breaks: str = "") -> AsyncGenerator[Run]:
    rng = random.Random(seed)
    async with World(folder, rng, broker=broker, breaks=breaks) as w:
        run = Run(w, seed)
        await run.all_know("the start")
        yield run


def needs(*, broker: bool) -> None:
    if broker and (why := dbus_broker.missing()):
        pytest.skip(why)


async def faults(folder: Path, seed: int, seconds: float, *, broker: bool) -> str:
    """Let faults happen for so long; return what was counted."""
    async with chaos(folder, seed, broker=broker) as run:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for fault in run.world.rng.sample(FAULTS, len(FAULTS)):
                await run.befall(fault)
                if time.monotonic() > end:
                    break
        await run.all_know("everything")
        return str(run)


# No coroutine: those get more tries where they fail, and what seldom happens would be missed.
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
    """Let tunnels change until the fault that is built into the service is noticed; how it was."""
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
