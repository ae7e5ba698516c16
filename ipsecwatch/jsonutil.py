# SPDX-License-Identifier: MIT
"""Check the types and ranges of values that were read from JSON.

A check is a function that returns a value with its type, or raises JsonError. The functions here
make checks and combine them; an error says where in the data the wrong value is. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

T = TypeVar("T")
U = TypeVar("U")

Check = Callable[[object], T]
"""A function that returns the value if it passes, with its type, or raises JsonError."""

MAX_QUOTED: Final = 40
"""Characters of a wrong value that an error quotes."""

_NEVER_TEXT: Final = re.compile(r"[\0\ud800-\udfff]")
_NEVER_RAW: Final = re.compile(r"[\0\ud800-\udc7f\udd00-\udfff]")


class JsonError(ValueError):
    """A value didn't pass its check. The text is one line: where it is, and what is wrong."""

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.where = where

    def inside(self, container: str) -> JsonError:
        """Return the same error with ``container`` before the place of the value.

        ``tunnels`` makes ``tunnels.name`` of the place ``name``, and ``tunnels[3]`` of ``[3]``.
        """
        dot = "." if self.where and not self.where.startswith("[") else ""
        return JsonError(self.problem, f"{container}{dot}{self.where}")


# --- Single values ---------------------------------------------------------------------------


def any_text(value: object) -> str:
    """Return a value that is a text, of any length and content. Raise JsonError for others."""
    if not isinstance(value, str):
        raise JsonError(f"{_quoted(value)} is no text")
    return value


def text(most: int, *, raw: bool = False) -> Check[str]:
    """Return a check for a text of at most ``most`` characters, without NUL and lone surrogates.

    ``raw``: it may have bytes that aren't UTF-8, as surrogate escapes U+DC80 to U+DCFF (PEP 383).
    """
    never = _NEVER_RAW if raw else _NEVER_TEXT

    def check(value: object) -> str:
        found = any_text(value)
        if len(found) > most:
            raise JsonError(f"{len(found)} characters are more than {most}")
        if (m := never.search(found)) is not None:
            raise JsonError(f"{_quoted(found)} has U+{ord(m[0]):04X} in it")
        return found

    return check


def whole(low: int | None = None, high: int | None = None) -> Check[int]:
    """Return a check for a whole number from ``low`` to ``high``, both included; None: no bound."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise JsonError(f"{_quoted(value)} is no whole number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise JsonError(f"{_quoted(value)} isn't between {low} and {high}")
        return value

    return check


def number(low: float | None = None, high: float | None = None) -> Check[float]:
    """Return a check for a finite number from ``low`` to ``high``, both included; None: no bound.

    The check returns a float, also for a whole number.
    """

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise JsonError(f"{_quoted(value)} is no number")
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if not math.isfinite(found):
            raise JsonError(f"{_quoted(value)} is no finite number")
        if (low is not None and found < low) or (high is not None and found > high):
            raise JsonError(f"{_quoted(value)} isn't between {low} and {high}")
        return found

    return check


def flag(value: object) -> bool:
    """Return a value that is true or false. Raise JsonError for others."""
    if not isinstance(value, bool):
        raise JsonError(f"{_quoted(value)} is neither true nor false")
    return value


def one_of(known: Iterable[T]) -> Check[T]:
    """Return a check for the text ``str(m)`` of any ``m`` in ``known``; the check returns ``m``."""
    members = {str(member): member for member in known}

    def check(value: object) -> T:
        if not isinstance(value, str) or value not in members:
            raise JsonError(f"{_quoted(value)} is none of the {len(members)} known words")
        return members[value]

    return check


# --- Combined checks -----------------------------------------------------------------------------


def optional(check: Check[T]) -> Check[T | None]:
    """Return a check that also accepts null."""
    return lambda value: None if value is None else check(value)


def otherwise(check: Check[T], default: U) -> Check[T | U]:
    """Return a check that raises nothing: what doesn't pass ``check`` becomes ``default``."""

    def lenient(value: object) -> T | U:
        try:
            return check(value)
        except JsonError:
            return default

    return lenient


def each(check: Check[T]) -> Check[tuple[T, ...]]:
    """Return a check for a list of any length, whose items all pass ``check``."""

    def check_all(value: object) -> tuple[T, ...]:
        return tuple([_inside(f"[{n}]", check, item) for n, item in enumerate(_list(value))])

    return check_all


def row(*checks: Check[Any]) -> Check[tuple[Any, ...]]:
    """Return a check for a list with one item for each of ``checks``, in their order."""

    def check(value: object) -> tuple[Any, ...]:
        items = _list(value)
        if len(items) != len(checks):
            raise JsonError(f"{len(items)} items instead of {len(checks)}")
        pairs = zip(checks, items, strict=True)
        return tuple([_inside(f"[{n}]", c, item) for n, (c, item) in enumerate(pairs)])

    return check


def fields(
    table: Mapping[str, Check[Any]], newer: Mapping[str, Check[Any]] | None = None
) -> Check[dict[str, Any]]:
    """Return a check for an object with the keys of ``table``, whose values pass their checks.

    A missing key of ``newer``, which earlier releases didn't write, is checked as null. Other keys
    are allowed, since later releases may write more, but the check doesn't return them.
    """
    more = newer or {}

    def check(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise JsonError(f"{_quoted(value)} is no object")
        missing = next((name for name in table if name not in value), None)
        if missing is not None:
            raise JsonError("missing", missing)
        found = {name: _inside(name, c, value[name]) for name, c in table.items()}
        return found | {name: _inside(name, c, value.get(name)) for name, c in more.items()}

    return check


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise JsonError(f"{_quoted(value)} is no list")
    return value


def _inside(where: str, check: Check[T], value: object) -> T:
    """Return ``check(value)``; the value is the part ``where`` of another: a key, or ``[2]``.

    Where the check raises a JsonError, ``where`` is put before the place that it names.
    """
    try:
        return check(value)
    except JsonError as e:
        raise e.inside(where) from None


def _quoted(value: object) -> str:
    """Return a short description of any value, in ASCII, for an error."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 128:  # Python refuses to print 2^20000
        return "a huge number"
    if isinstance(value, str) and len(value) > MAX_QUOTED:
        return ascii(value[:MAX_QUOTED]) + "…"
    return ascii(value)
