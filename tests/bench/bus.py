# SPDX-License-Identifier: MIT
"""Benchmark ``bus``: thousands of tunnels on the bus: start, snapshot, all down and up again.

    python -m tests.bench.bus [--tunnels 1000,10000]

The last row is the lower limit: as many small signals, sent with nothing but our connection. "sent"
is the time for sending, "heard" the time until a client has all signals. "step" is the longest step
of the service's event loop in processor time, "with others" the same in real time.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import time
from typing import TYPE_CHECKING

from ipsecwatch.dbus.connection import connect
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_process import BusProcess
from tests.support.bus_service import MANAGER, NAME, ROOT, Caller, calling
from tests.support.dbus_daemon import PrivateBus
from tests.support.waiting import until

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from tests.support.bus_process import Figures

SIGNALS = 3
"""How many signals there are for one transition of a tunnel."""
LIMIT = 120.0


def line(what: str, took: float, heard: float | None, figures: Figures | None) -> None:
    """Print a row."""
    told = f"{what:<34} {took * 1000:>8.0f} ms"
    told += f" {heard * 1000:>8.0f} ms" if heard is not None else " " * 12
    if figures is not None:
        told += f" {figures.busy * 1000:>6.0f} ms {figures.blocked * 1000:>6.0f} ms"
        told += f" {figures.memory / 2**20:>6.1f} MiB"
    print(told, flush=True)


async def snapshots(client: Caller, service: BusProcess) -> None:
    """Measure two calls of GetSnapshot."""
    for which in "first", "second":
        began = time.perf_counter()
        await client.connection.call(NAME, ROOT, MANAGER, "GetSnapshot", within=LIMIT)
        line(f"{which} snapshot", time.perf_counter() - began, None, await service.figures())


async def flap(client: Caller, service: BusProcess, state: TunnelState, count: int) -> None:
    """Measure the change of all tunnels to this state, and assert that no signal is lost."""
    client.heard.clear()
    began = time.perf_counter()
    figures = await service.become(state)
    await until(lambda: len(client.heard) >= SIGNALS * count, within=LIMIT)
    line(f"all {state}, {SIGNALS * count} signals", figures.took, _since(began), figures)
    serials = [s.body[5] for s in client.heard if s.member == "TunnelStateChanged"]
    assert serials == list(range(serials[0], serials[0] + count)), "something was lost"


def _since(began: float) -> float:
    return time.perf_counter() - began


async def floor(client: Caller, count: int) -> None:
    """Measure as many bare signals, sent by another process."""
    await client.connection.call_bus("AddMatch", "s", "type='signal',interface='org.example.Bare'")
    client.heard.clear()
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe()
    process = fork.Process(target=_send_bare, args=(theirs, count), daemon=True)
    began = time.perf_counter()
    process.start()
    await until(lambda: len(client.heard) >= count, within=LIMIT)
    heard = _since(began)
    line(f"{count} bare signals", ours.recv(), heard, None)
    process.join()


def _send_bare(pipe: Connection, count: int) -> None:
    pipe.send(asyncio.run(_bare(count)))


async def _bare(count: int) -> float:
    """Send bare signals; return how many seconds the sending took."""
    connection = await connect("system")
    began = time.perf_counter()
    for n in range(count):
        body = [f"{ROOT}/tunnel/tunnel_2d{n}", f"tunnel-{n}", n, {}]
        connection.signal(ROOT, "org.example.Bare", "Up", "osta{sv}", body)
        if n % 100 == 0:
            await asyncio.sleep(0)
    took = _since(began)
    await connection.flush(LIMIT)
    await connection.close()
    return took


async def measure(count: int) -> None:
    """Measure everything with this number of tunnels."""
    print(f"{count} tunnels{'':<24} {'sent':>8}    {'heard':>8}      step   with others  memory")
    with BusProcess() as service:
        async with calling(listen=True) as client:
            began = time.perf_counter()
            figures = await service.look(count)
            await until(lambda: len(client.heard) > count, within=LIMIT)
            line("start-up", figures.took, _since(began), figures)
            await snapshots(client, service)
            for state in (TunnelState.DOWN, TunnelState.UP) * 2:
                await flap(client, service, state, count)
            await floor(client, SIGNALS * count)


def main() -> None:
    """Measure with each number of tunnels that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tunnels", default="1000,10000")
    for count in map(int, parser.parse_args().tunnels.split(",")):
        with PrivateBus(system=True) as bus:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
            asyncio.run(measure(count))


if __name__ == "__main__":
    main()
