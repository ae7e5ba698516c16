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
    """A range of values, both ends included: values outside of it cause an alert.

    With ``inside``, those in it do.
    """

    text: str
    """The range as it was given, which performance data repeat."""
    low: float
    high: float
    inside: bool = False

    @classmethod
    def parse(cls, text: str) -> Threshold:
        """Return the range in a text like ``10:20``; numbers may be negative, or have a fraction.

        ``10`` and ``:10`` are 0 to 10; ``10:`` has no upper and ``~:10`` no lower end. A leading
        ``@`` means ``inside``. Raise ValueError for a text of no such form, and for a range that
        ends before it begins.
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
        """Return whether a value causes an alert."""
        return (self.low <= value <= self.high) is self.inside
