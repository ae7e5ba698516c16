# SPDX-License-Identifier: MIT
"""A waker that reads pluto's lines in the journal, and those of systemd about pluto's unit.

Any process can log as "pluto". So only the fields that journald itself adds are trusted. They must
say that the process is root's and runs in pluto's unit, or that it is the pluto that has answered
at our socket (witnesses.py).

The first line after a pause is read 0.25 s late, because journald waits for so long before it
notifies readers (POST_CHANGE_TIMER_INTERVAL_USEC in its sources, all releases).

The journal's files may be damaged, and a reader raises various errors then. All of them are handled
here: an entry that can't be read is skipped, and a reader that can't get on is closed and opened
again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.libsystemd.binding import binding
from ipsecwatch.pluto.wakers import log_stamp
from ipsecwatch.pluto.wakers.journal_entry import JournalEntry
from ipsecwatch.pluto.wakers.log_waker import DEBUGGING, LogWaker
from ipsecwatch.pluto.wakers.witnesses import Witnesses, is_pluto
from ipsecwatch.report import JOURNALD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ipsecwatch.libsystemd.journal_reader import JournalReader
    from ipsecwatch.report import LogLine

logger = logging.getLogger(__name__)

BEHIND: Final = 10.0
"""Seconds for which reading may go on without reaching the journal's end. Then the rest is
skipped."""

MAX_DAMAGED: Final = 1000
"""After so many entries in a row that can't be read, the reader is closed and opened again."""

REOPEN: Final = (1.0, 5.0, 30.0, 60.0)
"""Seconds to wait before a reader that failed is opened again, at each attempt; the last one is
repeated."""

DROPPED: Final = "a596d6fe7bfa4994828e72309e95d61e"
"""The message id of journald's entry about lines that it dropped (RateLimitBurst=)."""


