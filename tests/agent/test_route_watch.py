# SPDX-License-Identifier: MIT
"""Tests of whether this machine has a route to other networks."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent.route_watch import is_online
from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
V6 = "0" * 32


def v4(interface: str, destination: str = "00000000", flags: str = "0003") -> str:
    return f"{interface}\t{destination}\t0102A8C0\t{flags}\t0\t0\t0\t00000000\t0\t0\t0\n"


def v6(interface: str, destination: str = V6, flags: str = "00450003") -> str:
    return f"{destination} 00 {V6} 00 {V6} 00000400 00000001 00000000 {flags} {interface}\n"


@pytest.mark.parametrize(
    ("route", "ipv6_route", "online"),
    [
        (HEAD, "", False),
        (HEAD + v4("wlan0"), "", True),
        (HEAD + v4("wlan0", "0002A8C0", "0001"), "", True),  # the peer may be in this very network
        (HEAD + v4("lo", "0000007F"), "", False),
        (HEAD + v4("wlan0", "0000FEA9"), "", False),  # link-local
        (HEAD + v4("wlan0", flags="0203"), "", False),  # unreachable
        (HEAD + v4("docker0", "000011AC"), "", False),  # a bridge of this machine's own
        (HEAD + v4("eth9"), "", False),  # no cable
        (HEAD, v6("wlan0"), True),
        (HEAD, v6("wlan0", "fe80" + V6[4:]), False),
        (HEAD, v6("wlan0", "ff00" + V6[4:]), False),
        (HEAD, v6("lo", flags="00200200"), False),
        ("nonsense\nwlan0\n\x00\n" * 3, "nonsense\n", False),
        (HEAD + "wlan0 00000000 00000000 zz\n", "", False),
    ],
)
def test_a_route_out_is_one_that_leads_to_others(
    route: str, ipv6_route: str, online: bool, tmp_path: Path
) -> None:
    (tmp_path / "route").write_text(route)
    (tmp_path / "ipv6_route").write_text(ipv6_route)
    (tmp_path / "docker0/bridge").mkdir(parents=True)
    for name, state in (("wlan0", "up"), ("eth9", "down"), ("docker0", "up")):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "operstate").write_text(state + "\n")
    assert is_online(tmp_path, tmp_path) is online


def test_what_can_not_be_known_is_no_reason_to_say_that_there_is_no_network(
    tmp_path: Path,
) -> None:
    (tmp_path / "route").mkdir()
    assert is_online(tmp_path, tmp_path)


WATCH = """
import asyncio
from ipsecwatch.agent.route_watch import watch_routes
asyncio.run(watch_routes(lambda online: print(online, flush=True)))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may make a network namespace")
@pytest.mark.skipif(not shutil.which("ip"), reason="ip isn't installed")
async def test_the_kernel_tells_when_a_route_comes_and_goes() -> None:
    process = await asyncio.create_subprocess_exec(
        "unshare", "--net", sys.executable, "-c", WATCH, cwd=TOP, stdout=asyncio.subprocess.PIPE
    )

    async def told() -> str:
        assert process.stdout is not None
        return (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()

    def ip(*words: str) -> None:
        enter = ["nsenter", "--net", "--target", str(process.pid), "ip", *words]
        done = subprocess.run(enter, capture_output=True, text=True, check=False)
        if "Unknown device type" in done.stderr:
            pytest.skip("this kernel has no veth")
        assert done.returncode == 0, done.stderr

    try:
        assert await told() == "False"
        await asyncio.to_thread(ip, "link", "add", "net0", "type", "veth", "peer", "net1")
        for name in ("net0", "net1"):
            await asyncio.to_thread(ip, "link", "set", name, "up")
        await asyncio.to_thread(ip, "route", "add", "192.0.2.0/24", "dev", "net0")
        assert await told() == "True"
        await asyncio.to_thread(ip, "link", "set", "net0", "down")
        assert await told() == "False"
    finally:
        process.kill()
        await process.wait()
