# SPDX-License-Identifier: MIT
"""Recordings: what pluto said and logged over time, to be read, written, redacted and played."""

from __future__ import annotations

from ipsecwatch.recording.format import (
    FORMAT,
    KIND,
    Entry,
    Head,
    Note,
    RecordedAnswer,
    RecordingError,
    Writer,
    create,
    poll,
    read,
    settled,
)

__all__ = [
    "FORMAT",
    "KIND",
    "Entry",
    "Head",
    "Note",
    "RecordedAnswer",
    "RecordingError",
    "Writer",
    "create",
    "poll",
    "read",
    "settled",
]
