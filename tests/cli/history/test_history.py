# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch history`` for people and programs, on a journal of a bad day."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.history import bar, screen
from ipsecwatch.cli.history.bar import ruler
from ipsecwatch.cli.main import run
from ipsecwatch.history import message_ids
from ipsecwatch.history.summary import summarize, watched_of
from ipsecwatch.states import Reason
from tests.support.diary import NOON, Diary
from tests.support.journal_files import BOOT_2, ENDED_BY_SIGNAL, JournalFiles, needs_writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600
IDS = {"up": message_ids.UP, "down": message_ids.DOWN, "stuck": message_ids.STUCK}


@pytest.fixture(scope="module", autouse=True)
def utc() -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("TZ", "UTC")
    time.tzset()
    yield
    patch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the journal of one day, from 2023-11-15 00:00 UTC on; return its folder.

    On that day tunnels are lost, the service is killed, and the machine is booted again.
    """
    journal = JournalFiles(up=1_700_006_400.0)
    serial = 0

    def change(hour: float, name: str, old: str, new: str, reason: str, **more: str) -> None:
        nonlocal serial
        serial += 1
        fields = {
            "TUNNEL": name, "OLD_STATE": old, "STATE": new, "REASON": reason, "LISTED": "yes",
            "SERIAL": str(serial), **more,
        }  # fmt: skip
        journal.ours(hour * HOUR, IDS.get(new, message_ids.OTHER), f"run-{run_}", **fields)

    run_ = 1
    journal.began(0)
    journal.found(0, "up")
    journal.found(0, "down", name="lab")
    change(4, "site", "up", "connecting", "peer-dead")
    change(4.01, "site", "connecting", "stuck", "no-answer")
    change(6, "site", "stuck", "up", "none")
    who = {"USER": "ann", "PEER": "192.0.2.7"}
    change(7, "rw[1]", "down", "up", "none", **{**who, "LISTED": "new"})
    change(9, "rw[1]", "up", "down", "peer-deleted", **{**who, "LISTED": "gone"})
    journal.add(10 * HOUR, ENDED_BY_SIGNAL)
    run_, serial = 2, 0
    journal.began(11 * HOUR, "run-2", "run-1")
    change(11.5, "site", "up", "unknown", "pluto-unreachable")
    journal.add(12 * HOUR, {"_UID": "0"}, MESSAGE="the last word")
    journal.boot, journal.up = BOOT_2, journal.up + 14 * HOUR
    run_, serial = 3, 0
    journal.began(60, "run-3")
    journal.found(60, "connecting", "run-3")
    change(0.02, "site", "connecting", "up", "none")
    journal.ours(10 * HOUR, message_ids.ENDED, "run-3")
    return journal.write(tmp_path_factory.mktemp("day") / "journal")


RANGE = ("--since", "2023-11-15", "--until", "2023-11-16")


def history(folder: Path, *argv: str) -> int:
    return run(["history", "--directory", str(folder), *RANGE, *argv])


@needs_writer
def test_all_tunnels_are_a_table_with_a_bar_each_the_worst_first(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert history(folder) == 0
    assert (
        capsys.readouterr().out
        == """\
2023-11-15 00:00 to 2023-11-16 00:00: watched 87.43 %, 20h 59m of 1d 0h.
The journal reaches back to 2023-11-15 00:00.

  TUNNEL   UPTIME  OUTAGES  LONGEST  00:00          06:00           12:00           18:00
