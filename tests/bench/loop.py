# SPDX-License-Identifier: MIT
"""Benchmark ``loop``: for how long thousands of tunnels block the service's event loop.

    python -m tests.bench.loop [--tunnels 1000,5000,10000]

The service runs in a process of its own, and a fake pluto in another. Each row has the longest step
of the event loop, in processor time ("busiest") and in real time ("blocked").
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ipsecwatch.dbus.messages import Variant
from tests.bench import gateway
from tests.support.bus_service import MANAGER, NAME, ROOT, calling
from tests.support.dbus_daemon import PrivateBus
from tests.support.service_process import ServiceProcess
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.bus_service import Caller

LIMIT = 120.0
PAGE = 1000
"""Of how many tunnels details are asked for at a time; those of 10,000 don't fit into one
message."""


async def line(what: str, began: float, service: ServiceProcess) -> None:
    """Print a row: the time since ``began``, and the service's figures."""
    took, figures = time.perf_counter() - began, await service.figures()
    print(
        f"{what:<34} {took * 1000:>8.0f} ms {figures.busy * 1000:>8.0f} ms"
        f" {figures.blocked * 1000:>8.0f} ms",
        flush=True,
    )


async def ask(client: Caller, member: str, signature: str = "", *body: object) -> None:
    """Call a method of the service, and drop the reply."""
    await client.connection.call(NAME, ROOT, MANAGER, member, signature, list(body), within=LIMIT)


async def measure(count: int, folder: Path) -> None:
    """Measure everything with this number of tunnels."""
    up, later = gateway.status(count), gateway.status(count, seconds=5)
    down = gateway.status(count, up=False)
    print(f"{count} tunnels{'':<24} {'took':>8}    {'busiest':>8}    {'blocked':>8}")
    began = time.perf_counter()
    with ServiceProcess(folder, up, interval=3600.0) as service:
        async with calling(listen=True) as client:
            await until(lambda: len(client.heard) >= count, within=LIMIT)
            await line("the first look", began, service)
            for text in (later, up, later):
                service.say(text)
                began = time.perf_counter()
                await ask(client, "Refresh")
                await line("a poll in which nothing happened", began, service)
            for what, text in {"all go down": down, "all come up": up}.items():
                client.heard.clear()
                service.say(text)
                began = time.perf_counter()
                await ask(client, "Refresh")
                await until(lambda: len(client.heard) >= 3 * count, within=LIMIT)
                await line(what, began, service)
            began = time.perf_counter()
            await ask(client, "GetSnapshot")
            await line("a snapshot", began, service)
            if os.getuid() != 0:
                print("all details: only root may read them")
                return
            began = time.perf_counter()
            for offset in range(0, count, PAGE):
                page = {"offset": Variant("u", offset), "limit": Variant("u", PAGE)}
                await ask(client, "GetDetails", "asa{sv}", [], page)
            await line("all details", began, service)


def main() -> None:
    """Measure with each number of tunnels that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tunnels", default="1000,5000,10000")
    for count in map(int, parser.parse_args().tunnels.split(",")):
        with PrivateBus(system=True) as bus, tempfile.TemporaryDirectory() as name:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
            asyncio.run(measure(count, Path(name)))


if __name__ == "__main__":
    main()
