# SPDX-License-Identifier: MIT
"""pluto's time stamp in a log file: no year, and no time zone.

Time zones, and years, differ by whole quarters of an hour: that much is known of a line of just
now by the clock, and of a file by when it was last written to.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import Final

QUARTER: Final = 900.0
"""Seconds."""
MAX_AGE: Final = 60.0
"""Seconds that a line may be old when it is read, for its stamp to be believed."""

STAMP: Final = re.compile(
    rb"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d(?:\.\d{1,6})?): ", re.ASCII
)
_MONTHS: Final = {name.encode(): n for n, name in enumerate(calendar.month_abbr) if name}


def moment(stamp: re.Match[bytes], now: float, oldest: float = MAX_AGE) -> float:
    """Return when a line was logged, if that is at most ``oldest`` seconds ago in any time zone.

    Else ``now``, when it is read. ``oldest`` is less than a quarter of an hour.
    """
    within = int(stamp[4]) % 15 * 60 + float(stamp[5])
    age = (now - within) % QUARTER
    return now - age if age <= oldest else now


def naive(line: bytes, near: float) -> float | None:
    """Return the stamp of a line as if it was UTC's, of the year of ``near``; None: it has none."""
    stamp = STAMP.match(line)
    if stamp is None or stamp[1] not in _MONTHS:
        return None
    year, seconds = time.gmtime(near).tm_year, float(stamp[5])
    fields = (year, _MONTHS[stamp[1]], int(stamp[2]), int(stamp[3]), int(stamp[4]), 0)
    return calendar.timegm(fields) + seconds


def shift(last: float, written: float) -> float | None:
    """Return by how much stamps are to be shifted, by the last one and when that was written.

    None where they don't fit: somebody else has written to the file, or set its time.
    """
    quarters = round((written - last) / QUARTER) * QUARTER
    return quarters if abs(last + quarters - written) <= MAX_AGE else None
