# SPDX-License-Identifier: MIT
"""pluto's lines in the journal, and systemd's about its unit: waker and witness.

Anybody can log as "pluto"; only what journald itself vouches for is believed: the unit a process
runs in, and that it is root's.

After a pause the first line is heard 0.25 s late: journald collects what is written for so long
before it lets readers know (POST_CHANGE_TIMER_INTERVAL_USEC in its sources, all releases).
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from systemd import journal

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
        self._last = 0.0
        self.count = 0
        """Lines so far. None at all: the unit may log elsewhere."""

    @property
    def last(self) -> float | None:
        """When the last line was logged that was read, on the wall clock; None: there was none."""
        return self._last or None

    def open(self, since: float | None = None) -> bool:
        """Begin to read, with what was logged ``since`` (wall clock) if that is told.

        False where there is no journal, or none that we may read.
        """
        try:
            path = None if self._path is None else str(self._path)
            flags = journal.SYSTEM_ONLY | journal.LOCAL_ONLY if path is None else 0
            reader = journal.Reader(flags=flags or None, path=path)
            reader.add_match(_SYSTEMD_UNIT=self._unit, _UID="0")
            reader.add_disjunction()
            reader.add_match(UNIT=self._unit, _PID="1", _UID="0")
            if since is None:
                reader.seek_tail()
                reader.get_previous()
            else:
                reader.seek_realtime(since)
            loop = asyncio.get_running_loop()
            loop.add_reader(reader.fileno(), self.guard, self._ready)
        except (OSError, ValueError) as e:
            logger.info("pluto's log can't be read (%s); reasons will be fewer", e)
            return False
        self._reader = reader
        if since is not None:
            self._come_back()
        return True

    def close(self) -> None:
        """Read no more."""
        if self._more is not None:
            self._more.cancel()
            self._more = None
        if self._reader is not None:
            asyncio.get_running_loop().remove_reader(self._reader.fileno())
            self._reader.close()
            self._reader = None

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
        self._reader.process()
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
        if self._reader is not None and self._reader.process() != journal.NOP:
            self._again()

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
        while self._reader is not None:
            try:
                entry = self._reader.get_next()
            except OSError as e:  # a rotated file that is gone, a damaged entry
                logger.debug("the journal skipped: %s", e)
                return False
            if not entry:
                return False
            line = _line(entry)
            self.count, self._last = self.count + 1, line.at
            self._hear(line)
            if time.monotonic() >= end:
                return True
        return False


def _line(entry: dict[str, object]) -> LogLine:
    text, identifier = (_text(entry.get(name)) for name in _FIELDS)
    at = entry["__REALTIME_TIMESTAMP"]
    return LogLine(at.timestamp(), text[:MAX_LINE], identifier)  # type: ignore[attr-defined]


def _text(value: object) -> str:
    """Take a field as text; journald hands binary for what is no UTF-8."""
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value if isinstance(value, str) else ""
