# SPDX-License-Identifier: MIT
"""Watch files and folders with inotify(7), and a waker for pluto's control socket.

Python's standard library has no inotify. Three functions of libc are called through ctypes.
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
    from collections.abc import Callable, Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

MODIFIED: Final = 0x2
CREATED: Final = 0x100
DELETED: Final = 0x200
MOVED: Final = 0x40 | 0x80
IGNORED: Final = 0x8000
OVERFLOW: Final = 0x4000
_EVENT: Final = struct.Struct("iIII")


class Inotify:
    """An inotify descriptor. Raises OSError if the kernel refuses it, or in add() a watch."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise _last_error()

    def add(self, path: str | Path, mask: int) -> int:
        """Watch a file or folder for the events in ``mask``. Return the watch's number.

        Its events have this number. Raise OSError.
        """
        number: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), mask)
        if number < 0:
            raise _last_error()
        return number

    def remove(self, number: int) -> None:
        """Remove the watch with this number."""
        self._libc.inotify_rm_watch(self.fd, number)

    def events(self) -> Iterator[tuple[int, int, str]]:
        """Yield the waiting events: the watch's number, flags, and a name in the watched folder.

        The name is "" if the event is about the watched file or folder itself. If no event waits,
        nothing is yielded.
        """
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, at)
            name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
            at += _EVENT.size + length
            yield number, mask, os.fsdecode(name)

    def close(self) -> None:
        """Close the descriptor, and so end all watches."""
        os.close(self.fd)


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))


class SocketWatch(Waker):
    """Calls ``wake`` when the socket, or a directory above it, is created, moved or deleted.

    It is also called when the kernel has lost events. Every stop of ipsec.service deletes the
    socket's directory, and every start creates it again. A directory above that may be created with
    a container.
    """

    def __init__(self, path: Path, wake: Callable[[], None]) -> None:
        super().__init__()
        self._path = path
        self._wake = wake
        self._inotify: Inotify | None = None
        self._watches: dict[int, Path] = {}

    def open(self) -> bool:
        """Start to watch. Return False if there is no inotify here."""
        try:
            self._inotify = Inotify()
        except (OSError, AttributeError) as e:
            logger.info("pluto's socket can't be watched: %s", e)
            return False
        self._watch_below(self._path.parents[-1])
        asyncio.get_running_loop().add_reader(self._inotify.fd, self.guard, self._ready)
        return True

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _watch_below(self, top: Path) -> None:
        """Watch the directory ``top``, and those between it and the socket, as far as they exist.

        The upper ones come first, so that the creation of one in the meantime causes an event.
        """
        for directory in reversed(self._path.parents):
            if directory.is_relative_to(top):
                self._watch(directory)

    def _watch(self, directory: Path) -> None:
        """Watch one directory. Do nothing if that fails, as for a directory that doesn't exist."""
        if self._inotify is None:
            return
        try:
            number = self._inotify.add(directory, CREATED | DELETED | MOVED)
        except OSError as e:
            if e.errno != errno.ENOENT:
                logger.debug("%s can't be watched: %s", directory, e)
        else:
            self._watches[number] = directory

    def _ready(self) -> None:
        """Handle all waiting events, and call ``wake`` once if any of them concerns the socket."""
        if self._inotify is None:
            return
        wanted = False
        for number, mask, name in self._inotify.events():
            if mask & IGNORED:
                self._watches.pop(number, None)
            wanted = wanted or bool(mask & OVERFLOW) or self._matters(number, name)
        if wanted:
            self._wake()

    def _matters(self, number: int, name: str) -> bool:
        """Return whether an event concerns the next directory towards the socket, or the socket.

        ``number`` is the watch of a directory, ``name`` what was created, moved or deleted in it.
        If it does, also watch the directories towards the socket that exist now.
        """
        directory = self._watches.get(number)
        if directory is None or self._path.relative_to(directory).parts[0] != name:
            return False
        self._watch_below(directory / name)
        return True
