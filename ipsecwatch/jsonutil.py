# SPDX-License-Identifier: MIT
"""Check the types and ranges of values that were read from JSON.

A check is a function: it gets a value, and returns it with its type, or raises JsonError. Most
functions here return a check, and some combine several into one. An error says where in the data
the wrong value is. Pure.
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
"""The type of a check: a function that returns the value that it is given, perhaps converted, or
raises JsonError."""

MAX_QUOTED: Final = 40
"""The number of characters of a wrong text that an error quotes."""

_NEVER_TEXT: Final = re.compile(r"[\0\ud800-\udfff]")
_NEVER_RAW: Final = re.compile(r"[\0\ud800-\udc7f\udd00-\udfff]")


class JsonError(ValueError):
    """A value didn't pass its check.

    The text is one line: ``where`` the value is (such as ``tunnels[3].name``; "" if it is the whole
    data), and the ``problem``.
    """

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.where = where

    def inside(self, container: str) -> JsonError:
        """Return a new error, in whose ``where`` the name of the enclosing value comes first.

        For ``tunnels`` as ``container``, ``name`` becomes ``tunnels.name``, and ``[3]`` becomes
        ``tunnels[3]``.
        """
        dot = "." if self.where and not self.where.startswith("[") else ""
        return JsonError(self.problem, f"{container}{dot}{self.where}")


# --- Single values ---------------------------------------------------------------------------


def any_text(value: object) -> str:
    """Return the value if it is a string, of any length and content.

    Raise JsonError if it isn't.
    """
    if not isinstance(value, str):
        raise JsonError(f"{_quoted(value)} is no text")
    return value


def text(most: int, *, raw: bool = False) -> Check[str]:
    """Return a check for a string of at most ``most`` characters, without NUL and lone surrogates.

    With ``raw``, the string may have the surrogates U+DC80 to U+DCFF, by which Python represents
    bytes that aren't UTF-8 (surrogateescape, PEP 383).
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
    """Return a check for a whole number from ``low`` to ``high`` (inclusive).

    None means no bound.
    """

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise JsonError(f"{_quoted(value)} is no whole number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise JsonError(f"{_quoted(value)} isn't between {low} and {high}")
        return value

    return check


def number(low: float | None = None, high: float | None = None) -> Check[float]:
    """Return a check for a finite number from ``low`` to ``high`` (inclusive). None means no bound.

    The check converts a whole number to a float.
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
    """Return the value if it is true or false. Raise JsonError if it isn't."""
    if not isinstance(value, bool):
        raise JsonError(f"{_quoted(value)} is neither true nor false")
    return value


def one_of(known: Iterable[T]) -> Check[T]:
    """Return a check for a string that is ``str(m)`` of one member ``m`` of ``known``.

    The check returns that member. It is used for enumerations.
    """
    members = {str(member): member for member in known}

    def check(value: object) -> T:
        if not isinstance(value, str) or value not in members:
            raise JsonError(f"{_quoted(value)} is none of the {len(members)} known words")
        return members[value]

    return check


# --- Combined checks -----------------------------------------------------------------------------


def optional(check: Check[T]) -> Check[T | None]:
    """Return a check that accepts null, as None, and everything that ``check`` accepts."""
    return lambda value: None if value is None else check(value)


def otherwise(check: Check[T], default: U) -> Check[T | U]:
    """Return a check that never fails: it returns ``default`` if ``check`` raises JsonError."""

    def lenient(value: object) -> T | U:
        try:
            return check(value)
        except JsonError:
            return default

    return lenient


def each(check: Check[T]) -> Check[tuple[T, ...]]:
    """Return a check for a list of any length, each item of which passes ``check``.

    The check returns a tuple of the checked items.
    """

    def check_all(value: object) -> tuple[T, ...]:
        return tuple([_inside(f"[{n}]", check, item) for n, item in enumerate(_list(value))])

    return check_all


def row(*checks: Check[Any]) -> Check[tuple[Any, ...]]:
    """Return a check for a list with as many items as ``checks``, one check for each item.

    The check returns a tuple of the checked items.
    """

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
    """Return a check for an object that has all keys of ``table``, each with its check.

    The keys of ``newer`` may be missing, because earlier releases didn't write them: their checks
    get None then. The object may have further keys, because later releases may write more, but they
    aren't in the dictionary that the check returns.
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
    """Return ``check(value)``, for a value that is a part of another one.

    ``where`` says which part: a key, or an index such as ``[2]``. It is added to the place in a
    JsonError that the check raises.
    """
    try:
        return check(value)
    except JsonError as e:
        raise e.inside(where) from None


def _quoted(value: object) -> str:
    """Return a short description of a value, for an error.

    It is ASCII, except ``…`` if it was cut.
    """
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and value.bit_length() > 128:  # Python refuses to print 2^20000
        return "a huge number"
    if isinstance(value, str) and len(value) > MAX_QUOTED:
        return ascii(value[:MAX_QUOTED]) + "…"
    return ascii(value)
