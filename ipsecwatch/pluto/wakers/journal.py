# SPDX-License-Identifier: MIT
"""pluto's lines in the journal, and systemd's about its unit: waker and witness.

Anybody can log as "pluto"; only what journald itself vouches for is believed: the unit a process
runs in, and that it is root's.

After a pause the first line is heard 0.25 s late: journald collects what is written for so long
before it lets readers know (POST_CHANGE_TIMER_INTERVAL_USEC in its sources, all releases).

Files of the journal may be damaged. systemd-python raises various errors then, whatever it meets;
none of them gets out of here. An entry that can't be read is skipped, and a reader that doesn't
get on is opened anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from systemd import journal

from ipsecwatch.backoff import Backoff
from ipsecwatch.pluto.wakers.waker import Waker
from ipsecwatch.report import LogLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

TURN: Final = 0.01
"""Seconds of reading before others get their turn."""

PATIENCE: Final = 0.5
"""Seconds that settle() reads at most, while pluto may log faster than we read."""

MAX_LINE: Final = 4096
"""Characters of a line that are kept; pluto cuts its own at 1,024."""

MAX_DAMAGED: Final = 1000
"""Entries in a row that can't be read, before the reader is taken for one that doesn't get on."""

REOPEN: Final = (1.0, 5.0, 30.0, 60.0)
"""Seconds until a reader that failed is opened anew, the last one for ever."""

_FIELDS: Final = ("MESSAGE", "SYSLOG_IDENTIFIER")


class PlutoLog(Waker):
    """Reads on from where the journal ends when it is opened, or from an earlier moment.

    ``hear`` is called with each line, then ``wake`` once for all that came together.
    """

    def __init__(
        self,
        unit: str,
        hear: Callable[[LogLine], None],
        wake: Callable[[], None],
        path: Path | None = None,
    ) -> None:
        super().__init__()
        self._unit = unit
        self._hear = hear
        self._wake = wake
        self._path = path
        self._reader: journal.Reader | None = None
        self._more: asyncio.Handle | None = None
        self._reopening: asyncio.Handle | None = None
        self._pauses = Backoff(REOPEN)
        self._damaged = 0
        """Entries in a row that couldn't be read."""
        self._told_damaged = False
        self._last = 0.0
        self.count = 0
        """Lines so far. None at all: the unit may log elsewhere."""

    @property
    def last(self) -> float | None:
        """When the last line was logged that was read, on the wall clock; None: there was none."""
        return self._last or None

    def open(self, since: float | None = None) -> bool:
        """Begin to read, with what was logged ``since`` (wall clock) if that is told.

        False where there is no journal, or none that we may read; that is tried again now and then.
        """
        try:
            self._reader = self._opened(since)
        except Exception as e:  # systemd-python's own, and what reading a damaged journal raises
            logger.info("pluto's log can't be read (%s); reasons will be fewer", e)
            self._reopen_later()
            return False
        if since is not None:
            self._come_back()
        return True

    def close(self) -> None:
        """Read no more."""
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None
        self._drop_reader()

    def _opened(self, since: float | None) -> journal.Reader:
        path = None if self._path is None else str(self._path)
        flags = journal.SYSTEM_ONLY | journal.LOCAL_ONLY if path is None else 0
        reader = journal.Reader(flags=flags or None, path=path)
        try:
            reader.add_match(_SYSTEMD_UNIT=self._unit, _UID="0")
            reader.add_disjunction()
            reader.add_match(UNIT=self._unit, _PID="1", _UID="0")
            if since is None:
                reader.seek_tail()
                # Where the last entry is damaged it has been gone to all the same.
                with suppress(Exception):
                    reader.get_previous()
            else:
                reader.seek_realtime(since)
            asyncio.get_running_loop().add_reader(reader.fileno(), self.guard, self._ready)
        except BaseException:
            reader.close()
            raise
        return reader

    def _drop_reader(self) -> None:
        if self._more is not None:
            self._more.cancel()
            self._more = None
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader.fileno())
            self._reader.close()
            self._reader = None

    def _give_up(self, why: Exception) -> None:
        """Drop a reader that doesn't get on, and open another one later, at the journal's end."""
        level = logging.DEBUG if self._pauses.failures else logging.WARNING
        logger.log(level, "pluto's log can't be read any more (%s); trying again", why)
        self._drop_reader()
        self._damaged = 0
        self._reopen_later()

    def _reopen_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._reopening = loop.call_later(self._pauses.next(), self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        try:
            self._reader = self._opened(None)
        except Exception as e:
            logger.debug("pluto's log can't be opened again: %s", e)
            self._reopen_later()

    async def settle(self, since: float) -> None:
        """Read what is there now, so that a reason is known before its loss is told.

        Wakes where something was logged after ``since`` (wall clock): no answer tells of that yet.
        """
        try:
            await self._settle(since)
        except Exception as e:
            self.close()
            self.on_error(e)

    async def _settle(self, since: float) -> None:
        if self._reader is None:
            return
        self._process()
        count, end = self.count, time.monotonic() + PATIENCE
        while more := self._read():
            if time.monotonic() >= end:
                break
            await asyncio.sleep(0)
        if self.count > count and self._last > since:
            self._wake()
        if more:
            self._come_back()

    def _ready(self) -> None:
        if self._process():
            self._again()

    def _process(self) -> bool:
        """Learn what has changed in the journal's files; says whether anything has."""
        if self._reader is None:
            return False
        try:
            return bool(self._reader.process() != journal.NOP)
        except Exception as e:  # its descriptor would stay readable, and wake us without end
            self._give_up(e)
            return False

    def _again(self) -> None:
        self._more = None
        count = self.count
        if self._read():
            self._come_back()
        if self.count > count:
            self._wake()

    def _come_back(self) -> None:
        if self._more is None:
            self._more = asyncio.get_running_loop().call_soon(self.guard, self._again)

    def _read(self) -> bool:
        """Read lines for one turn; says whether there may be more."""
        end = time.monotonic() + TURN
        ended = False
        while self._reader is not None:
            try:
                entry = self._reader.get_next()
                line = _line(entry) if entry else None
            except Exception as e:  # UnicodeDecodeError for a field's name, OSError, and others
                self._skip(e)
                ended = False
            else:
                # An entry of which no field can be read looks like the end, but only once.
                if line is None and ended:
                    return False
                ended = line is None
                if line is not None:
                    self._take(line)
            if time.monotonic() >= end:
                return self._reader is not None
        return False

    def _take(self, line: LogLine) -> None:
        self._damaged = 0
        self._pauses.reset()
        self.count, self._last = self.count + 1, line.at
        self._hear(line)

    def _skip(self, why: Exception) -> None:
        """Count an entry that can't be read: the reader has gone to it, and next goes behind it."""
        self._damaged += 1
        level = logging.DEBUG if self._told_damaged else logging.INFO
        logger.log(level, "the journal has entries that can't be read (%s): skipped", why)
        self._told_damaged = True
        if self._damaged >= MAX_DAMAGED:
            self._give_up(why)


def _line(entry: dict[str, object]) -> LogLine:
    """Return an entry as a line. Raise KeyError or AttributeError where its moment is missing."""
    text, identifier = (_text(entry.get(name)) for name in _FIELDS)
    at = entry["__REALTIME_TIMESTAMP"]
    # pluto logs no NUL; in a damaged file other fields may follow one.
    text = text[:MAX_LINE].partition("\0")[0]
    return LogLine(at.timestamp(), text, identifier)  # type: ignore[attr-defined]


def _text(value: object) -> str:
    """Take a field as text; journald hands binary for what is no UTF-8."""
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""
