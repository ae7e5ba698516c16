# SPDX-License-Identifier: MIT
"""Recordings of what pluto answered and logged: reading, writing, redacting, playing them."""

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
