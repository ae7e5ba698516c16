# SPDX-License-Identifier: MIT
"""Call libsystemd through systemd-python, which has no type annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from systemd import journal
from systemd.daemon import notify as sd_notify

if TYPE_CHECKING:
    from pathlib import Path


class Reader(journal.Reader):  # type: ignore[misc] # it has no annotations
    """A JournalReader: see there for what its methods do.

    systemd-python's own ``get_next()`` isn't used: it fetches and converts some twenty fields of an
    entry (17 µs; 1.7 µs for the message alone), and fails with UnicodeDecodeError where the name of
    a field is damaged.
    """

    def __init__(self, path: Path | None) -> None:
        flags = journal.SYSTEM_ONLY | journal.LOCAL_ONLY if path is None else None
        super().__init__(flags=flags, path=None if path is None else str(path))

    def process(self) -> bool:
        """Notice changes of the journal's files. Return whether there were any."""
        return bool(super().process() != journal.NOP)

    def seek_realtime(self, at: float) -> None:
        """Move in front of the first entry received at ``at`` (epoch seconds) or later."""
        super().seek_realtime(float(at))  # it takes an int for microseconds

    def next(self) -> bool:
        """Move to the next selected entry. Return False if there is none (yet)."""
        return bool(self._next(1))

    def previous(self) -> bool:
        """Move to the previous selected entry. Return False if there is none."""
        return bool(self._previous(1))

    def field(self, name: str) -> bytes:
        """Return a field's value in the current entry. Raise KeyError if it has no such field."""
        value: bytes = self._get(name)
        return value

    def realtime(self) -> int:
        """Return when journald received the current entry: wall clock, in µs since the epoch."""
        at: int = self._get_realtime()
        return at

    def monotonic(self) -> tuple[int, str]:
        """Return when journald received the current entry, in monotonic µs, and the boot's id."""
        at, boot = self._get_monotonic()
        return at, boot.hex()


def notify(message: str) -> None:
    """Send systemd a message about the service's state (sd_notify(3)).

    Do nothing without NOTIFY_SOCKET in the environment. Raise OSError if sending fails.
    """
    sd_notify(message)
