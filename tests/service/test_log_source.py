# SPDX-License-Identifier: MIT
"""Where the service reads pluto's log: what the status names, what is set, and neither."""

from __future__ import annotations

import asyncio
import io
import os
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.config import Settings
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.pluto.query import Answer, Command, Via
from ipsecwatch.report import LogLine
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root's files are believed")


def around_loss() -> tuple[str, str, str]:
    """Return the last answer before a loss, what was logged, and the first answer after it."""
    tracker, reader, up, logged = Tracker(), Reader(), "", list[str]()
    for entry in recording.settled(recording.read(ROOT / "5.4/peer-deletes.jsonl.gz")[1]):
        if isinstance(entry, LogLine):
            tracker.hear(entry)
            logged.append(f"{entry.text}\n")
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            changes = tracker.observe(recording.poll(entry, reader))
            if any(c.goes_down for c in changes):
                return up, "".join(logged), entry.stdout
            up, logged = entry.stdout, []
    raise AssertionError("nothing is lost")


UP, LOGGED, DOWN = around_loss()
LINES = LOGGED.splitlines(keepends=True)


def names(text: str, log: Path | str) -> str:
    """What pluto would answer if it logged there."""
    assert "logfile='<syslog>'" in text
    return text.replace("logfile='<syslog>'", f"logfile='{log}'")


async def poll(service: Service, text: str, pid: int | None = 1) -> None:
    answer = Answer(Command.STATUS, text, 0.001, 0.0, Via.SOCKET, pid)
    await service._polled(answer, time.time(), asyncio.get_running_loop().time())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "pluto.log"
    made.touch(mode=0o600)
    return made


def service_with(log_file: str = "") -> Service:
    return Service(Settings(log_file=log_file), Sender(None, io.StringIO()))


async def lost(service: Service, log: Path, text: str, pid: int | None = 1) -> Reason:
    """Have a tunnel lost after pluto said why; answer the reason that is told."""
    await poll(service, names(UP, text), pid)
    with log.open("a") as f:
        f.write(LOGGED)
    await poll(service, names(DOWN, text), pid)
    (tunnel,) = service._tracker.tunnels.values()
    service.followups.close()
    service._log_file.close()
    return tunnel.reason


async def test_the_file_that_the_status_names_tells_the_reason(path: Path) -> None:
    assert await lost(service_with(), path, str(path)) is Reason.PEER_DELETED


@pytest.mark.parametrize("named", ["<syslog>", "<stderr>", "relative.log"])
async def test_what_is_no_file_is_not_followed(named: str, path: Path) -> None:
    assert await lost(service_with(), path, named) is not Reason.PEER_DELETED


async def test_the_file_of_a_pluto_in_another_namespace_is_the_one_that_is_set(path: Path) -> None:
    assert await lost(service_with(), path, str(path), pid=None) is not Reason.PEER_DELETED
    assert await lost(service_with(str(path)), path, "/log/of/its", pid=None) is Reason.PEER_DELETED


async def test_a_pluto_that_logs_elsewhere_from_now_on_is_followed_there(path: Path) -> None:
    service = service_with()
    await poll(service, names(UP, path))
    followed = [service._log_file.path]
    await poll(service, names(UP, "<syslog>"))
    followed.append(service._log_file.path)
    assert followed == [path, None]
    service.followups.close()


async def test_a_line_that_is_in_both_logs_is_heard_once(path: Path) -> None:
    service = service_with(str(path))
    await poll(service, UP)
    with path.open("a") as f:
        f.write("".join(LINES))
    await service._settle(0.0)
    assert service._log_file.count == len(LINES)
    order = service._tracker._log.order
    assert not any(service.hear(LogLine(time.time(), line.strip())) for line in LINES)
    assert service._tracker._log.order == order
    assert service.hear(LogLine(time.time(), "Stopping ipsec.service", "systemd"))
    service.followups.close()
    service._log_file.close()
