# SPDX-License-Identifier: MIT
"""Tests of points in time as people write them; systemd itself must read them alike."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.history.times import local, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 28, 20, 15, 30).timestamp()  # noqa: DTZ001 - local, as people write

GOOD = {
    "now": "2026-11-28 20:15:30",
    "today": "2026-11-28 00:00:00",
    "yesterday": "2026-11-27 00:00:00",
    "tomorrow": "2026-11-29 00:00:00",
    "-2h": "2026-11-28 18:15:30",
    "-1h 30min": "2026-11-28 18:45:30",
    "-90": "2026-11-28 20:14:00",
    "+1d": "2026-11-29 20:15:30",
    "3 days ago": "2026-11-25 20:15:30",
    "1w ago": "2026-11-21 20:15:30",
    "2026-11-01 10:00": "2026-11-01 10:00:00",
    "2026-11-01 10:00:05": "2026-11-01 10:00:05",
    "2026-11-01": "2026-11-01 00:00:00",
    "26-11-01": "2026-11-01 00:00:00",
    "Sun 2026-11-01 10:00": "2026-11-01 10:00:00",
    "10:00": "2026-11-28 10:00:00",
    "10:00:01": "2026-11-28 10:00:01",
    "2026-11-01T10:00": "2026-11-01 10:00:00",
}

BAD = (
    "", " ", "-", "x", "2026-13-01", "2026-11-31", "25:00", "10", "-2q", "- h", "2h", "@", "@x",
    "@nan",
    "@1e400", "-99999999999y", "9" * 400, "-" + "9" * 400 + "s", "2026-11-01 10:00 Mars",
    "\x1b[2J", "١٠:٠٠ x",
)  # fmt: skip


@pytest.mark.parametrize(("text", "means"), GOOD.items())
def test_what_journalctl_takes_is_taken(text: str, means: str) -> None:
    assert local(parse_time(text, NOW)).isoformat(" ") == means


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text, NOW)


def test_a_moment_may_be_given_in_seconds_or_in_utc() -> None:
    assert parse_time("@1700000000.5", NOW) == 1700000000.5
    assert parse_time("2023-11-14 22:13:20 UTC", NOW) == 1700000000


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_day_begins_at_local_midnight_also_where_the_clocks_are_changed() -> None:
    noon = parse_time("2026-10-25 12:00", NOW)  # summer time ended at 03:00
    assert noon - parse_time("today", noon) == 13 * 3600
    assert parse_time("2026-10-25 00:00 UTC", NOW) - parse_time("2026-10-25", NOW) == 7200


@pytest.mark.parametrize("text", [t for t in GOOD if "T" not in t])
def test_systemd_reads_the_same(text: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    done = subprocess.run(
        ["systemd-analyze", "timestamp", "--", text], capture_output=True, text=True, check=True
    )
    seconds = re.search(r"UNIX seconds: @([\d.]+)", done.stdout)
    assert seconds is not None
    assert abs(parse_time(text, time.time()) - float(seconds[1])) < 5