class PlutoLog(LogWaker):
    """Reads pluto's lines in the journal: new ones, and at first those since a given time."""

    def __init__(
        self,
        unit: str,
        on_line: Callable[[LogLine], bool],
        wake: Callable[[], None],
        path: Path | None = None,
        match: Iterable[str] = (),
    ) -> None:
        """Prepare to read the journal; open() begins to read.

        ``path``: the folder of the journal's files; None: this machine's system journal. ``match``:
        NAME=value of the fields that pluto's entries have, used instead of its unit. config.py has
        checked that these fields can be trusted in entries that root has sent.
        """
        super().__init__(on_line, wake)
        self._unit = unit
        self._match = [(name, value) for name, _, value in (m.partition("=") for m in match)]
        self._path = path
        self._reader: JournalReader | None = None
        self._witnesses = Witnesses()
        self._behind_since: float | None = None
        """Since when (monotonic) each turn of reading has ended before the journal's end; None: the
        last one reached the end, or there was none."""
        self._reopening: asyncio.Handle | None = None
        self._pauses = Backoff(REOPEN)
        self._damaged = 0
        """How many entries in a row, up to the last one, couldn't be read."""
        self._told_damaged = self._told_behind = False  # logged once as a warning

    @property
    def reads(self) -> bool:
        """Whether a reader of the journal is open."""
        return self._reader is not None

    def open(self, since: float | None = None) -> bool:
        """Start to read lines that were logged at ``since`` (wall clock) or later; None: new ones.

        Return False if libsystemd or the journal can't be used. Then this is tried again after each
        of REOPEN, and reads only the lines that are new by then.
        """
        try:
            self._reader = self._opened(since)
        except Exception as e:  # libsystemd isn't there, or what reading a damaged journal raises
            logger.info("pluto's log can't be read (%s); reasons will be fewer", e)
            self._reopen_later()
            return False
        if since is not None:
            self._come_back()
        return True

    def answered(self, pids: Iterable[int]) -> None:
        """Record the process ids with which our pluto may log; empty: they aren't known.

        Lines of these processes that were held until now are passed to ``on_line``. ``wake`` isn't
        called: the answer of pluto that is at hand is newer than these lines.
        """
        for line in self._witnesses.answered(pids):
            self._note(line)

    def close(self) -> None:
        """Stop reading."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        self._drop_reader()

    def _opened(self, since: float | None) -> JournalReader:
        """Return a reader of entries of ``since`` (wall clock) or later; None: of new entries.

        The event loop calls _ready() when there are new entries. The reader's selection of those
        that may be pluto's is rough: _line() checks each entry. Raise whatever the reader raises.
        """
        reader = binding().reader(self._path)
        try:
            if self._match:
                reader.add_match(_UID="0", **dict(self._match))
            else:
                reader.add_match(_SYSTEMD_UNIT=self._unit, _UID="0")
                reader.add_disjunction()
                reader.add_match(UNIT=self._unit, _PID="1", _UID="0")
            reader.add_disjunction()
            reader.add_match(_COMM="pluto", _UID="0")
            reader.add_disjunction()
            reader.add_match(MESSAGE_ID=DROPPED, _TRANSPORT="driver", _UID="0")
            if since is None:
                _seek_end(reader)
            else:
                reader.seek_realtime(since)
            asyncio.get_running_loop().add_reader(reader.fileno(), self.guard, self._ready)
        except BaseException:
            reader.close()
            raise
        return reader

    def _drop_reader(self) -> None:
        self._read_no_more()
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader.fileno())
            self._reader.close()
            self._reader = None

    def _give_up(self, why: Exception) -> None:
        """Close the reader, because it failed with ``why``, and schedule _reopen()."""
        level = logging.DEBUG if self._pauses.failures else logging.WARNING
        logger.log(level, "pluto's log can't be read any more (%s); trying again", why)
        self._drop_reader()
        self._damaged = 0
        self._reopen_later()

    def _reopen_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._reopening = loop.call_later(self._pauses.next(), self._reopen)

    def _reopen(self) -> None:
        """Open a reader for new entries. If that fails, schedule another attempt."""
        self._reopening = None
        try:
            self._reader = self._opened(None)
        except Exception as e:
            logger.debug("pluto's log can't be opened again: %s", e)
            self._reopen_later()

    def _ready(self) -> None:
        """Read for one turn if the journal has changed, unless reading has to pause (PEACE)."""
        if self._process() and time.monotonic() >= self._rest_until:
            self._again()

    def _process(self) -> bool:
        """Make the reader notice changes in the journal's files. Return whether there were any.

        False as well if no reader is open. If this fails, close the reader and return False.
        """
        if self._reader is None:
            return False
        try:
            return self._reader.process()
        except Exception as e:  # its descriptor would stay readable, and wake us without end
            self._give_up(e)
            return False

    def _notice(self) -> None:
        self._process()

    def _read(self) -> bool:
        """Read lines for one turn. Return whether there may be more.

        If the journal's end hasn't been reached for BEHIND seconds, skip to the end first.
        """
        begin = time.monotonic()
        if self._reader is None:
            return False
        if self._behind_since is not None and begin - self._behind_since > BEHIND:
            self._leave_out(self._reader)
        more = super()._read()
        if not more:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = begin
        return more

    def _read_until(self, end: float) -> bool:
        """Read entries until there are no more, or until ``end`` (monotonic). Pass on their lines.

        Return whether there may be more entries. Entries that can't be read are skipped.
        """
        while self._reader is not None:
            try:
                entry = JournalEntry.next(self._reader)
                line = None if entry is None else self._line(entry)
            except Exception as e:  # KeyError for a field that isn't there, OSError, and others
                self._skip(e)
            else:
                if entry is None:
                    return False
                self._add_entry(line)
            if time.monotonic() >= end:
                return self._reader is not None
        return False

    def _leave_out(self, reader: JournalReader) -> None:
        """Skip to the journal's end, because pluto logs faster than we can read."""
        self._behind_since = None
        level = logging.DEBUG if self._told_behind else logging.WARNING
        logger.log(level, "pluto logs faster than can be read; lines were left out")
        self._told_behind = True
        _seek_end(reader)

    def _add_entry(self, line: LogLine | None) -> None:
        """Record that an entry could be read, and pass on its line. None: it has no line for us."""
        self._damaged = 0
        self._pauses.reset()
        if line is not None:
            self._pass_on(line)

    def _line(self, entry: JournalEntry) -> LogLine | None:
        """Return the line of an entry; None: it isn't believed (yet), or is for pluto's developers.

        A line of a pluto that hasn't answered is held, in case that one turns out to be ours.
        """
        entry = _without_stamp(entry)
        if entry.message.startswith(DEBUGGING):
            return None
        if self._match and all(entry.field(name) == value for name, value in self._match):
            return replace(entry.line(), identifier="pluto")  # a driver logs the container's name
        by_unit = not self._match and entry.field("_SYSTEMD_UNIT") == self._unit
        line = entry.line()
        if not is_pluto(entry.field("_EXE")):
            if by_unit or (not self._match and entry.field("UNIT") == self._unit):
                return line  # systemd's, or of whatever else the unit runs
            return replace(line, identifier=JOURNALD) if self._reports_dropped(entry) else None
        pid = int(entry.field("_PID") or 0)
        if self._witnesses.believes(pid, by_unit=by_unit):
            return line
        self._witnesses.hold(line, pid, by_unit=by_unit)
        return None

    def _reports_dropped(self, entry: JournalEntry) -> bool:
        """Return whether an entry is journald's message that it has dropped lines of our pluto."""
        if entry.field("MESSAGE_ID") != DROPPED or entry.field("_TRANSPORT") != "driver":
            return False
        pid = int(entry.field("OBJECT_PID") or 0)
        unit = dict(self._match).get("_SYSTEMD_UNIT") if self._match else self._unit
        by_unit = entry.field("OBJECT_SYSTEMD_UNIT") == unit
        return by_unit or self._witnesses.believes(pid, by_unit=False)

    def _skip(self, why: Exception) -> None:
        """Count an entry that can't be read. The reader moves past it at its next call of next().

        After MAX_DAMAGED such entries in a row, close the reader and open another one later.
        """
        self._damaged += 1
        level = logging.DEBUG if self._told_damaged else logging.INFO
        logger.log(level, "the journal has entries that can't be read (%s): skipped", why)
        self._told_damaged = True
        if self._damaged >= MAX_DAMAGED:
            self._give_up(why)


def _without_stamp(entry: JournalEntry) -> JournalEntry:
    """Return an entry without the time stamp that pluto puts before lines on standard error."""
    stamp = log_stamp.STAMP.match(entry.message)
    return entry if stamp is None else replace(entry, message=entry.message[stamp.end() :])


def _seek_end(reader: JournalReader) -> None:
    """Move a reader to the journal's last entry, so that next() returns only newer ones."""
    reader.seek_tail()
    # Where the last entry is damaged, previous() raises, but has moved to it.
    with suppress(Exception):
        if not reader.previous():
            # The journal is empty. Left at the tail, all but one of the first new entries would
            # be skipped.
            reader.seek_head()
