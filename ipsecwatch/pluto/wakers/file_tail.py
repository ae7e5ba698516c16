# SPDX-License-Identifier: MIT
"""The end of a log file: lines as they are added to it, for as long as it is there.

It is believed only where root alone may write to it: a line in it gives a reason.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

CHUNK: Final = 64 << 10
"""Bytes that are read at once."""
MAX_BEHIND: Final = 8 << 20
"""Bytes that may be left to be read; beyond that all but the last are left out."""
MAX_LINE: Final = 4096
"""Bytes of a line that are kept; pluto cuts its own at 1,024."""


class UntrustedError(Exception):
    """Others than root may write to a file. The text says who, in one line."""


class FileTail:
    """Reads what is added to one file. Renamed or deleted, it is the same file."""

    def __init__(self, path: Path, *, from_end: bool) -> None:
        """Open it. Raise OSError, UntrustedError."""
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            found = os.fstat(self._fd)
            _check(path, found)
        except BaseException:
            os.close(self._fd)
            raise
        self.id = (found.st_dev, found.st_ino)
        self._at = found.st_size if from_end else 0
        # The rest of a line whose beginning nobody has read is no line.
        self._cut = from_end and self._at > 0 and os.pread(self._fd, 1, self._at - 1) != b"\n"
        self._part = b""

    @property
    def watched(self) -> str:
        """A path that names this very file, whatever has become of its own."""
        return f"/proc/self/fd/{self._fd}"

    def read(self) -> tuple[list[bytes], bool]:
        """Return the lines of a chunk, and whether there is more. Raise OSError."""
        size = os.fstat(self._fd).st_size
        if size < self._at:  # it was truncated
            self._at, self._part, self._cut = 0, b"", False
        elif size - self._at > MAX_BEHIND:
            self._at, self._part, self._cut = size - CHUNK, b"", True
        data = os.pread(self._fd, CHUNK, self._at)
        self._at += len(data)
        return self._lines(data), len(data) == CHUNK

    def _lines(self, data: bytes) -> list[bytes]:
        *whole, rest = data.split(b"\n")
        if whole:
            first, *others = whole
            whole = others if self._cut else [self._part + first, *others]
            self._part, self._cut = b"", False
        # Of a line that never ends only the beginning is kept.
        self._part = (self._part + rest)[:MAX_LINE]
        return [line[:MAX_LINE] for line in whole]

    def close(self) -> None:
        """Read no more."""
        os.close(self._fd)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UntrustedError(f"{path} is not a file")
    if found.st_uid != 0:
        raise UntrustedError(f"{path} belongs to another user than root")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # with an ACL the group's bits are its mask
        raise UntrustedError(f"others than root may write to {path}")
    folder = os.stat(path.resolve().parent)
    if folder.st_uid != 0 or folder.st_mode & stat.S_IWOTH:
        raise UntrustedError(f"others than root may put a file in the place of {path}")