● site    90.21 %        1   2h 00m  ██████████▄▁▁▁▁▄███████████ ███?    ▄██████████████████████████
- lab      0.00 %        -        -  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁ ▁▁▁▁
- rw[1]     100 %        -        -                    ██████
█ up  ▄ partly  ▁ not up  · on demand  ? not known  blank: not watched
"""
    )


@needs_writer
def test_one_tunnel_is_told_with_all_that_happened_to_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert history(folder, "site") == 0
    said = capsys.readouterr().out
    print(said)
    assert "  uptime       90.21 % of 20h 29m: up 18h 28m, stuck 1h 59m, connecting 48s" in said
    assert "  not known    30m 00s" in said
    assert "  not watched  3h 01m" in said
    assert "  outages      1, 2h 00m, from 2023-11-15 04:00:00" in said
    assert said.endswith(
        "  2023-11-15\n"
        "  00:00:00  ● up           4h 00m  Already so when watching began.\n"
        "  04:00:00  … connecting      36s  The peer stopped answering.\n"
        "  04:00:36  ✗ stuck        1h 59m  The peer does not answer.\n"
        "  06:00:00  ● up           4h 30m\n"
        "  10:00:00  not watched for 1h 00m: the service ended unexpectedly\n"
        "  11:30:00  ? unknown     30m 00s  The IPsec service does not answer.\n"
        "  12:00:00  not watched for 2h 01m: the machine went down\n"
        "  14:01:00  … connecting      12s  Already so when watching began.\n"
        "  14:01:12  ● up           9h 58m\n"
    )


@needs_writer
def test_who_came_and_went_is_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(folder, "--users") == 0
    why = "The peer closed the tunnel."
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "USER  TUNNEL  FROM       CAME            WENT               FOR  WHY",
        f"ann   rw[1]   192.0.2.7  11-15 07:00:00  11-15 09:00:00  2h 00m  {why}",
    ]


@needs_writer
def test_programs_get_all_of_it_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(folder, "--json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["format"] == 1
    assert [w["end_shown_by"] for w in told["watches"]] == ["systemd", "boot", "written"]
    tunnels = {t["name"]: t for t in told["tunnels"]}
    site = tunnels["site"]
    assert site["uptime_percent"] == pytest.approx(100 * 66528 / 73740)
    assert site["known"] + site["not_known"] + site["not_seen"] == pytest.approx(told["watched"])
    assert told["watched"] + told["not_watched"] == pytest.approx(24 * HOUR)
    (outage,) = site["outages"]
    assert (outage["reason"], outage["sentence"]) == ("peer-dead", "The peer stopped answering.")
    assert outage["advice"]
    assert [t["new"] for t in tunnels["rw[1]"]["transitions"]] == ["up", "gone"]
    assert told["users"][0]["user"] == "ann"
    assert (told["users"][0]["reason"], bool(told["users"][0]["advice"])) == ("peer-deleted", True)


WRONG = [
    (("nosuch",), 3, "ipsecwatch: no such tunnel: nosuch. There are: lab, rw[1], site"),
    (("sites",), 3, "ipsecwatch: no such tunnel: sites. Did you mean site?"),
    (("site*", "nosuch*"), 3, "ipsecwatch: no tunnel's name fits nosuch*. "),
    (("\x1b[2J",), 3, r"ipsecwatch: no such tunnel: \x1b[2J. There are: lab, rw[1], site"),
    (("--since", "noon"), 2, "ipsecwatch: --since noon isn't a time. Such as: today, yesterday"),
    (("--since", "2023-11-17"), 2, "ipsecwatch: --since must be before --until. Such as: "),
    (("--until", "-1x"), 2, "ipsecwatch: --until -1x isn't a time. Such as: "),
]


@needs_writer
@pytest.mark.parametrize(("argv", "code", "said"), WRONG)
def test_what_is_wrong_is_one_line_and_a_hint(
    argv: tuple[str, ...], code: int, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert history(folder, *argv) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(said)


@needs_writer
def test_a_journal_without_us_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = JournalFiles()
    journal.add(0, {"_UID": "0"}, MESSAGE="something else")
    assert run(["history", "--directory", str(journal.write(tmp_path / "j"))]) == 3
    assert capsys.readouterr().err == (
        "ipsecwatch: the journal has no entries of ipsecwatch. "
        "Does it run? systemctl status ipsecwatch\n"
    )


@needs_writer
def test_a_pipe_that_is_closed_and_a_locale_without_utf_8_are_no_trouble(folder: Path) -> None:
    argv = [sys.executable, "-m", "ipsecwatch", "history", "--directory", str(folder), *RANGE]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "TZ": "UTC"}
    plain = subprocess.run(argv, env=environment, capture_output=True, check=True).stdout.decode()
    assert "* site    90.21 %" in plain
    assert "##########=____=########### ###?    =########" in plain
    assert "\\u" not in plain
    into = subprocess.run(
        ["/bin/sh", "-c", '"$@" | head -n 1', "sh", *argv], capture_output=True, check=True
    )
    assert into.stderr == b""


# --- Screens -------------------------------------------------------------------------------------


def look_at(diary: Diary, columns: int) -> screen.Look:
    watched = watched_of(diary.runs, NOON, NOON + 86400)
    paint = terminal.Paint(on=False)
    return screen.Look(NOON, NOON + 86400, watched, NOON, paint, columns, bar.glyphs())


def busy_day(tunnels: int) -> Diary:
    diary = Diary()
    diary.began(0)
    for n in range(tunnels):
        diary.found(1, "up", f"a-rather-long-name-of-a-branch-office-{n}")
    name = "a-rather-long-name-of-a-branch-office-0"
    diary.change(4000, "up", "down", Reason.AUTHENTICATION, name)
    diary.change(9000, "down", "up", Reason.NONE, name)
    diary.change(9100, "down", "up", name="rw[1]", listed="new", user="C=DE, CN=" + "x" * 80)
    diary.ended(80000)
    return diary


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100])
def test_nothing_is_wider_than_the_screen(columns: int) -> None:
    diary = busy_day(3)
    look = look_at(diary, columns)
    timelines = diary.timelines
    summaries = [summarize(t, look.since, look.until) for t in timelines.values()]
    visits = screen.visits_in(timelines.values(), look.since, look.until)
    lines = screen.heading(look) + screen.overview(summaries, look) + screen.users(visits, look)
    for s in summaries:
        lines += screen.details(s, look)
    assert max(map(terminal.width, lines)) <= columns
    assert any("100 %" in line for line in lines)


def test_thousands_of_tunnels_are_a_table_too() -> None:
    diary = busy_day(5000)
    look = look_at(diary, 80)
    begun = time.process_time()
    summaries = [summarize(t, look.since, look.until) for t in diary.timelines.values()]
    lines = screen.overview(summaries, look)
    assert time.process_time() - begun < 15
    assert len(lines) == 5000 + 1 + 1 + 1
    assert "office-0" in lines[1], "the worst first"


def test_a_bar_shows_an_outage_of_a_second() -> None:
    diary = Diary()
    diary.began(0)
    diary.found(0, "up")
    diary.change(40000, "up", "down", Reason.PEER_DELETED)
    diary.change(40001, "down", "up")
    diary.ended(86400)
    (timeline,) = diary.timelines.values()
    paint = terminal.Paint(on=False)
    drawn = bar.bar(timeline.spans, NOON, NOON + 86400, 24, bar.glyphs(), paint)
    assert drawn == "█" * 11 + "▄" + "█" * 12
    colour = bar.bar(timeline.spans, NOON, NOON + 86400, 24, bar.glyphs(), terminal.Paint(on=True))
    assert colour.count("\x1b[0m") == 3


RULERS = [
    (0, 24 * HOUR, 48, "00:00       06:00       12:00       18:00"),
    (0, 7 * 24 * HOUR, 70, "11-15     11-16     11-17     11-18     11-19     11-20     11-21"),
    (90, HOUR, 30, "              00:30"),
    (0, 24 * HOUR, 4, ""),
    (0, 2 * 365 * 24 * HOUR, 30, "2023-11 2024-06  2025-01"),
]


@pytest.mark.parametrize(("begin", "length", "cells", "line"), RULERS)
def test_a_ruler_has_round_local_times(begin: int, length: int, cells: int, line: str) -> None:
    midnight = 1_700_006_400
    assert ruler(midnight + begin, midnight + begin + length, cells) == line


def test_a_per_cent_is_never_more_than_it_is() -> None:
    assert [screen.percent(x) for x in (1.0, 0.99999, 0.5, 0.0)] == [
        "100 %", "99.99 %", "50.00 %", "0.00 %",
    ]  # fmt: skip
