# SPDX-License-Identifier: MIT
"""Read pluto's time stamps in a log file, which have no year and no time zone.

Time zones differ by whole quarters of an hour, and so do years. So a stamp's seconds, and its
minutes within a quarter of an hour, are reliable. For a line that was logged just now, the clock
shows the rest. For older lines of a file, the file's time of modification does.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Final

QUARTER: Final = 900.0
"""Seconds of a quarter of an hour."""
MAX_AGE: Final = 60.0
"""How many seconds old a line may be when it is read. If it seems older, its stamp isn't believed.
A file's last line may also differ so much from the file's time of modification."""

STAMP: Final = re.compile(
    rb"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d(?:\.\d{1,6})?): ", re.ASCII
)
_MONTHS: Final = {name.encode(): n for n, name in enumerate(calendar.month_abbr) if name}


def moment(stamp: re.Match[bytes], now: float, oldest: float = MAX_AGE) -> float:
    """Return when a line was logged, on the wall clock, whatever the time zone of its stamp is.

    ``now`` is when it is read. If the stamp seems to be more than ``oldest`` seconds old, ``now``
    is returned. ``oldest`` has to be less than a quarter of an hour.
    """
    within = int(stamp[4]) % 15 * 60 + float(stamp[5])
    age = (now - within) % QUARTER
    return now - age if age <= oldest else now


def naive(line: bytes, near: float) -> float | None:
    """Return a line's stamp in seconds since the epoch, as if its time zone was UTC.

    Its year is taken from ``near`` (wall clock). None: the line has no stamp, or no known month.
    """
    stamp = STAMP.match(line)
    if stamp is None or stamp[1] not in _MONTHS:
        return None
    year, seconds = time.gmtime(near).tm_year, float(stamp[5])
    fields = (year, _MONTHS[stamp[1]], int(stamp[2]), int(stamp[3]), int(stamp[4]), 0)
    return calendar.timegm(fields) + seconds


def shift(last: float, written: float) -> float | None:
    """Return how many seconds to add to naive() to get the wall clock, for the lines of a file.

    ``last`` is naive() of the file's last line, ``written`` the file's time of modification. None
    if they don't fit: another program has written to the file, or has set its time.
    """
    quarters = round((written - last) / QUARTER) * QUARTER
    return quarters if abs(last + quarters - written) <= MAX_AGE else None
