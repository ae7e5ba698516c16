# SPDX-License-Identifier: MIT
"""Tests of where the service reads pluto's log: as the status says, as set, or neither."""

from __future__ import annotations

import asyncio
import io
import os
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.config import Settings
from ipsecwatch.libreswan.status import Reader, parse
from ipsecwatch.pluto.query import Answer, Command, Via
from ipsecwatch.reasons import LOG_TEXTS
from ipsecwatch.report import JOURNALD, LogLine, LogState
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.log_source import LogSource
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.tracking.log_evidence import CUT_FOR
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason
from tests.support.bad_pluto import BadPluto
from tests.support.recordings import ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipsecwatch.report import Report
    from tests.support.dbus_daemon import PrivateBus

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root's files are believed")


def around_loss() -> tuple[str, str, str]:
    """Return the last answer before a loss, the log lines, and the first answer after it."""
    tracker, reader, up, logged = Tracker(), Reader(), "", list[str]()
    for entry in recording.settled(recording.read(ROOT / "5.4/peer-deletes.jsonl.gz")[1]):
        if isinstance(entry, LogLine):
            tracker.add_log_line(entry)
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
    """Return a status as pluto prints it if it logs to this file."""
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
    """Play a loss with its log lines in a file; return the reason that the tunnel then has."""
    await poll(service, names(UP, text), pid)
    with log.open("a") as f:
        f.write(LOGGED)
    await poll(service, names(DOWN, text), pid)
    (tunnel,) = service._tracker.tunnels.values()
    service.followups.close()
    service._logs.file.close()
    return tunnel.reason


@needs_root
async def test_the_file_that_the_status_names_tells_the_reason(path: Path) -> None:
    assert await lost(service_with(), path, str(path)) is Reason.PEER_DELETED


@pytest.mark.parametrize("named", ["<syslog>", "<stderr>", "relative.log"])
async def test_what_is_no_file_is_not_followed(named: str, path: Path) -> None:
    assert await lost(service_with(), path, named) is not Reason.PEER_DELETED


@needs_root
async def test_the_file_of_a_pluto_in_another_namespace_is_the_one_that_is_set(path: Path) -> None:
    assert await lost(service_with(), path, str(path), pid=None) is not Reason.PEER_DELETED
    assert await lost(service_with(str(path)), path, "/log/of/its", pid=None) is Reason.PEER_DELETED


@needs_root
async def test_what_a_file_got_while_there_was_no_service_tells_the_reason_of_a_loss(
    path: Path, tmp_path: Path, system_bus: PrivateBus
) -> None:
    said, written = tmp_path / "said", io.StringIO()
    said.write_text(names(UP, path))
    with BadPluto(tmp_path / "pluto.ctl", "read_aloud", text=str(said), pause=0.0) as pluto:

        async def serve(until_what: Callable[[], object]) -> None:
            settings = Settings(control_socket=pluto.path, interval=0.2)
            service = Service(settings, Sender(None, written), kept=StateFile(tmp_path))
            running = asyncio.create_task(service.run())
            await until(until_what, within=30.0)
            service.stop()
            await running

        await serve((tmp_path / "state.json").exists)
        stamp = f"{time.strftime('%b %e %T')}.{time.time() % 1 * 1e6:06.0f}: "
        with path.open("a") as f:
            f.writelines(stamp + line for line in LINES)
        said.write_text(names(DOWN, path))
        await serve(lambda: "is down" in written.getvalue())
    assert "is down: The peer closed the tunnel." in written.getvalue()


async def test_a_pluto_that_logs_elsewhere_from_now_on_is_followed_there(path: Path) -> None:
    service = service_with()
    await poll(service, names(UP, path))
    followed = [service._logs.file.path]
    await poll(service, names(UP, "<syslog>"))
    followed.append(service._logs.file.path)
    assert followed == [path, None]
    service.followups.close()


