# SPDX-License-Identifier: MIT
"""Tests of whose log lines are believed, with real processes that log into a real journal."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto.wakers.journal import PlutoLog
from ipsecwatch.pluto.wakers.witnesses import MAX_HELD, Witnesses, is_pluto, pids_of, sees_our_files
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from tests.support import journald
from tests.support.journald import PrivateJournald
from tests.support.log_replay import recordings, replay, replay_as_recorded
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

why = journald.unable_to_be_units()
needs_units = pytest.mark.skipif(why is not None, reason=str(why))

UNIT = f"ipsecwatch-test-{os.getpid()}-ipsec.service"
OTHER = f"ipsecwatch-test-{os.getpid()}-network.service"


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[PrivateJournald]:
    with PrivateJournald(tmp_path / "run") as made:
        yield made


@pytest.fixture
def pluto(tmp_path: Path) -> Path:
    """Copy this Python to a file named ``pluto``, so that journald takes its process for pluto."""
    program = tmp_path / "pluto"
    shutil.copy(Path(sys.executable).resolve(), program)
    return program


@asynccontextmanager
async def heard(
    logs: PrivateJournald, match: Sequence[str] = ()
) -> AsyncGenerator[tuple[list[LogLine], PlutoLog]]:
    lines: list[LogLine] = []

    def hear(line: LogLine) -> bool:
        lines.append(line)
        return True

    log = PlutoLog(UNIT, hear, lambda: None, logs.logs, match)
    assert log.open()
    try:
        yield lines, log
    finally:
        log.close()


def texts(lines: list[LogLine]) -> list[str]:
    return [line.text for line in lines]


async def written(logs: PrivateJournald, text: str) -> None:
    await asyncio.to_thread(logs.wait_for, 1, f"MESSAGE={text}")


@needs_units
async def test_of_two_plutos_that_log_at_once_the_one_that_answers_is_heard(
    logs: PrivateJournald, pluto: Path
) -> None:
    async with heard(logs) as (lines, log):
        with (
            logs.process(UNIT, pluto) as (unit_says, unit_pid),
            logs.process(OTHER, pluto) as (other_says, other_pid),
        ):
            for n in range(3):
                unit_says([f"unit {n}"])
                other_says([f"other {n}"])
            await until(lambda: len(log._witnesses._held) == 6, within=30.0)
            assert texts(lines) == []  # no pluto has answered yet, so no line is passed on
            log.answered([other_pid])
            assert texts(lines) == ["other 0", "other 1", "other 2"]
            unit_says(["unit 3"])
            other_says(["other 3"])
            await until(lambda: texts(lines)[3:] == ["other 3"], within=30.0)
            await until(lambda: len(log._witnesses._held) == 4, within=30.0)
            # The unit's pluto answers now: its lines since are passed on.
            log.answered([unit_pid])
            assert texts(lines)[4:] == ["unit 0", "unit 1", "unit 2", "unit 3"]
            other_says(["other 4"])
            unit_says(["unit 4"])
            await until(lambda: texts(lines)[8:] == ["unit 4"], within=30.0)


@needs_units
async def test_where_nobody_knows_who_answers_the_units_pluto_is_heard_and_no_other(
    logs: PrivateJournald, pluto: Path
) -> None:
    async with heard(logs) as (lines, log):
        log.answered(())
        with (
            logs.process(OTHER, pluto) as (other_says, _),
            logs.process(UNIT, pluto) as (unit_says, _),
        ):
            other_says(["other"])
            await written(logs, "other")
            unit_says(["unit"])
            await until(lambda: texts(lines) == ["unit"], within=30.0)


@needs_units
async def test_who_merely_calls_itself_pluto_is_not_heard(
    logs: PrivateJournald, pluto: Path
) -> None:
    # The kernel's name of a process is its own choice; its program's path is not.
    other = pluto.with_name("another")
    shutil.move(pluto, other)
    os.symlink(other, pluto)
    async with heard(logs) as (lines, log):
        with (
            logs.process(OTHER, pluto) as (says, pid),
            logs.process(UNIT) as (unit_says, _),
        ):
            log.answered([pid])
            says(["forged"])
            found = await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=forged")
            assert found[0]["_COMM"] == "pluto"
            unit_says(["from a script of the unit"])
            await until(lambda: texts(lines) == ["from a script of the unit"], within=30.0)


@needs_units
async def test_a_containers_pluto_is_heard_by_the_match_that_is_set_and_nobody_else(
    logs: PrivateJournald, pluto: Path
) -> None:
    # Entries as dockerd makes them for a container: the process id and program are dockerd's, not
    # pluto's.
    driver, container = OTHER, "CONTAINER_NAME=vpn\nSYSLOG_IDENTIFIER=0123456789ab"
    match = (f"_SYSTEMD_UNIT={driver}", "CONTAINER_NAME=vpn")
    async with heard(logs, match) as (lines, log):
        log.answered(())  # the process ids in the container aren't known
        with logs.process(UNIT, pluto, container) as (unit_says, _):
            unit_says(["of another unit, with the container's name"])
            await written(logs, "of another unit, with the container's name")
        with logs.process(driver, fields="CONTAINER_NAME=db\nSYSLOG_IDENTIFIER=pluto") as (says, _):
            says(["of another container"])
            await written(logs, "of another container")
        with logs.process(driver, fields=container) as (says, _):
            says(["Nov 28 18:29:31.123456: one", "| for developers", f"{STAMP}| and more", "two"])
            await until(lambda: texts(lines) == ["one", "two"], within=30.0)
    assert {line.identifier for line in lines} == {"pluto"}


STAMP = "Nov 28 18:29:31.123456: "


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateJournald]:
    with PrivateJournald(tmp_path_factory.mktemp("journal") / "run") as made:
        yield made


@needs_units
@pytest.mark.parametrize("recorded", recordings("5.4"), ids=lambda p: p.stem)
async def test_a_recording_whose_lines_are_another_units_in_the_journal_gives_the_same_reasons(
    recorded: Path, many: PrivateJournald, pluto: Path
) -> None:
    tracker = Tracker()
    async with heard(many) as (lines, log):
        with many.process(OTHER, pluto) as (says, pid):
            log.answered([pid])

            async def log_them(logged: list[LogLine]) -> None:
                says([line.text for line in logged])
                while len(lines) < len(logged):
                    await log.catch_up(float("inf"))
                    await asyncio.sleep(0.001)
                assert texts(lines) == [line.text for line in logged]
                for line in logged:  # with the times of the recording, as its answers have them
                    tracker.add_log_line(line)
                lines.clear()

            async with asyncio.timeout(60):
                told = await replay(recorded, tracker, log_them)
    assert told == await replay_as_recorded(recorded)
    assert told


# --- What is kept ------------------------------------------------------------------------------


def test_what_is_kept_of_plutos_that_have_not_answered_is_bounded() -> None:
    witnesses = Witnesses()
    for n in range(MAX_HELD + 5):
        witnesses.hold(LogLine(float(n), str(n)), 7, by_unit=False)
    found = witnesses.answered([7])
    assert [line.text for line in found] == [str(n) for n in range(5, MAX_HELD + 5)]
    assert witnesses.answered([7]) == []


@pytest.mark.parametrize(
    ("exe", "known"),
    [
        ("/usr/libexec/ipsec/pluto", True),
        ("/usr/lib/ipsec/pluto (deleted)", True),
        ("/usr/bin/python3.11", False),
        ("/tmp/pluto/x", False),
        ("", False),
    ],
)
def test_pluto_is_known_by_its_programs_path(exe: str, *, known: bool) -> None:
    assert is_pluto(exe) is known


def test_a_pluto_in_the_background_logs_with_the_id_that_it_wrote_beside_its_socket(
    tmp_path: Path,
) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    control, pid_file = tmp_path / "pluto.ctl", tmp_path / "pluto.pid"
    assert pids_of(control, None) == set()
    assert pids_of(control, os.getpid()) == {os.getpid()}
    assert pids_of(control, gone.pid) == set()
    pid_file.write_text("4321\n")
    assert pids_of(control, gone.pid) == {4321}
    assert pids_of(control, os.getpid()) == {os.getpid(), 4321}
    assert pids_of(control, None) == set()
    pid_file.write_text("what?\n")
    assert pids_of(control, os.getpid()) == {os.getpid()}


def test_a_pluto_in_a_container_names_paths_of_its_own(tmp_path: Path) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    control, pid_file = tmp_path / "pluto.ctl", tmp_path / "pluto.pid"
    assert not sees_our_files(control, None)  # a container of which we see no processes
    assert sees_our_files(control, os.getpid())
    pid_file.write_text(f"{os.getpid()}\n")
    assert sees_our_files(control, os.getpid())
    assert sees_our_files(control, gone.pid)  # it went into the background
    pid_file.write_text("4321\n")  # so it calls itself in there
    assert not sees_our_files(control, os.getpid())
