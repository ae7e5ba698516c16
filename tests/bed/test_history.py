# SPDX-License-Identifier: MIT
"""Compares ``ipsecwatch history`` with a witness that looks each second; many things go wrong.

The service is killed, the clock is set, pluto hangs, and the machine loses its power. With
``--bed-rest=S`` something happens every S seconds; with 200 the test takes an hour.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.bed.bed import WHACK, Bed
from tests.bed.play import install, until
from tests.support.container import UnbootableError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.thorough, pytest.mark.slow, pytest.mark.timeout(3 * 3600)]

FIRST_LOOK: Final = 8.0
"""How many seconds the service may take from its start to its first poll, on this slow kernel."""
HANGING: Final = 60.0
"""For how many seconds pluto hangs at most: systemd kills it after 200 (WatchdogSec=)."""
BESIDE: Final = 3.0
"""By how many seconds the witness and a poll may differ about the time of a change."""


@dataclass(frozen=True)
class Witnessed:
    """What the witness saw. Times are in seconds of the monotonic clock."""

    alive: float
    """How long the service's process was there."""
    up: float
    """How long, of that, the tunnel ``site`` had a Child SA."""
    unknown: float
    """How long, of that, pluto gave no answer."""
    changes: int
    """How often ``site`` came up, went down or became unknown, or the service's process changed."""


def witnessed(bed: Bed) -> Witnessed:
    """Return what the witness's file says."""
    lines = (bed.shared / "witness").read_text().splitlines()
    samples = [json.loads(line) for line in lines]
    alive = up = unknown = 0.0
    changes = 0
    for a, b in pairwise(samples):
        changes += (a["up"], a["pid"]) != (b["up"], b["pid"])
        if a["boot"] != b["boot"] or not a["pid"] or a["pid"] != b["pid"]:
            continue
        seconds = b["mono"] - a["mono"]
        alive += seconds
        up += seconds if a["up"] else 0
        unknown += seconds if a["up"] is None else 0
    return Witnessed(alive, up, unknown, changes)


def test_history_tells_what_a_witness_saw(
    debs: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rest = float(request.config.getoption("--bed-rest"))
    try:
        with Bed("bookworm", tmp_path, own_kernel=True) as bed:
            install(bed, debs["ipsecwatch"])
            begin = float(bed.sh("date +%s"))
            play(bed, rest)
            told = json.loads(bed.run("ipsecwatch", "history", "--json", f"--since=@{begin}"))
            seen = witnessed(bed)
            bed.sh("cp -r /var/log/journal /host/journal")  # to examine a failure
            for options in ((), ("site",), ("--users",)):
                print(bed.run("ipsecwatch", "history", *options))
    except UnbootableError as e:
        pytest.skip(f"no bed here: {e}")
    compare(told, seen)


def play(bed: Bed, rest: float) -> None:
    """Change the tunnel ``site``, service, clock and machine, and wait ``rest`` s after each."""
    bed.run("systemctl", "add-wants", "bed.target", "ipsecwatch")
    bed.run("systemd-run", "--quiet", "--unit=witness", "/opt/bed/witness")
    down = f"{WHACK} --name site --terminate"
    for line in (
        "/opt/bed/up site",
        down,
        "/opt/bed/up site",
        f"/opt/bed/east {WHACK} --name site --terminate",
        "systemctl kill --signal=KILL ipsecwatch",
        f"systemctl kill --signal=KILL ipsecwatch; sleep 1; {down}",
        "/opt/bed/up site",
        "date --set='+2 hours'",
        down,
        "/opt/bed/up site",
        "date --set='-2 hours'",
        "systemctl kill --signal=STOP ipsec",
        "systemctl kill --signal=CONT ipsec",
    ):
        bed.sh(line)
        time.sleep(min(rest, HANGING) if "STOP" in line else rest)
    # While nothing changed, nothing was logged: this entry shows that the machine still ran.
    bed.sh("echo 'still here' | systemd-cat; journalctl --sync; sync")
    bed.lose_power()
    bed.run("systemd-run", "--quiet", "--unit=witness", "/opt/bed/witness")
    until(lambda: bed.try_("busctl", "status", "org.ipsecwatch1").code == 0)
    for line in (
        "/opt/bed/up site",
        "systemctl stop ipsecwatch",
        down,
        "systemctl start ipsecwatch",
        "/opt/bed/up site",
    ):
        bed.sh(line)
        time.sleep(rest)
    bed.run("journalctl", "--sync")


def compare(told: dict[str, Any], seen: Witnessed) -> None:
    """Check that the history agrees with what the witness saw."""
    (site,) = [t for t in told["tunnels"] if t["name"] == "site"]
    print(f"watched {told['watched']:.0f} s, witnessed {seen.alive:.0f} s")
    print(f"up {site['seconds']['up']:.0f} s, witnessed {seen.up:.0f} s")
    print(f"not known {site['not_known']:.0f} s, witnessed {seen.unknown:.0f} s")
    runs = {w["run_id"]: w["end_shown_by"] for w in told["watches"]}
    assert list(runs.values()) == ["systemd", "systemd", "boot", "written", "goes-on"]
    assert seen.alive - FIRST_LOOK * len(runs) <= told["watched"] <= seen.alive + BESIDE * len(runs)
    assert abs(site["seconds"]["up"] - seen.up) <= BESIDE * seen.changes
    assert seen.unknown > 0
    # pluto answered when it was last asked, and is unreachable once it hasn't answered for 10 s.
    assert seen.unknown - 10 - 5 - BESIDE <= site["not_known"] <= seen.unknown + BESIDE
    reasons = [o["reason"] for o in site["outages"]]
    assert reasons == ["peer-deleted"], "what was done by hand is no outage"
    assert site["outages"][0]["flap"]
