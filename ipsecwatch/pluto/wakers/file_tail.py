# SPDX-License-Identifier: MIT
"""Read the lines that are added to a log file, even if it is renamed or truncated meanwhile.

Only a file that belongs to root, and that no other user may write to, is read, because its lines
become reasons.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.wakers import log_stamp

if TYPE_CHECKING:
    from pathlib import Path

CHUNK: Final = 64 << 10
"""How many bytes are read at once."""
MAX_BEHIND: Final = 8 << 20
"""How many bytes may be unread. If there are more, all but the last CHUNK of them are skipped."""
MAX_LINE: Final = 4096
"""How many bytes of a line are kept, the rest is dropped; pluto cuts its own lines at 1,024."""
MAX_BACK: Final = 1 << 20
"""How many bytes at the file's end are searched for the first line since some time."""
MARK: Final = 64
"""How many bytes before the present position are compared, to notice that the file was
truncated."""


class UntrustedError(Exception):
    """A file isn't a regular one, or users other than root may change it; _check() has the rules.

    The text says why, in one line.
    """


class FileTail:
    """Reads the lines of one file. The file stays open even if it is renamed or deleted."""

    def __init__(self, path: Path, *, since: float | None) -> None:
        """Open the file. Raise OSError, or UntrustedError.

        ``since`` (wall clock): reading starts with the first line that has a stamp of this time or
        later; at the file's end if there is none. None: reading starts with the file's first line.
        """
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            found = os.fstat(self._fd)
            _check(path, found)
            self._at = 0 if since is None else self._place_of(since, found)
            self._mark = self._before()
        except BaseException:
            os.close(self._fd)
            raise
        self.id = (found.st_dev, found.st_ino)
        # True: the position is in the middle of a line, and the rest of that line is skipped.
        self._cut = self._mark[-1:] not in (b"", b"\n")
        self._part = b""

    @property
    def watched(self) -> str:
        """A path that leads to this open file, even after it was renamed or deleted."""
        return f"/proc/self/fd/{self._fd}"

    def read(self) -> tuple[list[bytes], bool]:
        """Read up to CHUNK bytes. Return the lines that end in them, and whether there may be more.

        If the file was truncated, reading starts from its beginning. If more than MAX_BEHIND bytes
        are unread, all but the last CHUNK of them are skipped. _lines() says how a line is
        returned. Raise OSError.
        """
        size = os.fstat(self._fd).st_size
        if size < self._at or self._before() != self._mark:
            # It was truncated, and since then perhaps written to beyond our position.
            self._at, self._part, self._cut = 0, b"", False
        if size - self._at > MAX_BEHIND:
            self._at, self._part, self._cut = size - CHUNK, b"", True
        data = os.pread(self._fd, CHUNK, self._at)
        self._at += len(data)
        self._mark = data[-MARK:] if len(data) >= MARK else self._before()
        return self._lines(data), len(data) == CHUNK

    def _before(self) -> bytes:
        """Return the last MARK bytes, or fewer, before the position up to which was read."""
        begin = max(0, self._at - MARK)
        return os.pread(self._fd, self._at - begin, begin)

    def _place_of(self, since: float, found: os.stat_result) -> int:
        """Return the position of the first line with a stamp of ``since`` (wall clock) or later.

        It is the file's end if there is no such line, or if the last stamp doesn't fit the file's
        time of modification. The search goes backwards from the end, for MAX_BACK bytes at most,
        until an older line is found. Lines without a stamp are passed over. ``found`` is the state
        of the file.
        """
        place = end = found.st_size
        shift: float | None = None
        while end > max(0, found.st_size - MAX_BACK):
            begin = max(0, end - CHUNK)
            data = os.pread(self._fd, end - begin, begin)
            first = data.find(b"\n") + 1 if begin else 0
            if begin and first in (0, len(data)):
                return place  # a line that is longer than a chunk
            for at, line in _backwards(data, first):
                naive = log_stamp.naive(line, found.st_mtime)
                if naive is None:
                    continue
                if shift is None:  # the last line was logged when the file was last written to
                    shift = log_stamp.shift(naive, found.st_mtime)
                if shift is None or naive + shift < since:
                    return place
                place = begin + at
            end = begin + first
        return place

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that end in these bytes. Keep the beginning of the next line.

        A line is returned without its newline and without NULs at its beginning, and has at most
        MAX_LINE bytes. A line is left out if its beginning was not read: the first line where
        reading started in the middle of it, or after a skip.
        """
        *whole, rest = data.split(b"\n")
        if whole:
            first, *others = whole
            whole = others if self._cut else [self._part + first, *others]
            self._part, self._cut = b"", False
        # Only the beginning of an endless line is kept. NULs: where a file is truncated while a
        # program writes to it without O_APPEND, the program's next write leaves a hole.
        self._part = (self._part + rest).lstrip(b"\0")[:MAX_LINE]
        return [line.lstrip(b"\0")[:MAX_LINE] for line in whole]

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _backwards(data: bytes, first: int) -> list[tuple[int, bytes]]:
    """Return the lines from index ``first`` on, each with its index in ``data``, the last first."""
    found: list[tuple[int, bytes]] = []
    for line in data[first:].split(b"\n"):
        found.append((first, line))
        first += len(line) + 1
    return found[::-1]


def _check(path: Path, found: os.stat_result) -> None:
    """Raise UntrustedError unless an open file is a regular one that only root may change.

    The file and its folder have to belong to root. The file's group and others may not write to the
    file. Others may not write to the folder, but its group may (as in Ubuntu's /var/log).
    """
    if not stat.S_ISREG(found.st_mode):
        raise UntrustedError(f"{path} is not a file")
    if found.st_uid != 0:
        raise UntrustedError(f"{path} belongs to another user than root")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):  # with an ACL the group's bits are its mask
        raise UntrustedError(f"others than root may write to {path}")
    folder = os.stat(path.resolve().parent)
    if folder.st_uid != 0 or folder.st_mode & stat.S_IWOTH:
        raise UntrustedError(f"others than root may put a file in the place of {path}")
