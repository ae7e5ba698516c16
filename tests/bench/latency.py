# SPDX-License-Identifier: MIT
"""How long from a change in pluto to the D-Bus signal at a subscriber?

    python -m tests.bench.latency [--sizes 1,50,1000,5000] [--minutes 3]

A pluto with so many connections, which takes as long to answer as a real one, changes one of them
at random times; with wakers its log line comes along, as from the journal. Service, pluto,
subscriber and bus (a dbus-daemon) are a process each. Prints milliseconds: median, 99th percentile
and the longest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from ipsecwatch import client
from tests.bench.compose import compose
from tests.support.dbus_daemon import PrivateBus
from tests.support.recordings import ROOT, statuses
from tests.support.service_process import ServiceProcess

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout
LULL = 100
"""Times what a status costs: changes come without regard to when there was a poll."""
COSTS = {1: 0.0005, 50: 0.004, 1000: 0.07, 5000: 0.5}
"""Seconds that a status takes pluto, by connections (measured)."""


def texts(size: int) -> dict[bool, str]:
    """Compose what pluto says while one of so many connections is down, or up."""
    others = [DOWN.replace('"site"', f'"other{n}"') for n in range(size - 1)]
    return {up: compose([UP if up else DOWN, *others]) for up in (False, True)}


@dataclass
class Listener:
    """When a change was heard of."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        async with contextlib.aclosing(client.follow()) as events:
            async for event in events:
                if isinstance(event, (client.Change, client.Snapshot)):
                    self.heard.set()


async def measure(size: int, seconds: float, *, wakers: bool, folder: Path) -> list[float]:
    """Measure changes for so long; answers milliseconds."""
    says, listener = texts(size), Listener()
    up = False
    took: list[float] = []
    cost = COSTS.get(size, size * 0.0001)
    rest = (0.3, 1.5) if wakers else (0.3, 6.0)
    with ServiceProcess(folder, says[up], cost) as service:
        following = asyncio.create_task(listener.follow())
        await listener.heard.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(took) < 2:
            await asyncio.sleep(random.uniform(*rest) + LULL * cost * random.random())
            listener.heard.clear()
            up = not up
            service.say(says[up])
            start = time.perf_counter()
            if wakers:
                word = "established Child SA using #1" if up else "terminating SAs"
                service.log(f'"site" #2: {word}')
            await listener.heard.wait()
            took.append((time.perf_counter() - start) * 1000)
        following.cancel()
    return took


def main() -> None:
    """Measure what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="for each row")
    parser.add_argument("--sizes", default="1,50,1000,5000")
    args = parser.parse_args()
    print(
        f"{'connections':>11}  {'wakers':>6}  {'n':>4}  {'median':>8}  {'p99':>8}  {'max':>8}  ms"
    )
    for size in map(int, args.sizes.split(",")):
        for wakers in (True, False):
            with PrivateBus(system=True) as bus, tempfile.TemporaryDirectory() as name:
                os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
                seconds, folder = 60 * args.minutes, Path(name)
                took = asyncio.run(measure(size, seconds, wakers=wakers, folder=folder))
            p99 = statistics.quantiles(took, n=100)[98]
            print(
                f"{size:>11}  {'yes' if wakers else 'no':>6}  {len(took):>4}  "
                f"{statistics.median(took):>8.1f}  {p99:>8.1f}  {max(took):>8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
