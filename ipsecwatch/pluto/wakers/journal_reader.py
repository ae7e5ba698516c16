# SPDX-License-Identifier: MIT
"""The journal's entries, read for as little as can be.

systemd-python's own ``get_next()`` fetches and converts some twenty fields of an entry (17 µs;
1.7 µs for the message alone). A pluto that debugs logs thousands of lines a second, of which
nothing but the first two characters matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from systemd import journal

from ipsecwatch.report import LogLine

MAX_LINE: Final = 4096
"""Characters of a line that are kept; pluto cuts its own at 1,024."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The entry that a reader has come to last; it can be asked for more until it goes on."""

    reader: JournalReader
    message: bytes

    def line(self) -> LogLine:
        """Return it as a line. Raise OSError where the journal is damaged."""
        # pluto logs no NUL; in a damaged file other fields may follow one.
        text = _text(self.message)[:MAX_LINE].partition("\0")[0]
        return LogLine(self.reader.realtime() / 1e6, text, self.field("SYSLOG_IDENTIFIER"))

    def field(self, name: str) -> str:
        """Return a field; "" where there is none. Raise OSError where the journal is damaged."""
        try:
            return _text(self.reader.fetch(name))
        except KeyError:
            return ""


class JournalReader(journal.Reader):  # type: ignore[misc] # it has no annotations
    """A reader that goes from entry to entry and fetches single fields."""

    def read_next(self) -> JournalEntry | None:
        """Go to the next entry; None at the end. Raise KeyError, OSError for a damaged one."""
        return JournalEntry(self, self.fetch("MESSAGE")) if self._next(1) else None

    def go_back(self) -> bool:
        """Go to the entry before; False where there is none."""
        return bool(self._previous(1))

    def fetch(self, name: str) -> bytes:
        """Return a field of the entry. Raise KeyError where it has none, OSError if damaged."""
        value: bytes = self._get(name)
        return value

    def realtime(self) -> int:
        """Return when the entry was logged, in microseconds since the epoch."""
        at: int = self._get_realtime()
        return at


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
