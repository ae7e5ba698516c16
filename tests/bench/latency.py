# SPDX-License-Identifier: MIT
"""Benchmark ``latency``: how long it takes from a change in pluto to the signal at a client.

    python -m tests.bench.latency [--sizes 1,50,1000,5000] [--minutes 3]

A fake pluto with so many connections needs as much time for an answer as a real one. One of its
tunnels changes at random times. In the rows with wakers, its log line is passed to the service at
once, as from the journal. Service, pluto, client and bus (a dbus-daemon) are separate processes. It
prints milliseconds: the median, the 99th percentile and the longest time.
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
"""Up to so many times the cost of a status passes between two changes, so that changes come
independently of the polls."""
COSTS = {1: 0.0005, 50: 0.004, 1000: 0.07, 5000: 0.5}
"""How many seconds pluto takes for a status, by the number of connections (measured)."""


def texts(size: int) -> dict[bool, str]:
    """Return pluto's status while one of ``size`` tunnels is down (False) and up (True)."""
    others = [DOWN.replace('"site"', f'"other{n}"') for n in range(size - 1)]
    return {up: compose([UP if up else DOWN, *others]) for up in (False, True)}


@dataclass
class Listener:
    """A client of the service. It sets ``heard`` at each change and each snapshot."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        """Follow the service until cancelled."""
        async with contextlib.aclosing(client.follow()) as events:
            async for event in events:
                if isinstance(event, (client.Change, client.Snapshot)):
                    self.heard.set()


async def measure(size: int, seconds: float, *, wakers: bool, folder: Path) -> list[float]:
    """Make changes for ``seconds``; return how many milliseconds each took to reach the client."""
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
    """Measure each size that the command line names, with and without wakers; print rows."""
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
