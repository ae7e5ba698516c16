# SPDX-License-Identifier: MIT
"""Remembering what was read, because most of an answer is the same as the last one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Memo(Generic[T]):
    """A function of a text that remembers what it said in this answer and in the last one.

    What it remembers is bounded by the size of two answers. None is not remembered.
    """

    __slots__ = ("_function", "_last", "_now")

    def __init__(self, function: Callable[[str], T]) -> None:
        self._function = function
        self._last: dict[str, T] = {}
        self._now: dict[str, T] = {}

    def __call__(self, text: str) -> T:
        """Answer what the function says of a text."""
        found = self._now.get(text)
        if found is None:
            found = self._last.get(text)
            if found is None:
                found = self._function(text)
            self._now[text] = found
        return found

    def turn(self) -> None:
        """Begin the next answer: forget what the one before the last one had alone."""
        self._last, self._now = self._now, {}
