# SPDX-License-Identifier: MIT
"""Benchmark ``startup``: how long a user waits for the answer of some verbs.

    python -m tests.bench.startup [--rounds 15]

The yardstick is Python with the two libraries that each client of the bus needs: ``python -c
"import asyncio, dbus_fast"``. Processor time is measured, of everything in turns, since other
programs would add to real time. The modules are compiled already, as in packages.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Final

from ipsecwatch.tunnel import Reason, TunnelState
from tests.bench import gateway
from tests.support.bus_service import serving
from tests.support.dbus_daemon import PrivateBus
from tests.support.tunnels import tunnel

LIMIT: Final = 1.5
COMMAND: Final = "import sys; from ipsecwatch.__main__ import main; sys.exit(main())"
"""What the installed command runs. ``python -m`` would search for the module first."""
YARDSTICK: Final = "import asyncio, dbus_fast"


def commands(saved: Path) -> dict[str, list[str]]:
    """Return Python's arguments for all that is measured, by name; first the yardstick."""
    verbs = {
        "status": ["status"],
        "status of one tunnel": ["status", "office"],
        "status of a saved text": ["status", "--file", str(saved)],
        "explain a word": ["explain", "no-answer"],
        "explain a tunnel": ["explain", "office"],
        "explain a saved text": ["explain", str(saved)],
        "--help": ["--help"],
    }
    ours = {name: ["-c", COMMAND, *verb] for name, verb in verbs.items()}
    return {f'-c "{YARDSTICK}"': ["-c", YARDSTICK], "-c pass": ["-c", "pass"], **ours}


def cost(arguments: list[str]) -> float:
    """Run Python once; return how many seconds of processor time it used."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = [sys.executable, *arguments]
    subprocess.run(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int, saved: Path) -> dict[str, list[float]]:
    """Run everything in turns ``rounds`` times; return the seconds of processor time, by name.

    One more round before isn't counted.
    """
    wanted = commands(saved)
    took: dict[str, list[float]] = {name: [] for name in wanted}
    for each in range(rounds + 1):
        for name, arguments in wanted.items():
            seconds = cost(arguments)
            if each:
                took[name].append(seconds)
    return took


async def compare(rounds: int, saved: Path) -> None:
    """Measure everything beside a service with two tunnels; print the medians and ratios."""
    async with serving() as service:
        stuck = tunnel("site", TunnelState.STUCK, reason=Reason.NO_ANSWER)
        await service.look(tunnel("office", TunnelState.UP), stuck)
        took = await asyncio.to_thread(measure, rounds, saved)
    unit = next(iter(took.values()))
    for name, times in took.items():
        ratio = median(t / u for t, u in zip(times, unit, strict=True))
        remark = f"   over {LIMIT}" if ratio > LIMIT else ""
        print(f"{name:38}{median(times) * 1e3:8.1f} ms{ratio:8.2f}{remark}")


def main() -> None:
    """Measure as many rounds as the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with PrivateBus(system=True) as bus, tempfile.TemporaryDirectory() as folder:
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
        saved = Path(folder, "status.txt")
        saved.write_text(gateway.status(5), encoding="utf-8")
        asyncio.run(compare(rounds, saved))


if __name__ == "__main__":
    main()
