# SPDX-License-Identifier: MIT
"""Convert values from the form in which libreswan prints them.

pluto prints certain words (NOTHING) where a setting has no value. Each function returns None, or an
empty list, for such a word; except that boolean() returns False for ``no (unset)``. The functions
for booleans and numbers raise ValueError for a text of any other form than they describe. The
functions for texts, and guess(), accept every text.
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
"""The words that pluto prints where a setting has no value."""

Value = bool | int | float | str | list[str] | list[int] | None

_SECONDS: Final = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)(ms|s)?", re.ASCII)
_COUNT: Final = re.compile(r"(?:2\^(\d{1,2})|(\d{1,20}))((?:[KMGTPE]i)?B?)", re.ASCII)
_SCALE: Final = {"": 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SERIAL: Final = re.compile(rf"(?:[\w ]{{0,20}} )?[#$]({NUMBER})", re.ASCII)


def text(value: str) -> str | None:
    """Return a text unchanged, or None for a word that means that there is no value (NOTHING)."""
    return None if value in NOTHING else value


def boolean(value: str) -> bool | None:
    """Return True for ``yes``, ``true``, ``enabled``; False for ``no``, ``false``, ``disabled``.

    Return False for ``no (unset)``, too, and None for the other words in NOTHING (``unset``).
    Raise ValueError for any other text.
    """
    if value in ("no", "false", "disabled", "no (unset)"):
        return False
    if value in ("yes", "true", "enabled"):
        return True
    if value in NOTHING:
        return None
    raise ValueError(value)


def number(value: str) -> int | None:
    """Return the integer that is printed in decimal (``12``, ``-4``) or hexadecimal (``0x1f``).

    Return None for a word in NOTHING (``unset``). Raise ValueError for any other text.
    """
    if value in NOTHING:
        return None
    if not value.isascii() or len(value) > 20 or "_" in value:
        raise ValueError(value)
    return int(value, 16) if value.startswith("0x") else int(value)


def percent(value: str) -> int | None:
    """Return 100 for ``100%`` or ``100``. Return None, or raise ValueError, as number() does."""
    return number(value.removesuffix("%"))


def seconds(value: str) -> float | int | None:
    """Return the seconds in a duration: 28800 for ``28800s``, 0.5 for ``500ms``, 0.2 for ``0.2``.

    Return None for a word in NOTHING (``unset``). Raise ValueError for any other text.
    """
    if value in NOTHING:
        return None
    m = _SECONDS.fullmatch(value)
    if m is None:
        raise ValueError(value)
    if m[2] == "ms":
        return float(m[1]) / 1000
    return float(m[1]) if "." in m[1] else int(m[1])


def amount(value: str) -> int | None:
    """Return a number of bytes or packets: 2048 for ``2KiB``, the power for ``2^63B`` or ``2^63``.

    Return None for a word in NOTHING (``unset``). Raise ValueError for any other text.
    """
    if value in NOTHING:
        return None
    m = _COUNT.fullmatch(value)
    if m is None:
        raise ValueError(value)
    base = 1 << int(m[1]) if m[1] else int(m[2])
    return base << _SCALE[m[3].removesuffix("B")]


def serial(value: str) -> int | None:
    """Return the serial of an SA or connection: 12 for ``#12``, ``$12`` or ``Child SA #12``.

    Return None for the serial 0, and for a word in NOTHING. Raise ValueError for any other text,
    also for a number without ``#`` or ``$``.
    """
    if value in NOTHING:
        return None
    m = _SERIAL.fullmatch(value)
    if m is None:
        raise ValueError(value)
    return int(m[1]) or None


def words(value: str) -> list[str]:
    """Return the words of a list with commas or blanks between them: ``a, b, c`` or ``a b c``."""
    return [] if value in NOTHING else [w for w in re.split(r"[, ]+", value) if w]


def tokens(value: str) -> list[str]:
    """Return the words of a list with plus signs between them: ``IKEv2+PSK+UP``."""
    return [] if value in NOTHING else [w for w in value.split("+") if w]


def items(value: str) -> list[str]:
    """Return the items of a list with commas between them. Blanks may be within an item."""
    return [] if value in NOTHING else [w.strip() for w in value.split(",") if w.strip()]


def numbers(value: str) -> list[int]:
    """Return the integers of a list with commas between them: ``24,24,0``.

    A word in NOTHING is left out. Raise ValueError if any other item isn't a decimal number.
    """
    return [int(w) for w in value.split(",") if number(w) is not None]


def guess(value: str) -> Value:
    """Return a value of a setting whose type isn't known.

    The conversions boolean(), number(), amount(), seconds() and text() are tried in this order,
    and the first one that accepts the value is used: ``no`` becomes False, ``12`` becomes 12,
    ``2KiB`` 2048, ``500ms`` 0.5, ``unset`` None. Any other word is returned as it is.
    """
    for convert in (boolean, number, amount, seconds):
        try:
            return convert(value)
        except ValueError:
            continue
    return text(value)
