# SPDX-License-Identifier: MIT
"""Convert values from the form in which libreswan prints them.

Each of pluto's words for "nothing" (NOTHING) becomes None, or an empty list; but boolean() takes
``no (unset)`` for no. Functions that return a boolean or numbers raise ValueError for a text of
another form than theirs. The others accept any text.
"""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan.grammar import NUMBER

NOTHING: Final = frozenset(
    {
        "", "unset", "none", "(none)", "<none>", "<unset>", "<unset-subnet>", "[any]", "%none",
        "NONE", "<disabled>", "N/A", "<N/A>", "no (unset)", "#0", "$0", "n/a",
    }
)  # fmt: skip
"""What pluto prints in place of a value where there is none."""

Value = bool | int | float | str | list[str] | list[int] | None

_SECONDS: Final = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)(ms|s)?", re.ASCII)
_COUNT: Final = re.compile(r"(?:2\^(\d{1,2})|(\d{1,20}))((?:[KMGTPE]i)?B?)", re.ASCII)
_SCALE: Final = {"": 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SERIAL: Final = re.compile(rf"(?:[\w ]{{0,20}} )?[#$]({NUMBER})", re.ASCII)


def text(value: str) -> str | None:
    """Return a text as it is, or None for one of pluto's words for "nothing"."""
    return None if value in NOTHING else value


def boolean(value: str) -> bool | None:
    """Return True for ``yes``, ``true``, ``enabled``; False for ``no``, ``false``, ``disabled``."""
    if value in ("no", "false", "disabled", "no (unset)"):
        return False
    if value in ("yes", "true", "enabled"):
        return True
    if value in NOTHING:
        return None
    raise ValueError(value)


def number(value: str) -> int | None:
    """Return a whole number, from decimal digits, perhaps with a sign, or hexadecimal (``0x``)."""
    if value in NOTHING:
        return None
    if not value.isascii() or len(value) > 20 or "_" in value:
        raise ValueError(value)
    return int(value, 16) if value.startswith("0x") else int(value)


def percent(value: str) -> int | None:
    """Return the number in ``100%``, or in ``100``."""
    return number(value.removesuffix("%"))


def seconds(value: str) -> float | int | None:
    """Return the seconds in ``28800s``, ``500ms`` or ``0.2``."""
    if value in NOTHING:
        return None
    m = _SECONDS.fullmatch(value)
    if m is None:
        raise ValueError(value)
    if m[2] == "ms":
        return float(m[1]) / 1000
    return float(m[1]) if "." in m[1] else int(m[1])


def amount(value: str) -> int | None:
    """Return the number of bytes or packets in ``2^63B``, ``2KiB`` or ``2^63``."""
    if value in NOTHING:
        return None
    m = _COUNT.fullmatch(value)
    if m is None:
        raise ValueError(value)
    base = 1 << int(m[1]) if m[1] else int(m[2])
    return base << _SCALE[m[3].removesuffix("B")]


def serial(value: str) -> int | None:
    """Return the serial in ``#12``, ``$12`` or ``Child SA #12``; None for 0."""
    if value in NOTHING:
        return None
    m = _SERIAL.fullmatch(value)
    if m is None:
        raise ValueError(value)
    return int(m[1]) or None


def words(value: str) -> list[str]:
    """Return the words in ``a, b, c`` or ``a b c``."""
    return [] if value in NOTHING else [w for w in re.split(r"[, ]+", value) if w]


def tokens(value: str) -> list[str]:
    """Return the words in ``A+B+C``."""
    return [] if value in NOTHING else [w for w in value.split("+") if w]


def items(value: str) -> list[str]:
    """Return the items in ``A, B, C``, which may contain blanks."""
    return [] if value in NOTHING else [w.strip() for w in value.split(",") if w.strip()]


def numbers(value: str) -> list[int]:
    """Return the numbers in ``24,24,0``."""
    return [int(w) for w in value.split(",") if number(w) is not None]


def guess(value: str) -> Value:
    """Return a value as the first type that fits: boolean, number, amount, seconds, or text."""
    for convert in (boolean, number, amount, seconds):
        try:
            return convert(value)
        except ValueError:
            continue
    return text(value)
