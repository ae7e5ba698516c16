# SPDX-License-Identifier: MIT
"""Does many random operations in a bed, then compares what signals, journal and pluto's log say.

    python -m tests.bed.soak --deb FILE [--debian trixie] [--operations 1000] [--seed 1]

It needs what ``packaging/dev bed`` needs.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bed.bed import WHACK, Bed
from tests.bed.image import LIBRESWAN
from tests.bed.play import (
    changes,
    install,
    logged_at,
    manager,
    settle,
    transition_entry,
    transition_signal,
)
from tests.support.container import UnbootableError

if TYPE_CHECKING:
    from tests.bed.play import Change

TUNNELS: Final = ("site", "multi", "dpd", "rekey", "wrongkey", "main")
WARM: Final = 50
"""After how many operations memory and file descriptors are measured for the first time."""
GROWTH: Final = 4096
"""By how many KiB the service may grow after that: its caches fill. A leak at each transition would
be larger."""

OPERATIONS: Final[dict[str, int]] = {
    "up": 40, "down": 30, "peer": 10, "cut": 6, "reload": 6, "restart": 4, "kill": 2, "east": 2,
}  # fmt: skip
"""The operations, and how many of a hundred are of each kind."""

LONGEST: Final = 60
"""After how many seconds an operation is given up."""
_TIMED_OUT: Final = 124
"""The exit code of timeout(1) after the time."""

SLACK: Final = 20.0
"""How many seconds a signal may differ from pluto's log: pluto is polled rarely when it answers
slowly."""

_UP: Final = re.compile(r'^"([a-z]+)[/"].*(?:established Child SA|IPsec SA established)')
# The first line about a Child SA that the peer has deleted is about its traffic (4.10).
_LOSS: Final = re.compile(
    r'^"([a-z]+)[/"].*(?:terminating SAs|delet|liveness|no response|expire|traffic information)'
)
_STOP: Final = re.compile(r"[Ss]hutting down|Main process exited|Stopping ipsec|Started ipsec")


def command(what: str, name: str) -> str:
    """Return an operation on a tunnel as a line of shell."""
    return {
        "up": f"/opt/bed/up {name} --asynchronous",
        "down": f"{WHACK} --name {name} --terminate",
        "peer": f"/opt/bed/east {WHACK} --name {name} --terminate",
        "cut": "/opt/bed/wire cut; sleep 4; /opt/bed/wire mend",
        "reload": "systemctl reload ipsecwatch; ipsec auto --rereadall || ipsec rereadall",
        "restart": "systemctl restart ipsec",
        "kill": "systemctl kill --signal=KILL --kill-who=main ipsec; sleep 1",
        "east": "systemctl restart east",
    }[what]


def size(bed: Bed) -> tuple[str, int, int]:
    """Return the service's process id, its memory in KiB, and how many file descriptors it has.

    Only anonymous memory counts: the mapped journal files grow whatever the service does.
    """
    said = bed.sh(
        "cd /proc/$(systemctl show --value --property=MainPID ipsecwatch); basename $PWD;"
        " sed -n 's/^RssAnon:[^0-9]*\\([0-9]*\\).*/\\1/p' status; ls fd | wc -l"
    )
    pid, memory, files = said.split()
    return pid, int(memory), int(files)


def soak(bed: Bed, operations: int, seed: int, limit: float) -> list[str]:
    """Carry out the operations, and return a sentence about each disagreement afterwards.

    Stop after ``limit`` seconds. Print what was done.
    """
    dice = random.Random(seed)
    done: Counter[str] = Counter()
    late: Counter[str] = Counter()
    first: tuple[str, int, int] = ("", 0, 0)
    settle(bed)
    began = time.monotonic()
    while done.total() < operations and time.monotonic() - began < limit:
        [what] = dice.choices(list(OPERATIONS), list(OPERATIONS.values()))
        line = command(what, dice.choice(TUNNELS))
        if bed.try_("timeout", str(LONGEST), "/bin/sh", "-c", line).code == _TIMED_OUT:
            late[line] += 1
        time.sleep(dice.uniform(0, 1.5))
        done[what] += 1
        if done.total() == WARM:
            first = size(bed)
        if done.total() % 100 == 0:
            print(f"{done.total()} operations, {size(bed)}", flush=True)
    took = time.monotonic() - began
    last = size(bed)
    settle(bed)
    bed.run("journalctl", "--sync")
    told = changes(bed)
    logged = log(bed)
    wrong = disagreements(told, bed.journal("--unit=ipsecwatch"), logged)
    counts = manager(bed, "get-property", "Counts")
    print(
        f"libreswan {LIBRESWAN[bed.suite]}, seed {seed}: {done.total()} operations in {took:.0f} s"
    )
    print("operations:", dict(done))
    print(f"given up after {LONGEST} s:", dict(late))
    print("signals:", dict(Counter(c.told or "TunnelStateChanged alone" for c in told)))
    print("unknown:", dict(Counter(c.reason for c in told if c.new == "unknown")))
    print(f"process, KiB, descriptors: {first} after {WARM}, {last} at the end; states: {counts}")
    if first[0] != last[0]:
        wrong.append(f"the service was process {first[0]}, and is {last[0]}")
    ends = [at for at, text in logged if _STOP.search(text)]
    for c in told:
        # A pluto that is killed while it answers leaves half an answer.
        if c.reason == "bad-output" and not any(abs(c.at - at) < 2 for at in ends):
            wrong.append(f"{c}: {details(bed, c)}")
    if last[1] > first[1] + GROWTH or last[2] > first[2] + 2:
        wrong.append(f"the service grew: {first}, {last}")
    return wrong


def details(bed: Bed, change: Change) -> list[str]:
    """Return the details that the journal has about a transition."""
    name = f"IPSECWATCH_SERIAL={change.serial}"
    return [e.get("IPSECWATCH_DETAIL", "") for e in bed.journal(name)]


def log(bed: Bed) -> list[tuple[float, str]]:
    """Return the lines that pluto and systemd logged about pluto, each with its time."""
    entries = bed.journal("_SYSTEMD_UNIT=ipsec.service", "+", "UNIT=ipsec.service")
    return [(logged_at(e), e["MESSAGE"]) for e in entries if isinstance(e.get("MESSAGE"), str)]


def disagreements(
    told: list[Change], entries: list[dict[str, Any]], logged: list[tuple[float, str]]
) -> list[str]:
    """Compare signals, journal entries and log lines; return a sentence about each disagreement."""
    wrong = []
    ours = [e for e in entries if "IPSECWATCH_SERIAL" in e]
    written = [transition_entry(e) for e in ours]
    announced = [transition_signal(c) for c in told]
    # The subscriber began when the service had already run for a moment.
    skipped = written.index(announced[0]) if announced and announced[0] in written else 0
    if written[skipped:] != announced:
        wrong.append(f"journal and bus differ: {len(written) - skipped} and {len(announced)}")
    serials = [c.serial for c in told]
    if serials != list(range(serials[0], serials[0] + len(serials))):
        wrong.append("serials have gaps")
    states: dict[str, str] = {}
    for c in told:
        if c.name in states and states[c.name] != c.old:
            wrong.append(f"{c} after {states[c.name]}")
        states[c.name] = c.new
    ups = [(at, m[1]) for at, text in logged if (m := _UP.match(text))]
    losses = [(at, m[1]) for at, text in logged if (m := _LOSS.match(text))]
    losses += [(at, "") for at, text in logged if _STOP.search(text)]
    for c in told:
        evidence = {"TunnelUp": ups, "TunnelDown": losses}.get(c.told or "")
        if evidence is not None and not any(
            name in ("", c.name) and c.at - SLACK < at < c.at + 2 for at, name in evidence
        ):
            wrong.append(f"nothing was logged of {c}")
    for at, name in ups:
        if not _is_told(at, name, told) and not any(
            n in ("", name) and at <= t < at + SLACK for t, n in losses
        ):
            wrong.append(f"nothing was told of {name} at {at}")
    return wrong


def _is_told(at: float, name: str, told: list[Change]) -> bool:
    """Return whether signals say that a tunnel was up, or partly up, around the time ``at``.

    That is: from 2 s before to SLACK seconds after, or by the last signal before that.
    """
    state = ""
    for c in told:
        if c.name != name:
            continue
        if c.at > at + SLACK:
            break
        if c.at > at - 2 and c.new in ("up", "partial"):
            return True
        state = c.new
    return state in ("up", "partial")


def main() -> int:
    """Run a soak with the command line's options; return the exit code (3: no bed can run here)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--deb", type=Path, required=True, help="the package ipsecwatch")
    parser.add_argument("--debian", choices=list(LIBRESWAN), default="bookworm")
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3600, help="seconds at most")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Bed(args.debian, Path(folder)) as bed:
                install(bed, args.deb)
                wrong = soak(bed, args.operations, args.seed, args.limit)
        except UnbootableError as e:
            print(f"no bed here: {e}", file=sys.stderr)
            return 3
    for line in wrong:
        print("disagreement:", line)
    print(f"{len(wrong)} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
