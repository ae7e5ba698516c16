# SPDX-License-Identifier: MIT
"""The interface of a reader of the journal, which both bindings of libsystemd have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class JournalReader(Protocol):
    """Moves from entry to entry of the journal, and fetches single fields.

    It keeps each of the journal's files open until journald deletes it. Each time that journald is
    killed, one more file is left, up to SystemMaxFiles= (100) of them.

    Every method may raise OSError: the journal's files may be damaged.
    """

    def __init__(self, path: Path | None) -> None:
        """Open the journal's files in a folder; None: the system journal of this machine."""

    def close(self) -> None:
        """Close all files."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when process() has something to do."""

    def process(self) -> bool:
        """Read what has changed in the journal's files. Return whether anything has."""

    def add_match(self, **fields: str) -> None:
        """Select only entries that have all these fields with these values.

        If several values are given for one name, by several calls, one of them is enough.
        """

    def add_disjunction(self) -> None:
        """Select also entries that fit the matches added after this call (logical or)."""

    def seek_head(self) -> None:
        """Move in front of the first entry."""

    def seek_tail(self) -> None:
        """Move behind the last entry."""

    def seek_realtime(self, at: float) -> None:
        """Move in front of the first entry from this moment on, in seconds since the epoch."""

    def next(self) -> bool:
        """Move to the next entry. Return False at the end."""

    def previous(self) -> bool:
        """Move to the previous entry. Return False if there is none."""

    def field(self, name: str) -> bytes:
        """Return a field's value in the current entry. Raise KeyError if it has no such field."""

    def realtime(self) -> int:
        """Return when journald received the current entry, in microseconds since the epoch."""

    def monotonic(self) -> tuple[int, str]:
        """Return the time of the current entry, in monotonic microseconds, and its boot's id.

        The id is written as in the field _BOOT_ID: 32 hexadecimal digits.
        """
