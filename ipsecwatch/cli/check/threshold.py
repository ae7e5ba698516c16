# SPDX-License-Identifier: MIT
"""Ranges of numbers, as monitoring plugins accept them for -w and -c.

Source: Monitoring Plugins Development Guidelines, "Threshold and Ranges".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

_RANGE: Final = re.compile(
    r"(?P<inside>@)?(?:(?P<low>~|-?\d+(?:\.\d+)?)?(?P<colon>:))?(?P<high>-?\d+(?:\.\d+)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A range of values, ``low`` and ``high`` included. Values outside of it cause an alert.

    If ``inside`` is True, values in the range do, and those outside don't.
    """

    text: str
    """The range as the user wrote it; performance data repeat it."""
    low: float
    high: float
    inside: bool = False

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Return the range in a text such as ``10:20``.

        ``10`` and ``:10`` mean 0 to 10, ``10:`` 10 or more, ``~:10`` 10 or less. ``@`` in front
        sets ``inside``. Numbers may be negative, or have a fraction. Raise ValueError for any other
        text, or if the range ends before it begins.
        """
        found = _RANGE.fullmatch(text)
        if found is None or not (found["colon"] or found["high"]):
            raise ValueError(f"not a range: {text}")
        if found["colon"] and not (found["low"] or found["high"]):
            raise ValueError(f"not a range: {text}")
        low = -math.inf if found["low"] == "~" else float(found["low"] or 0)
        high = float(found["high"]) if found["high"] else math.inf
        if low > high:
            raise ValueError(f"the range ends before it begins: {text}")
        return cls(text, low, high, inside=found["inside"] is not None)

    def alerts(self, value: float) -> bool:
        """Return whether ``value`` causes an alert: it is outside of the range (or ``inside``)."""
        return (self.low <= value <= self.high) is self.inside
