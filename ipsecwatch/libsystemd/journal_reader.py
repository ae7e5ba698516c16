# SPDX-License-Identifier: MIT
"""What a reader of the journal can do, whichever way libsystemd is called (binding.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class JournalReader(Protocol):
    """Moves from entry to entry of the journal, and reads single fields of the entry where it is.

    Each of the journal's files stays open until journald deletes the file. Each time that journald
    is killed, it begins a new file beside the old one, until there are SystemMaxFiles= (100) of
    them: so many files may be open here.

    Every method may raise OSError: the journal's files may be damaged.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the journal's files in the folder ``path``; None: this machine's system journal."""

    def close(self) -> None:
        """Close all files of the journal. The reader can't be used any more then."""

    def fileno(self) -> int:
        """Return a file descriptor for the event loop to watch.

        When it becomes readable, the journal's files have changed, and process() should be called.
        """

    def process(self) -> bool:
        """Notice changes of the journal's files, so that next() finds new entries.

        Return True if entries were added, or files were added or removed, since the last call;
        else False. The reader doesn't move.
        """

    def add_match(self, **fields: str) -> None:
        """Select only entries that have all these fields with these values.

        Calls add up. If they give several values for one field, an entry needs only one of them.
        """

    def add_disjunction(self) -> None:
        """Begin another set of matches, to which add_match() adds from now on.

        An entry is selected if it fits at least one set.
        """

    def seek_head(self) -> None:
        """Move in front of the first entry, to which next() then moves."""

    def seek_tail(self) -> None:
        """Move behind the last entry, to which previous() then moves."""

    def seek_realtime(self, at: float) -> None:
        """Move in front of the first entry that journald received at the time ``at`` or later.

        ``at``: seconds since the epoch. next() then moves to that entry.
        """

    def next(self) -> bool:
        """Move to the next selected entry. Return False if there is none (yet)."""

    def previous(self) -> bool:
        """Move to the previous selected entry. Return False if there is none."""

    def field(self, name: str) -> bytes:
        """Return the value of a field of the current entry.

        Raise KeyError if the entry has no such field. If it has several, return the value of one.
        """

    def realtime(self) -> int:
        """Return when journald received the current entry: wall clock, in µs since the epoch."""

    def monotonic(self) -> tuple[int, str]:
        """Return when journald received the current entry, in monotonic µs, and the boot's id.

        The monotonic clock is that of this boot. The id is written as in the field _BOOT_ID: 32
        hexadecimal digits.
        """
