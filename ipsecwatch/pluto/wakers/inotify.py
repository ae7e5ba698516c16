# SPDX-License-Identifier: MIT
"""pluto's control socket as it comes and goes: inotify(7) on its directory, and on that one's.

The directory itself goes with every stop of ipsec.service and comes with every start. Python has
no inotify; three calls of libc's are all it takes.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import struct
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.wakers.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

_CREATE: Final = 0x100
_DELETE: Final = 0x200
_MOVED: Final = 0x40 | 0x80
_IGNORED: Final = 0x8000
_OVERFLOW: Final = 0x4000
_EVENT: Final = struct.Struct("iIII")


class SocketWatch(Waker):
    """Calls ``wake`` when the socket, or the directory it lies in, appears or goes."""

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        super().__init__()
        self._path = path
        self._wake = wake
        self._fd = -1
        self._watches: dict[int, Path] = {}

    def open(self) -> bool:
        """Begin to watch; False where the kernel won't let us."""
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, AttributeError):
            return False
        if self._fd < 0:
            logger.info("pluto's socket can't be watched: %s", os.strerror(ctypes.get_errno()))
            return False
        self._libc = libc
        self._watch(self._path.parent.parent)
        self._watch(self._path.parent)
        asyncio.get_running_loop().add_reader(self._fd, self.guard, self._ready)
        return True

    def close(self) -> None:
        """Watch no more."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _watch(self, directory: Path) -> None:
        mask = _CREATE | _DELETE | _MOVED
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(directory), mask)
        if number >= 0:
            self._watches[number] = directory
        elif (code := ctypes.get_errno()) != errno.ENOENT:
            logger.debug("%s can't be watched: %s", directory, os.strerror(code))

    def _ready(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        wanted = False
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
            at += _EVENT.size + length
            if mask & _IGNORED:
                self._watches.pop(number, None)
            wanted = wanted or bool(mask & _OVERFLOW) or self._matters(number, os.fsdecode(name))
        if wanted:
            self._wake()

    def _matters(self, number: int, name: str) -> bool:
        directory = self._watches.get(number)
        if directory == self._path.parent.parent and name == self._path.parent.name:
            self._watch(self._path.parent)
            return True
        return directory == self._path.parent and name == self._path.name
