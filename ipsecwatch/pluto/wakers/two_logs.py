# SPDX-License-Identifier: MIT
"""Recognise a line that pluto writes to both the journal and a file, so that it counts once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipsecwatch.report import LogLine

MAX_KEPT: Final = 500
"""Lines of each log that are remembered until the other log has them too."""
APART: Final = 5.0
"""Seconds by which the times of the two may differ."""


class TwoLogs:
    """Remembers the lines that have come from one log and not yet from the other."""

    def __init__(self) -> None:
        self._file: deque[LogLine] = deque(maxlen=MAX_KEPT)
        self._journal: deque[LogLine] = deque(maxlen=MAX_KEPT)

    def is_echo(self, line: LogLine, *, from_file: bool) -> bool:
        """Return whether the same line came from the other log already. If not, remember it.

        It is the same if the text is, and the times differ by at most APART seconds. Each line of
        the other log counts for one line only.
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
