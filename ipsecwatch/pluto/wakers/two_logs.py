# SPDX-License-Identifier: MIT
"""What pluto writes into two logs at once is one line."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.report import LogLine

MAX_KEPT: Final = 500
"""Lines of each log of which the other one may bring the same."""
APART: Final = 5.0
"""Seconds between the two at most."""


class TwoLogs:
    """Knows which lines have come from one log, and not yet from the other."""

    def __init__(self) -> None:
        self._file: deque[LogLine] = deque(maxlen=MAX_KEPT)
        self._journal: deque[LogLine] = deque(maxlen=MAX_KEPT)

    def is_echo(self, line: LogLine, *, from_file: bool) -> bool:
        """Take note of a line; return whether the other log has brought it already."""
        own, other = self._file, self._journal
        if not from_file:
            own, other = other, own
        for said in other:
            if said.text == line.text and abs(said.at - line.at) <= APART:
                other.remove(said)
                return True
        own.append(line)
        return False
