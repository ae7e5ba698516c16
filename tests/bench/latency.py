# SPDX-License-Identifier: MIT
"""How long from a change in pluto to the D-Bus signal at a subscriber?

    python -m tests.bench.latency [--changes N] [--sizes 1,50,1000]

A played pluto with so many connections changes one of them at random times; with wakers its log
line comes along, as from the journal. Service and subscriber are in this process, the bus is a
dbus-daemon of its own. Prints milliseconds: median, 99th percentile and the longest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ipsecwatch import client
from ipsecwatch.config import Settings
from ipsecwatch.ensemble import compose
from ipsecwatch.journald import Sender
from ipsecwatch.model import LogLine
from ipsecwatch.playback import Playback
from ipsecwatch.service import Service
from tests.support.bus import PrivateBus
from tests.support.recordings import ROOT, statuses

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout


@dataclass
class Pluto:
    """So many connections, of which one changes; composed once for each of the two states."""

    texts: dict[bool, str]
    up: bool = False

    @classmethod
    def of(cls, size: int) -> Pluto:
        others = [DOWN.replace('"site"', f'"other{n}"') for n in range(size - 1)]
        return cls({up: compose([UP if up else DOWN, *others]) for up in (False, True)})

    def says(self, _: float) -> str:
        return self.texts[self.up]


@dataclass
class Listener:
    """When a change was heard of."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        async with contextlib.aclosing(client.follow()) as events:
            async for event in events:
                if isinstance(event, (client.Change, client.Snapshot)):
                    self.heard.set()


async def measure(size: int, changes: int, *, wakers: bool, folder: Path) -> list[float]:
    """Measure so many changes; answers milliseconds."""
    pluto, listener = Pluto.of(size), Listener()
    control = str(folder / "pluto.ctl")
    settings = Settings(control_socket=control, unit="no-such.service")
    service = Service(settings, Sender(None, io.StringIO()))
    took = []
    async with Playback(control, pluto.says, lambda: 0.0):
        tasks = [asyncio.create_task(service.run()), asyncio.create_task(listener.follow())]
        await listener.heard.wait()
        for n in range(changes):
            await asyncio.sleep(random.uniform(0.3, 1.5) if wakers else random.uniform(0.3, 6.0))
            listener.heard.clear()
            pluto.up = not pluto.up
            start = time.perf_counter()
            if wakers:
                word = "established Child SA using #1" if pluto.up else "terminating SAs"
                service.hear(LogLine(time.time(), f'"site" #{n}: {word}'))
                service.wake()
            await listener.heard.wait()
            took.append((time.perf_counter() - start) * 1000)
        tasks[1].cancel()
        service.stop()
        await asyncio.wait(tasks)
    return took


def main() -> None:
    """Measure what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--sizes", default="1,50,1000")
    args = parser.parse_args()
    print(
        f"{'connections':>11}  {'wakers':>6}  {'n':>4}  {'median':>8}  {'p99':>8}  {'max':>8}  ms"
    )
    for size in map(int, args.sizes.split(",")):
        for wakers, changes in ((True, args.changes), (False, max(10, args.changes // 10))):
            with PrivateBus(system=True) as bus, tempfile.TemporaryDirectory() as name:
                os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
                took = asyncio.run(measure(size, changes, wakers=wakers, folder=Path(name)))
            p99 = statistics.quantiles(took, n=100)[98]
            print(
                f"{size:>11}  {'yes' if wakers else 'no':>6}  {len(took):>4}  "
                f"{statistics.median(took):>8.1f}  {p99:>8.1f}  {max(took):>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
