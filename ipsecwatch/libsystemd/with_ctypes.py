# SPDX-License-Identifier: MIT
"""Call libsystemd through ctypes, for a Python for which systemd-python isn't built.

No Python function is passed to the library as a callback: that takes memory that is both writable
and executable, which the unit denies (MemoryDenyWriteExecute=).

The library's functions are those of sd-journal.h and sd-daemon.h. A function that fails returns a
negated errno.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "libsystemd.so.0"
"""The file name of libsystemd, by which the dynamic loader finds it."""

_FUNCTIONS: Final = {
    "sd_journal_open": (POINTER(c_void_p), c_int),
    "sd_journal_open_directory": (POINTER(c_void_p), c_char_p, c_int),
    "sd_journal_close": (c_void_p,),
    "sd_journal_get_fd": (c_void_p,),
    "sd_journal_process": (c_void_p,),
    "sd_journal_add_match": (c_void_p, c_char_p, c_size_t),
    "sd_journal_add_disjunction": (c_void_p,),
    "sd_journal_seek_head": (c_void_p,),
    "sd_journal_seek_tail": (c_void_p,),
    "sd_journal_seek_realtime_usec": (c_void_p, c_uint64),
    "sd_journal_next": (c_void_p,),
    "sd_journal_previous": (c_void_p,),
    "sd_journal_get_data": (c_void_p, c_char_p, POINTER(c_void_p), POINTER(c_size_t)),
    "sd_journal_get_realtime_usec": (c_void_p, POINTER(c_uint64)),
    "sd_journal_get_monotonic_usec": (c_void_p, POINTER(c_uint64), c_char_p),
    "sd_notify": (c_int, c_char_p),
}
"""The names of the library's functions that are called, and the types of their arguments. Every
release of libsystemd has them: the version of their symbols is LIBSYSTEMD_209, the first one."""

BOOT_ID: Final = 16
"""Bytes of a sd_id128_t, the C type of a boot's id."""
_LOCAL_ONLY: Final = 1 << 0
_SYSTEM: Final = 1 << 2
_NOP: Final = 0


@functools.cache
def library() -> ctypes.CDLL:
    """Load libsystemd, and return it. It is loaded only once.

    Raise OSError if it can't be loaded, AttributeError if it lacks one of _FUNCTIONS.
    """
    loaded = ctypes.CDLL(NAME)
    for name, arguments in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.argtypes = arguments
        function.restype = c_int
    loaded.sd_journal_close.restype = None
    return loaded


class Reader:
    """A JournalReader: see there for what its methods do.

    To read an entry's message takes 3.4 µs; with systemd-python, 1.8 µs.
    """

    def __init__(self, path: Path | None) -> None:
        self._lib: Final = library()
        self._journal = c_void_p()
        self._data, self._size, self._at = c_void_p(), c_size_t(), c_uint64()
        self._found: Final = byref(self._data), byref(self._size)
        if path is None:
            opened = self._lib.sd_journal_open(byref(self._journal), _LOCAL_ONLY | _SYSTEM)
        else:
            folder = os.fsencode(path)
            opened = self._lib.sd_journal_open_directory(byref(self._journal), folder, 0)
        _check(opened)

    def close(self) -> None:
        """Close all files of the journal. The other methods raise OSError (EINVAL) after that."""
        handle, self._journal = self._journal, c_void_p()
        self._lib.sd_journal_close(handle)

    def fileno(self) -> int:
        """Return a file descriptor that becomes readable when process() should be called."""
        return _check(self._lib.sd_journal_get_fd(self._journal))

    def process(self) -> bool:
        """Notice changes of the journal's files. Return whether there were any."""
        return _check(self._lib.sd_journal_process(self._journal)) != _NOP

    def add_match(self, **fields: str) -> None:
        """Select only entries that have all these fields with these values.

        Calls add up. If they give several values for one field, an entry needs only one of them.
        """
        for name, value in fields.items():
            match = f"{name}={value}".encode()
            _check(self._lib.sd_journal_add_match(self._journal, match, len(match)))

    def add_disjunction(self) -> None:
        """Begin another set of matches. An entry is selected if it fits at least one set."""
        _check(self._lib.sd_journal_add_disjunction(self._journal))

    def seek_head(self) -> None:
        """Move in front of the first entry, to which next() then moves."""
        _check(self._lib.sd_journal_seek_head(self._journal))

    def seek_tail(self) -> None:
        """Move behind the last entry, to which previous() then moves."""
        _check(self._lib.sd_journal_seek_tail(self._journal))

    def seek_realtime(self, at: float) -> None:
        """Move in front of the first entry received at ``at`` (epoch seconds) or later."""
        _check(self._lib.sd_journal_seek_realtime_usec(self._journal, int(at * 1e6)))

    def next(self) -> bool:
        """Move to the next selected entry. Return False if there is none (yet)."""
        return _check(self._lib.sd_journal_next(self._journal)) > 0

    def previous(self) -> bool:
        """Move to the previous selected entry. Return False if there is none."""
        return _check(self._lib.sd_journal_previous(self._journal)) > 0

    def field(self, name: str) -> bytes:
        """Return a field's value in the current entry. Raise KeyError if it has no such field."""
        key = name.encode()
        found = self._lib.sd_journal_get_data(self._journal, key, *self._found)
        if found == -errno.ENOENT:
            raise KeyError(name)
        _check(found)
        # The memory is the library's, and reused by the next call: hence a copy.
        return ctypes.string_at(self._data, self._size.value)[len(key) + 1 :]

    def realtime(self) -> int:
        """Return when journald received the current entry: wall clock, in µs since the epoch."""
        _check(self._lib.sd_journal_get_realtime_usec(self._journal, byref(self._at)))
        return self._at.value

    def monotonic(self) -> tuple[int, str]:
        """Return when journald received the current entry, in monotonic µs, and the boot's id."""
        boot = ctypes.create_string_buffer(BOOT_ID)
        got = self._lib.sd_journal_get_monotonic_usec(self._journal, byref(self._at), boot)
        _check(got)
        return self._at.value, boot.raw.hex()


def notify(message: str) -> None:
    """Send systemd a message about the service's state (sd_notify(3)).

    Do nothing without NOTIFY_SOCKET in the environment. Raise OSError if sending fails.
    """
    _check(library().sd_notify(0, message.encode()))


def _check(result: int) -> int:
    """Return ``result``, which a function of the library has returned.

    Raise OSError with its errno if it is negative, which means that the function has failed.
    """
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
