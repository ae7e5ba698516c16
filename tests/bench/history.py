# SPDX-License-Identifier: MIT
"""Benchmark ``history``: how long ``ipsecwatch history`` takes to read a large journal.

    python -m tests.bench.history [--rounds 5] [--entries 1000000] [--ours 20000]

First, systemd-journal-remote makes the journal, which takes minutes: ten boots, and the service's
entries about 400 tunnels among entries of other programs. For comparison, systemd-python alone
reads the service's entries, and converts all of their fields.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, Final

from ipsecwatch.cli.history.reading import _IDS
from ipsecwatch.cli.main import run
from ipsecwatch.history import message_ids
from tests.support.journal_files import OURS, WRITER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DAYS: Final = 20
BOOTS: Final = 10
TUNNELS: Final = 400


def write(out: IO[str], entries: int, ours: int) -> None:
    """Write a journal in journald's export format; its last entry is of now.

    It has ``entries`` entries, about ``ours`` of them by the service.
    """
    begin, step = time.time() - DAYS * 86400, DAYS * 86400 / entries
    per_boot, every = entries // BOOTS, entries // ours
    states: dict[int, str] = {}
    serial = 0
    for n in range(entries):
        boot, at = n // per_boot, (n % per_boot) * step
        stamp = f"{begin + n * step:.6f}".replace(".", "")
        head = f"__REALTIME_TIMESTAMP={stamp}\n__MONOTONIC_TIMESTAMP={at * 1e6:.0f}\n"
        head += f"_BOOT_ID={boot + 1:032x}\n"
        if n % per_boot == 0:
            states, serial = dict.fromkeys(range(TUNNELS), "down"), 0
            write_entry(out, head, ours_of(boot, message_ids.BEGAN, {}))
            for tunnel in states:
                write_entry(out, head, found(boot, tunnel))
        elif n % every == 0:
            serial += 1
            write_entry(out, head, change(boot, serial, states))
        else:
            write_entry(out, head, other(n))


def write_entry(out: IO[str], head: str, fields: Mapping[str, str]) -> None:
    """Write one entry: the lines ``head``, then the fields."""
    out.write(head + "".join(f"{name}={value}\n" for name, value in fields.items()) + "\n")


def ours_of(boot: int, message_id: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an entry of the service, in its run of this boot."""
    ours = {f"IPSECWATCH_{name}": value for name, value in fields.items()}
    run_id = {"MESSAGE_ID": message_id, "IPSECWATCH_RUN_ID": f"{boot:032x}", "MESSAGE": "-"}
    return {**OURS, **run_id, **ours}


def found(boot: int, tunnel: int) -> dict[str, str]:
    """Return the fields of the entry about a tunnel that is down in the run's first poll."""
    fields = {"TUNNEL": f"tunnel-{tunnel}", "STATE": "down", "REASON": "none"}
    return ours_of(boot, message_ids.FIRST_LOOK, fields)


def change(boot: int, serial: int, states: dict[int, str]) -> dict[str, str]:
    """Return the fields of an entry about a tunnel that goes up or down; change its state.

    Which tunnel it is follows from ``serial``. ``states`` has the states of all tunnels.
    """
    tunnel = serial * 7919 % TUNNELS
    old = states[tunnel]
    states[tunnel] = new = "down" if old == "up" else "up"
    fields = {
        "TUNNEL": f"tunnel-{tunnel}", "STATE": new, "OLD_STATE": old, "SERIAL": str(serial),
        "REASON": "none" if new == "up" else "peer-dead", "LISTED": "yes", "PEER": "192.0.2.7",
        "DETAIL": f'"tunnel-{tunnel}" #{serial}: liveness action - clearing connection',
    }  # fmt: skip
    return ours_of(boot, message_ids.UP if new == "up" else message_ids.DOWN, fields)


def other(n: int) -> dict[str, str]:
    """Return the fields of an entry of another program."""
    name = f"program-{n % 60}"
    return {
        "_UID": "0" if n % 3 else "1000", "_PID": str(1000 + n % 500), "_COMM": name,
        "_SYSTEMD_UNIT": f"{name}.service", "_TRANSPORT": "syslog", "SYSLOG_IDENTIFIER": name,
        "PRIORITY": "6", "MESSAGE": f"Line {n} of the log of {name}",
    }  # fmt: skip


def make(folder: Path, entries: int, ours: int) -> None:
    """Write the journal files."""
    argv = [str(WRITER), f"--output={folder / 'remote.journal'}", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as p:
        assert p.stdin is not None
        write(p.stdin, entries, ours)
    assert p.returncode == 0


def bare_loop(folder: Path) -> int:
    """Read the service's entries with systemd-python alone; return how many there are."""
    from systemd import journal  # a benchmark's matter alone

    with journal.Reader(path=str(folder)) as reader:
        reader.add_match(_UID="0")
        for message_id in _IDS:
            reader.add_match(MESSAGE_ID=message_id)
        return sum(1 for _ in reader)


def history(folder: Path) -> int:
    """Run ``ipsecwatch history`` about all entries; return its exit code."""
    argv = ["history", "--directory", str(folder), "--since", f"-{DAYS + 1}d"]
    with contextlib.redirect_stdout(io.StringIO()):
        return run(argv)


def timed(work: Callable[[Path], int], folder: Path) -> tuple[float, float]:
    """Return how many seconds something takes, and how many seconds of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    work(folder)
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> int:
    """Measure both in turns, and print the medians; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--ours", type=int, default=20_000)
    args = parser.parse_args()
    if not WRITER.exists():
        print("systemd-journal-remote is not installed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ipsecwatch-") as place:
        folder = Path(place)
        make(folder, args.entries, args.ours)
        print(f"{bare_loop(folder):,} entries of ours among {args.entries:,}")
        work = {"systemd-python's bare loop": bare_loop, "ipsecwatch history": history}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
        for _ in range(args.rounds):
            for name, doing in work.items():
                took[name].append(timed(doing, folder))
    for name, times in took.items():
        wall, processor = (median(t[n] for t in times) for n in (0, 1))
        print(f"{name:28}{wall:6.2f} s, {processor:.2f} s of processor time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
