# SPDX-License-Identifier: MIT
"""Read pluto's time stamps in a log file, which have no year and no time zone.

Time zones, and years, differ by whole quarters of an hour. So the minutes within a quarter and the
seconds are reliable; the rest follows from the clock for a line that was logged just now, and from
a file's time of modification for the lines in it.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Final

QUARTER: Final = 900.0
"""Seconds of a quarter of an hour."""
MAX_AGE: Final = 60.0
"""Seconds that a line may be old when it is read; if it seems older, its stamp isn't believed. Also
the seconds by which a file's last line may be older or newer than its time of modification."""

STAMP: Final = re.compile(
    rb"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d(?:\.\d{1,6})?): ", re.ASCII
)
_MONTHS: Final = {name.encode(): n for n, name in enumerate(calendar.month_abbr) if name}


def moment(stamp: re.Match[bytes], now: float, oldest: float = MAX_AGE) -> float:
    """Return the wall-clock time at which a line was logged, whatever its time zone is.

    ``now`` is the time of reading. It is returned itself where the stamp would be more than
    ``oldest`` seconds old, which has to be less than a quarter of an hour.
    """
    within = int(stamp[4]) % 15 * 60 + float(stamp[5])
    age = (now - within) % QUARTER
    return now - age if age <= oldest else now


def naive(line: bytes, near: float) -> float | None:
    """Return a line's stamp as seconds since the epoch, as if it was UTC.

    The year is that of ``near`` (wall clock). None: it has no stamp, or one of an unknown month.
    """
    stamp = STAMP.match(line)
    if stamp is None or stamp[1] not in _MONTHS:
        return None
    year, seconds = time.gmtime(near).tm_year, float(stamp[5])
    fields = (year, _MONTHS[stamp[1]], int(stamp[2]), int(stamp[3]), int(stamp[4]), 0)
    return calendar.timegm(fields) + seconds


def shift(last: float, written: float) -> float | None:
    """Return the seconds to add to what naive() returns, to get the wall-clock time.

    ``last`` is the naive time of a file's last line, ``written`` the file's time of modification.
    None where the two don't fit: another program has written to the file, or set its time.
    """
    quarters = round((written - last) / QUARTER) * QUARTER
    return quarters if abs(last + quarters - written) <= MAX_AGE else None