@needs_root
async def test_a_line_that_is_in_both_logs_is_heard_once(path: Path) -> None:
    service = service_with(str(path))
    await poll(service, UP)
    with path.open("a") as f:
        f.write("".join(LINES))
    await service._logs.catch_up(0.0)
    assert service._logs.file.count == len(LINES)
    order = service._tracker._log.order
    hear = service._logs.on_journal_line
    assert not any(hear(LogLine(time.time(), line.strip())) for line in LINES)
    assert service._tracker._log.order == order
    assert hear(LogLine(time.time(), "Stopping ipsec.service", "systemd"))
    service.followups.close()
    service._logs.file.close()


async def test_that_journald_dropped_lines_is_noted_and_is_no_reason_to_look_at_pluto() -> None:
    service, now = service_with(), time.time()
    dropped = LogLine(now, "Suppressed 9 messages from ipsec.service", JOURNALD)
    assert not service.on_log_line(dropped)
    assert service._log_source.state(now, journal=True, file=False) is LogState.CUT
    assert not service._tracker._log.has_line({"site"}, 0, now)


# --- Where the log is heard ----------------------------------------------------------------------


def report(serial: int) -> Report:
    """Return the report of a pluto with one SA, which has this serial number."""
    text = f'000 #{serial}: "site":500 STATE_V2_PARENT_I1 (sent v2I1, expected v2R1); idle;\n'
    found = parse(text, "showstates")
    assert [s.serial for s in found.states] == [serial]
    return found


JOURNAL, FILE = {"journal": True, "file": False}, {"journal": False, "file": True}
BOTH, NEITHER = {"journal": True, "file": True}, {"journal": False, "file": False}


@pytest.mark.parametrize(
    ("acts", "readable", "state"),
    [
        ((), JOURNAL, LogState.JOURNAL),
        ((), FILE, LogState.FILE),
        ((), BOTH, LogState.FILE),
        ((), NEITHER, LogState.NONE),
        (("journal",), BOTH, LogState.JOURNAL),
        (("file",), BOTH, LogState.FILE),
        (("file",), JOURNAL, LogState.JOURNAL),
        ((1, 1, 1), JOURNAL, LogState.JOURNAL),
        ((1, 2), JOURNAL, LogState.JOURNAL),  # it may be on its way
        ((1, 2, 2), JOURNAL, LogState.NONE),
        ((1, 2, 2), BOTH, LogState.NONE),
        ((1, "journal", 2, 2), JOURNAL, LogState.JOURNAL),
        ((1, 2, "journal", 2), JOURNAL, LogState.JOURNAL),
        (("journal", 1, 2, 2), JOURNAL, LogState.NONE),  # it logs elsewhere now
        ((1, 2, 2, "journal"), JOURNAL, LogState.JOURNAL),
        (("cut",), JOURNAL, LogState.CUT),
        (("cut", 1, 2, 2), JOURNAL, LogState.CUT),
        (("cut",), FILE, LogState.FILE),
        (("cut long ago",), JOURNAL, LogState.JOURNAL),
    ],
)
def test_where_the_log_is_heard_is_known_by_what_is_heard_while_sas_come(
    acts: tuple[str | int, ...], readable: dict[str, bool], state: LogState
) -> None:
    source, now = LogSource(), 1000.0
    for act in acts:
        if isinstance(act, int):
            source.compare(report(act))
        elif act.startswith("cut"):
            source.cut(now - (CUT_FOR if "long ago" in act else 0.0))
        else:
            source.count_line(from_file=act == "file")
    assert source.state(now, **readable) is state


@needs_root
async def test_it_is_said_once_where_the_log_is_heard_and_why_a_file_is_not(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    service = service_with(str(path))
    for _ in range(3):
        await poll(service, UP)
    assert service._outbox.get_nowait().news.log is LogState.FILE
    os.chmod(path, 0o666)
    service._logs.file.follow(None)
    for _ in range(3):
        await poll(service, UP)
    said = [r.message for r in caplog.records if r.name.endswith("service.daemon")]
    assert said == [
        LOG_TEXTS[LogState.FILE],
        f"pluto's log file: others than root may write to {path}",
        LOG_TEXTS[LogState.NONE],
    ]
    service.followups.close()
    service._logs.file.close()
