# SPDX-License-Identifier: MIT
"""An entry of the journal, whose fields are read only when they are needed.

A pluto that debugs logs thousands of lines a second. The first two characters of a line are enough
to skip it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.report import LogLine

if TYPE_CHECKING:
    from ipsecwatch.libsystemd.journal_reader import JournalReader

MAX_LINE: Final = 4096
"""How many characters of a line are kept; pluto cuts its own lines at 1,024."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The entry at which a reader is. Its methods can be called until the reader moves on."""

    reader: JournalReader
    message: bytes

    @classmethod
    def next(cls, reader: JournalReader) -> JournalEntry | None:
        """Move a reader to the next entry, and return that; None: there is none (yet).

        Raise KeyError if the entry has no message, OSError if the journal is damaged.
        """
        return cls(reader, reader.field("MESSAGE")) if reader.next() else None

    def line(self) -> LogLine:
        """Return the entry as a LogLine, whose time is that at which journald received it.

        Its text ends at MAX_LINE characters, or before a NUL. Raise OSError if the journal is
        damaged.
        """
        # pluto logs no NUL; in a damaged file other fields may follow one.
        text = _text(self.message)[:MAX_LINE].partition("\0")[0]
        return LogLine(self.reader.realtime() / 1e6, text, self.field("SYSLOG_IDENTIFIER"))

    def field(self, name: str) -> str:
        """Return a field's value; "": it has none. Raise OSError if the journal is damaged."""
        try:
            return _text(self.reader.field(name))
        except KeyError:
            return ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
