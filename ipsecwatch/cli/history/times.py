# SPDX-License-Identifier: MIT
"""Reads times as people write them, in the usual forms of journalctl (systemd.time(7)).

systemd-analyze could read them, too, but not every machine with a journal has it.
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
"""The seconds of each unit of time. As for systemd, a year has 365.25 days, and a month is a
twelfth of it."""

_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_DAYS: Final = {"today": 0, "yesterday": -1, "tomorrow": 1}
_WEEKDAY: Final = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+", re.IGNORECASE)
_DATES: Final = ("%Y-%m-%d", "%y-%m-%d")
_TIMES: Final = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M")

_LONGEST: Final = 100

FORMS: Final = 'today, yesterday, -2h, "3 days ago", "2026-11-01 10:00" or 10:00'
"""Examples of the forms that parse_time() reads, for help and errors."""


def local(at: float) -> datetime:
    """Return the local date and time of ``at`` (seconds since the epoch), without a time zone."""
    return datetime.fromtimestamp(at)  # noqa: DTZ006 - local time is what people read and write


def parse_time(text: str, now: float) -> float:
    """Return the time that a text names, in seconds since the epoch. ``now`` is the present time.

    Beside the forms in FORMS, it may be ``now``, ``tomorrow``, ``@`` and seconds since the epoch,
    or ``+`` and a duration. A duration may have several units (``1h 30min``). A date may have a
    weekday in front, and a year of two digits. A time of day may have seconds, with a fraction, and
    ``T`` in front. Times are local, unless `` UTC`` follows. A date alone is its midnight, a time
    of day alone is today's. Raise ValueError for other forms.
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
    """Return ``at`` unchanged, if local() can convert it; else raise what local() raises."""
    local(at)
    return at


def _moved(text: str, now: float) -> float | None:
    """Return the time that a text such as ``now``, ``-2h``, ``+2h`` or ``3 days ago`` names.

    Durations are counted from ``now``. Return None for a text of another form. Raise ValueError for
    one of these forms whose duration can't be read.
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
    """Return a duration such as ``1h 30min`` in seconds. A number without a unit is seconds.

    Raise ValueError for any other text, and for "".
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
    """Return the time that a date, a time of day, or both name, in seconds since the epoch.

    A date alone is its midnight. A time of day alone is on the local date of ``now``. Whether a
    weekday in front fits the date isn't checked. Raise ValueError for any other text.
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
