# SPDX-License-Identifier: MIT
"""Values as libreswan writes them, and what they are. Each raises ValueError where it is not one.

What pluto prints for "nothing" becomes None, whatever its word for it.
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
"""How pluto says that there is nothing."""

Value = bool | int | float | str | list[str] | list[int] | None

_SECONDS: Final = re.compile(r"(-?\d{1,15}(?:\.\d{1,9})?)(ms|s)?", re.ASCII)
_COUNT: Final = re.compile(r"(?:2\^(\d{1,2})|(\d{1,20}))((?:[KMGTPE]i)?B?)", re.ASCII)
_SCALE: Final = {"": 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SERIAL: Final = re.compile(rf"(?:[\w ]{{0,20}} )?[#$]({NUMBER})", re.ASCII)


def text(value: str) -> str | None:
    """Read a word."""
    return None if value in NOTHING else value


def boolean(value: str) -> bool | None:
    """Read yes or no; a word instead of either counts as yes."""
    if value in ("no", "false", "disabled", "no (unset)"):
        return False
    if value in ("yes", "true", "enabled"):
        return True
    if value in NOTHING:
        return None
    raise ValueError(value)


def number(value: str) -> int | None:
    """Read a whole number, in hexadecimal with 0x."""
    if value in NOTHING:
        return None
    if not value.isascii() or len(value) > 20 or "_" in value:
        raise ValueError(value)
    return int(value, 16) if value.startswith("0x") else int(value)


def percent(value: str) -> int | None:
    """Read ``100%``."""
    return number(value.removesuffix("%"))


def seconds(value: str) -> float | int | None:
    """Read ``28800s``, ``500ms`` or ``0.2``, as seconds."""
    if value in NOTHING:
        return None
    m = _SECONDS.fullmatch(value)
    if m is None:
        raise ValueError(value)
    if m[2] == "ms":
        return float(m[1]) / 1000
    return float(m[1]) if "." in m[1] else int(m[1])


def amount(value: str) -> int | None:
    """Read ``2^63B``, ``2KiB`` or ``2^63``: bytes, or packets."""
    if value in NOTHING:
        return None
    m = _COUNT.fullmatch(value)
    if m is None:
        raise ValueError(value)
    base = 1 << int(m[1]) if m[1] else int(m[2])
    return base << _SCALE[m[3].removesuffix("B")]


def serial(value: str) -> int | None:
    """Read ``#12``, ``$12`` or ``Child SA #12``."""
    if value in NOTHING:
        return None
    m = _SERIAL.fullmatch(value)
    if m is None:
        raise ValueError(value)
    return int(m[1]) or None


def words(value: str) -> list[str]:
    """Read ``a, b, c``, or ``a b c``."""
    return [] if value in NOTHING else [w for w in re.split(r"[, ]+", value) if w]


def tokens(value: str) -> list[str]:
    """Read ``A+B+C``."""
    return [] if value in NOTHING else [w for w in value.split("+") if w]


def items(value: str) -> list[str]:
    """Read ``A, B, C`` where an item may have blanks in it."""
    return [] if value in NOTHING else [w.strip() for w in value.split(",") if w.strip()]


def numbers(value: str) -> list[int]:
    """Read ``24,24,0``."""
    return [int(w) for w in value.split(",") if number(w) is not None]


def guess(value: str) -> Value:
    """Read a value of which it isn't known what it is."""
    for convert in (boolean, number, amount, seconds):
        try:
            return convert(value)
        except ValueError:
            continue
    return text(value)
