# SPDX-License-Identifier: MIT
"""Find out whether and from where pluto's log is read: without it, many reasons aren't known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import LogState
from ipsecwatch.tracking.log_evidence import CUT_FOR

if TYPE_CHECKING:
    from ipsecwatch.report import Report


class LogSource:
    """Decides where pluto's log is read from, by the lines that come and by new SAs in reports.

    If new SAs come without any line about them, the log isn't read.
    """

    def __init__(self) -> None:
        self._from_file = False
        self._lines = 0
        """The number of lines of pluto's log that were read so far."""
        self._silent = False
        """Whether a report had a new SA, and no line has been read since shortly before that."""
        self._cut_at = float("-inf")
        self._serial: int | None = None
        """The highest serial of an SA in the last report that had SAs; 0: none had. None: there was
        no report yet."""
        self._lines_then = 0
        """The value of ``_lines`` at the report before the last one that had a new SA."""
        self._waits = False
        """Whether the last report had a new SA. journald may not have delivered the lines about it
        yet, so that the next report decides."""
        self._lines_last = 0

    def count_line(self, *, from_file: bool) -> None:
        """Record that a line of pluto was read.

        ``from_file``: it came from pluto's log file, else from the journal.
        """
        self._lines += 1
        self._from_file, self._silent = from_file, False

    def cut(self, at: float) -> None:
        """Record that journald dropped lines of pluto, at the time ``at`` (wall clock)."""
        self._cut_at = at

    def compare(self, report: Report) -> None:
        """Compare a report with the last one, to find out whether pluto's log is read at all.

        pluto logs something about each new SA. If one report has a new SA, and no line was read
        from the report before until the report after it, then the log isn't read. (The report after
        is waited for because lines may come late.)
        """
        if self._waits:
            self._silent = self._lines == self._lines_then
            self._waits = False
        serial = max((s.serial for s in report.states), default=self._serial or 0)
        if self._serial is not None and serial > self._serial:
            self._waits, self._lines_then = True, self._lines_last
        self._serial, self._lines_last = serial, self._lines

    def state(self, now: float, *, journal: bool, file: bool) -> LogState:
        """Return where pluto's log is read from, at the time ``now`` (wall clock).

        ``journal``, ``file``: whether the journal and pluto's log file can be read. The result is
        CUT for CUT_FOR seconds after journald dropped lines, if the journal can be read. Else it is
        NONE if neither can be read, or if new SAs came without a line. Else it is the one that can
        be read (JOURNAL or FILE). If both can, it is the one that the last line came from; before
        the first line, FILE.
        """
        if journal and 0 <= now - self._cut_at < CUT_FOR:
            return LogState.CUT
        if self._silent or not (journal or file):
            return LogState.NONE
        from_file = self._from_file if self._lines and journal else file
        return LogState.FILE if file and from_file else LogState.JOURNAL
