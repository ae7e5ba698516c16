# SPDX-License-Identifier: MIT
"""Where pluto's log is read from, if anywhere: without it reasons are guesses from its states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import LogState
from ipsecwatch.tracking.log_evidence import CUT_FOR

if TYPE_CHECKING:
    from ipsecwatch.report import Report


class LogSource:
    """Concludes where the log is read from, by the lines and SAs that are seen."""

    def __init__(self) -> None:
        self._from_file = False
        self._heard = 0
        """The number of pluto's lines so far."""
        self._silent = False
        """There were new SAs, but no line was logged about them."""
        self._cut_at = float("-inf")
        self._serial: int | None = None
        """The highest serial of an SA in the last report."""
        self._heard_then = 0
        """The number of lines at the report before the one with a new SA."""
        self._waits = False
        """The last report had a new SA; journald may not have delivered the lines about it yet."""
        self._heard_last = 0

    def hear(self, *, from_file: bool) -> None:
        """Record that a line of pluto was read."""
        self._heard += 1
        self._from_file, self._silent = from_file, False

    def cut(self, at: float) -> None:
        """Record that journald dropped lines of pluto at this time (wall clock)."""
        self._cut_at = at

    def compare(self, report: Report) -> None:
        """Record a report, to find out whether the log is silent.

        pluto logs something about each new SA. So the log is silent if no line came between the
        report before the first one with a new SA and the report after that.
        """
        if self._waits:
            self._silent = self._heard == self._heard_then
            self._waits = False
        serial = max((s.serial for s in report.states), default=self._serial or 0)
        if self._serial is not None and serial > self._serial:
            self._waits, self._heard_then = True, self._heard_last
        self._serial, self._heard_last = serial, self._heard

    def state(self, now: float, *, journal: bool, file: bool) -> LogState:
        """Return where the log is read from, at ``now`` (wall clock).

        ``journal``, ``file``: whether each of them can be read.
        """
        if journal and 0 <= now - self._cut_at < CUT_FOR:
            return LogState.CUT
        if self._silent or not (journal or file):
            return LogState.NONE
        from_file = self._from_file if self._heard and journal else file
        return LogState.FILE if file and from_file else LogState.JOURNAL
