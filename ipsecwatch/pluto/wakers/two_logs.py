# SPDX-License-Identifier: MIT
"""Recognise a line that pluto writes to both the journal and a file, so that it counts once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.report import LogLine

MAX_KEPT: Final = 500
"""How many lines of each log are remembered, in case the other log has them later."""
APART: Final = 5.0
"""Seconds by which the times of a line in the two logs may differ."""


class TwoLogs:
    """Remembers the lines that one log has had, and the other one not yet."""

    def __init__(self) -> None:
        self._file: deque[LogLine] = deque(maxlen=MAX_KEPT)
        self._journal: deque[LogLine] = deque(maxlen=MAX_KEPT)

    def is_echo(self, line: LogLine, *, from_file: bool) -> bool:
        """Return whether the other log has had the same line before. If not, remember the line.

        It is the same if its text is the same, and the times differ by APART seconds at most. A
        line of the other log counts for one line of this log only.
        """
        own, other = self._file, self._journal
        if not from_file:
            own, other = other, own
        for said in other:
            if said.text == line.text and abs(said.at - line.at) <= APART:
                other.remove(said)
                return True
        own.append(line)
        return False
