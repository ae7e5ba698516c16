# SPDX-License-Identifier: MIT
"""Where pluto's log is read from, if anywhere: without it reasons are guesses from its states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import LogState
from ipsecwatch.tracking.log_evidence import CUT_FOR

if TYPE_CHECKING:
    from ipsecwatch.report import Report


class LogSource:
    """Concludes from what is heard where the log comes from."""

    def __init__(self) -> None:
        self._from_file = False
        self._heard = 0
        """Lines of pluto's so far."""
        self._silent = False
        """SAs came, and nothing was heard about it."""
        self._cut_at = float("-inf")
        self._serial: int | None = None
        """The highest one of the last report."""
        self._heard_then = 0
        """How many lines had been heard at the report before a serial rose."""
        self._waits = False
        """A serial rose at the last report; journald may still be passing on what was said."""
        self._heard_last = 0

    def hear(self, *, from_file: bool) -> None:
        """Take note of a line of pluto's."""
        self._heard += 1
        self._from_file, self._silent = from_file, False

    def cut(self, at: float) -> None:
        """Take note that journald dropped lines of pluto's (wall clock)."""
        self._cut_at = at

    def compare(self, report: Report) -> None:
        """Take note of a report: SAs that are new are something that pluto logs."""
        if self._waits:
            self._silent = self._heard == self._heard_then
            self._waits = False
        serial = max((s.serial for s in report.states), default=self._serial or 0)
        if self._serial is not None and serial > self._serial:
            self._waits, self._heard_then = True, self._heard_last
        self._serial, self._heard_last = serial, self._heard

    def state(self, now: float, *, journal: bool, file: bool) -> LogState:
        """Say how it is (wall clock): ``journal``, ``file`` say whether each can be read."""
        if journal and 0 <= now - self._cut_at < CUT_FOR:
            return LogState.CUT
        if self._silent or not (journal or file):
            return LogState.NONE
        from_file = self._from_file if self._heard and journal else file
        return LogState.FILE if file and from_file else LogState.JOURNAL
