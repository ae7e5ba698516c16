# SPDX-License-Identifier: MIT
"""Recordings of what pluto answered and logged: read, write, redact and play them."""

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
