# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, subprocess, sys
from ipsecwatch.pluto.wakers.xfrm import XfrmWatch

def ip(*words):
    subprocess.run(["ip", *words], check=True)

async def main():
    woken = []
    watch = XfrmWatch(lambda: woken.append(1))
    if not watch.open():
        sys.exit("the kernel has no XFRM")
    await asyncio.sleep(0.05)
    assert not woken, "woken by nothing"
    policy = ["src", "192.0.2.0/24", "dst", "198.51.100.0/24", "dir", "out"]
    tmpl = ["tmpl", "src", "192.0.2.1", "dst", "192.0.2.2", "proto", "esp", "mode", "tunnel"]
    ip("xfrm", "policy", "add", *policy, *tmpl)
    await asyncio.sleep(0.05)
    assert woken, "a new policy"
    woken.clear()
    for _ in range(50):
        ip("xfrm", "policy", "update", *policy, *tmpl)
    ip("xfrm", "policy", "flush")
    await asyncio.sleep(0.05)
    assert 1 <= len(woken) <= 2, woken
    watch.close()
    print("ok")

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace")
@pytest.mark.skipif(not shutil.which("ip"), reason="iproute2 isn't installed")
def test_a_change_of_the_kernels_policies_wakes_once_however_many_there_are() -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if "no XFRM" in done.stderr or "Protocol not supported" in done.stderr:
        pytest.skip("the kernel has no XFRM")
    assert done.stdout == "ok\n", done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_without_rights_it_opens_nothing_and_does_no_harm() -> None:
    program = (
        "import asyncio\n"
        "from ipsecwatch.pluto.wakers.xfrm import XfrmWatch\n"
        "async def main():\n"
        "    watch = XfrmWatch(lambda: None)\n"
        "    print(watch.open())\n"
        "    watch.close()\n"
        "asyncio.run(main())\n"
    )
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    done = subprocess.run(
        [*drop, sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "False\n", done.stderr
