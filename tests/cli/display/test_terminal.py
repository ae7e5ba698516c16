# SPDX-License-Identifier: MIT
"""What the table says of the time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.tunnels import listing
from ipsecwatch.client import View
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    import pytest


def view(seconds: float, *, known: bool = True) -> View:
    """A tunnel that has been up for so many seconds."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME) - seconds
    up = TunnelState.UP
    return View(
        "/", "site", up, up, Reason.NONE, time.time() - seconds, time.monotonic() - seconds,
        since_boot=boot, since_known=known,
    )  # fmt: skip


def age(v: View) -> str:
    """What stands below SINCE."""
    return listing.age(terminal.Row.of_view(v))


def test_an_age_is_counted_by_a_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    v = view(70)
    assert age(v) == "1m 10s"
    # A clock that was put forward by eight days after the start tells nothing about the age.
    monkeypatch.setattr(time, "time", lambda: v.since + 70 + 8 * 86400)
    assert age(v) == "1m 10s"


def test_what_nobody_saw_come_has_been_so_for_longer() -> None:
    assert age(view(7200, known=False)) == "over 2h 00m"


def test_an_older_service_tells_the_wall_clock_alone() -> None:
    assert age(replace(view(70), since_boot=0.0)) == "1m 10s"


def test_of_a_file_no_age_is_known() -> None:
    row = replace(terminal.Row.of_view(view(1)), since=None, age=None)
    assert listing.age(row) == ""
    assert terminal.since(row) == ""
