# SPDX-License-Identifier: MIT
"""Parses moments as people write them, in the common forms of journalctl (systemd.time(7)).

systemd-analyze could parse them, but isn't on every machine that has a journal.
"""

from __future__ import annotations

import datetime as dt
import re
from datetime import datetime, timedelta
from typing import Final

_UNITS: Final = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
    "M": 2629800.0, "month": 2629800.0, "months": 2629800.0,
    "y": 31557600.0, "year": 31557600.0, "years": 31557600.0,
}  # fmt: skip
"""The seconds of each unit, as systemd counts them: a month is a twelfth of 365.25 days."""

_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_DAYS: Final = {"today": 0, "yesterday": -1, "tomorrow": 1}
_WEEKDAY: Final = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+", re.IGNORECASE)
_DATES: Final = ("%Y-%m-%d", "%y-%m-%d")
_TIMES: Final = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M")

_LONGEST: Final = 100

FORMS: Final = 'today, yesterday, -2h, "3 days ago", "2026-11-01 10:00" or 10:00'
"""Examples of the forms that can be read."""


def local(at: float) -> datetime:
    """Return a moment (seconds since the epoch) as local date and time, without a zone."""
    return datetime.fromtimestamp(at)  # noqa: DTZ006 - local time is what people read and write


def parse_time(text: str, now: float) -> float:
    """Return the moment that a text names, in seconds since the epoch.

    ``now`` is the present time. The forms are those of FORMS, and "now", "tomorrow", "@" with
    seconds since the epoch, "+" and a duration, and a weekday before a date. A duration may have
    several units, a year two digits, a time seconds and their fraction, and "T" in front. A time is
    local, unless " UTC" follows it. A date alone means its midnight, a time alone that of today.
    Raise ValueError for other forms.
    """
    text = text.strip()
    if not 0 < len(text) <= _LONGEST:
        raise ValueError(text)
    try:
        if text.startswith("@"):
            return _checked(float(text[1:]))
        if text in _DAYS:
            day = local(now).replace(hour=0, minute=0, second=0, microsecond=0)
            return (day + timedelta(days=_DAYS[text])).timestamp()
        moved = _moved(text, now)
        return _checked(_calendar(text, now) if moved is None else moved)
    except (OverflowError, OSError) as e:
        raise ValueError(text) from e


def _checked(at: float) -> float:
    """Return ``at``. Raise ValueError, OverflowError or OSError where local() can't convert it."""
    local(at)
    return at


def _moved(text: str, now: float) -> float | None:
    """Return the moment that a text like ``now``, ``-2h``, ``+2h`` or ``3 days ago`` names.

    It is counted from the moment ``now``. Return None for a text of another form. Raise ValueError
    where the duration in it can't be read.
    """
    if text == "now":
        return now
    if text[:1] in ("-", "+"):
        length = _length(text[1:])
        return now - length if text[0] == "-" else now + length
    if text.endswith(" ago"):
        return now - _length(text.removesuffix(" ago"))
    return None


def _length(text: str) -> float:
    """Return a duration such as ``1h 30min`` in seconds; a number without a unit is seconds.

    Raise ValueError for a text that isn't a duration, and for an empty one.
    """
    total, at = 0.0, 0
    text = text.strip()
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or (part[2] and part[2] not in _UNITS):
            raise ValueError(text)
        total += float(part[1]) * _UNITS[part[2] or "s"]
        at = part.end()
    if not text:
        raise ValueError(text)
    return total


def _calendar(text: str, now: float) -> float:
    """Return the moment that a text names with a date, a time of day, or both.

    Where the text has no date, it is the local date of ``now``; where it has no time, midnight. A
    weekday in front isn't checked. Raise ValueError for any other text.
    """
    text = _WEEKDAY.sub("", text, count=1)
    text, utc, _ = text.partition(" UTC") if text.endswith(" UTC") else (text, "", "")
    date, _, time = text.replace("T", " ", 1).partition(" ")
    if ":" in date and not time:
        date, time = "", date
    day = local(now) if not date else _read(date, _DATES)
    clock = _read(time.strip(), _TIMES).time() if time.strip() else dt.time()
    at = datetime.combine(day.date(), clock)
    return datetime.fromisoformat(f"{at.isoformat()}+00:00").timestamp() if utc else at.timestamp()


def _read(text: str, forms: tuple[str, ...]) -> datetime:
    for form in forms:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - local time is what people write
        except ValueError:
            continue
    raise ValueError(text)
