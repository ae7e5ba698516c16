# SPDX-License-Identifier: MIT
from __future__ import annotations

import calendar

import pytest

from ipsecwatch.pluto.wakers import log_stamp

WRITTEN = calendar.timegm((2026, 11, 28, 18, 29, 31)) + 0.5


@pytest.mark.parametrize(
    ("line", "at"),
    [
        (b"Nov 28 18:29:31.250000: text", WRITTEN - 0.25),
        (b"Nov 28 18:29:31: text", WRITTEN - 0.5),
        (b"Nov  1 18:29:31: text", WRITTEN - 0.5 - 27 * 86400),
        (b"Foo 28 18:29:31: text", None),
        (b"Nov 28 18:29:31 text", None),
        (b'"site" #1: Nov 28 18:29:31: text', None),
        (b"| for developers", None),
        (b"", None),
    ],
)
def test_a_stamp_is_what_a_line_begins_with(line: bytes, at: float | None) -> None:
    assert log_stamp.naive(line, WRITTEN) == at


@pytest.mark.parametrize("hours", [-12.0, -3.5, 0.0, 1.0, 5.75, 14.0])
@pytest.mark.parametrize("lag", [0.0, 5.0])
def test_the_time_zone_of_stamps_is_known_by_when_the_last_line_was_written(
    hours: float, lag: float
) -> None:
    stamped = WRITTEN + hours * 3600
    shift = log_stamp.shift(stamped, WRITTEN + lag)
    assert shift == -hours * 3600


def test_stamps_of_the_old_year_are_none_of_the_future() -> None:
    now = calendar.timegm((2027, 1, 1, 0, 0, 10))
    naive = log_stamp.naive(b"Dec 31 23:59:50: text", now)
    assert naive is not None
    assert naive > now  # its year isn't printed
    shift = log_stamp.shift(naive, now - 20)
    assert shift is not None
    assert naive + shift == now - 20


@pytest.mark.parametrize("off", [61.0, 300.0, 839.0])
def test_stamps_that_do_not_fit_the_file_have_no_time_zone(off: float) -> None:
    assert log_stamp.shift(WRITTEN + off, WRITTEN) is None


@pytest.mark.parametrize(
    ("age", "oldest", "told"),
    [(0.0, 60.0, 0.0), (59.0, 60.0, 59.0), (61.0, 60.0, 0.0), (600.0, 840.0, 600.0)],
)
def test_a_moment_is_told_by_a_stamp_that_is_recent_enough(
    age: float, oldest: float, told: float
) -> None:
    minute, second = divmod((WRITTEN - age) % 3600, 60)
    stamp = log_stamp.STAMP.match(f"Nov 28 02:{minute:02.0f}:{second:09.6f}: x".encode())
    assert stamp is not None
    assert round(WRITTEN - log_stamp.moment(stamp, WRITTEN, oldest), 3) == told
