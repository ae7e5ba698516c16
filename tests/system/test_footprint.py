# SPDX-License-Identifier: MIT
"""Tests of what an idle agent costs a laptop: memory, and how often it wakes up."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import serving
from tests.support.fake_notification_server import notification_server
from tests.support.paths import TOP
from tests.support.tunnels import tunnel
from tests.support.waiting import until

pytest.importorskip("desktop_notifier", reason="desktop-notifier isn't installed")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call
    from tests.support.bus_service import Service

BARE = (
    "import asyncio, dbus_fast, desktop_notifier; print(flush=True); asyncio.run(asyncio.sleep(99))"
)
STARTED = 10.5
"""After how many seconds an agent has freed the memory that only its start needed, and good news
are no longer on the screen. policy.GRACE isn't over yet then."""
REST = 2.5


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, *arguments], cwd=TOP) as started:
        try:
            yield started
        finally:
            started.send_signal(signal.SIGKILL)


def resident(pid: int) -> int:
    """Return the resident memory of a process in kB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def wake_ups(pid: int) -> int:
    """Return how often the threads of a process have waited for something so far."""
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text(encoding="ascii").splitlines()
        found += int(next(x for x in lines if x.startswith("voluntary_ctxt")).split()[1])
    return found


async def until_listening(service: Service) -> None:
    """Wait until a client has asked the service for a snapshot."""
    connection = service.bus._connection
    assert connection is not None
    asked: list[str] = []
    answer = connection.on_call
    assert answer is not None

    def called(connection: BusConnection, call: Call) -> None:
        answer(connection, call)
        asked.append(call.member)

    connection.on_call = called
    await until(lambda: "GetSnapshot" in asked)


@pytest.mark.slow
@pytest.mark.usefixtures("session_bus", "system_bus")
async def test_at_rest_it_takes_little_more_than_its_libraries_and_never_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with notification_server() as server, serving() as service:
        await service.look(tunnel("t0"), *[tunnel(f"t{n}", TunnelState.UP) for n in (1, 2)])
        config = ("--config", str(tmp_path / "agent.toml"))
        with process("-m", "ipsecwatch", "agent", *config) as ours, process("-c", BARE) as bare:
            await until_listening(service)
            await service.become(tunnel("t0", TunnelState.UP))
            await server.shows("VPN t0 is connected")
            await asyncio.sleep(STARTED)
            assert server.titles() == []
            before = wake_ups(ours.pid)
            await asyncio.sleep(REST)
            assert wake_ups(ours.pid) == before
            assert resident(ours.pid) <= 1.2 * resident(bare.pid)
