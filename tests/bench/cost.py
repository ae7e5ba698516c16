# SPDX-License-Identifier: MIT
"""Benchmark ``cost``: memory of the service, and its processor time while tunnels are up.

    python -m tests.bench.cost [--tunnels 5,1000] [--seconds 120]

It runs ``ipsecwatch daemon`` as it is, on a private bus, with a fake pluto. As with a real pluto,
each answer has other counters and timers than the one before. No client listens.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import gateway
from tests.support.bad_pluto import BadPluto
from tests.support.dbus_daemon import PrivateBus

SETTLE = 20.0
"""How many seconds pass before the measurement. By then, the first poll is over."""
STEP = 1.0


def processor_time(pid: int) -> float:
    """Return how many seconds of processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, name: str) -> float:
    """Return a value of /proc/PID/smaps_rollup or /proc/PID/status, such as "Rss", in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text() + Path(f"/proc/{pid}/status").read_text()
    [kib] = re.findall(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)[:1]
    return int(kib) * 1024 / 1e6


def measure(count: int, seconds: float, folder: Path) -> None:
    """Measure for ``seconds`` with this number of tunnels, and print a row."""
    said = folder / "said"
    said.write_text(gateway.status(count))
    settings = folder / "settings.toml"
    control = folder / "pluto.ctl"
    settings.write_text(f'control_socket = "{control}"\nunit = "no-such.service"\n')
    command = [sys.executable, "-m", "ipsecwatch", "daemon", "--config", str(settings)]
    with (
        BadPluto(control, "read_aloud", text=str(said), pause=0.0),
        subprocess.Popen(command, stderr=subprocess.DEVNULL) as service,
    ):
        try:
            time.sleep(SETTLE)
            began, spent = time.monotonic(), processor_time(service.pid)
            while (passed := time.monotonic() - began) < seconds:
                new = said.with_suffix(".new")
                new.write_text(gateway.status(count, seconds=int(passed) + 1))
                new.replace(said)
                time.sleep(STEP)
            share = (processor_time(service.pid) - spent) / passed
            print(
                f"{count:>6} {memory(service.pid, 'Rss'):>8.1f} MB"
                f" {memory(service.pid, 'Pss'):>8.1f} MB {memory(service.pid, 'VmHWM'):>8.1f} MB"
                f" {share:>10.2%}",
                flush=True,
            )
        finally:
            service.terminate()


def main() -> None:
    """Measure with each number of tunnels that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tunnels", default="5,1000")
    parser.add_argument("--seconds", type=float, default=120.0)
    args = parser.parse_args()
    print(f"tunnels {'RSS':>8}    {'PSS':>8}    {'most RSS':>8}    {'processor':>10}")
    for count in map(int, args.tunnels.split(",")):
        with PrivateBus(system=True) as bus, tempfile.TemporaryDirectory() as name:
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address
            measure(count, args.seconds, Path(name))


if __name__ == "__main__":
    main()
