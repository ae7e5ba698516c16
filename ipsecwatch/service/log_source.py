# SPDX-License-Identifier: MIT
"""Find out where pluto's log is read from, if it is: without it, many reasons aren't known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import LogState
from ipsecwatch.tracking.log_evidence import CUT_FOR

if TYPE_CHECKING:
    from ipsecwatch.report import Report


class LogSource:
    """Decides where the log is read from, by its lines and by new SAs in pluto's reports."""

    def __init__(self) -> None:
        self._from_file = False
        self._heard = 0
        """The number of pluto's lines so far."""
        self._silent = False
        """There were new SAs, but no line about them was read."""
        self._cut_at = float("-inf")
        self._serial: int | None = None
        """The highest serial of an SA in the last report; None: there was no report yet."""
        self._heard_then = 0
        """The number of lines at the report before the one with a new SA."""
        self._waits = False
        """The last report had a new SA; journald may not have delivered the lines about it yet."""
        self._heard_last = 0

    def hear(self, *, from_file: bool) -> None:
        """Record that a line of pluto was read: ``from_file``, or else from the journal."""
        self._heard += 1
        self._from_file, self._silent = from_file, False

    def cut(self, at: float) -> None:
        """Record that journald dropped lines of pluto at this time (wall clock)."""
        self._cut_at = at

    def compare(self, report: Report) -> None:
        """Record a report, to find out whether the log can be read at all.

        pluto logs something about each new SA. So the log isn't read if no line came between the
        report before the one that first has a new SA, and the report after that one: lines may come
        late.
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

        ``journal``, ``file``: whether each of them can be read. CUT for CUT_FOR seconds after
        journald dropped lines, if the journal can be read; NONE if neither can be read, or new SAs
        came without a line. If both can be read, the last line shows which it is; before the first
        line, FILE.
        """
        if journal and 0 <= now - self._cut_at < CUT_FOR:
            return LogState.CUT
        if self._silent or not (journal or file):
            return LogState.NONE
        from_file = self._from_file if self._heard and journal else file
        return LogState.FILE if file and from_file else LogState.JOURNAL
