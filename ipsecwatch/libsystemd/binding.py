# SPDX-License-Identifier: MIT
"""The choice of a binding of libsystemd: systemd-python where it is installed, else ctypes."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.libsystemd.journal_reader import JournalReader


class NoLibraryError(Exception):
    """Neither systemd-python nor a usable libsystemd is installed; ``hint`` says what helps."""

    def __init__(self, why: str) -> None:
        super().__init__(f"systemd's library can't be used: {why}")
        self.hint = (
            "Install the distribution's libsystemd0 (Debian, Ubuntu) or systemd-libs (Fedora, EL)"
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding of libsystemd: its name, its reader of the journal, and sd_notify(3)."""

    name: str
    reader: type[JournalReader]
    notify: Callable[[str], None]


@functools.cache
def binding() -> Binding:
    """Return the binding that can be used here: systemd-python if it can be imported, else ctypes.

    Raise NoLibraryError if there is none.
    """
    try:
        from ipsecwatch.libsystemd import with_systemd_python
    except ImportError:  # not there, built for another Python, or another package of that name
        return _with_ctypes()
    return Binding("systemd-python", with_systemd_python.Reader, with_systemd_python.notify)


def _with_ctypes() -> Binding:
    """Return the binding through ctypes. Raise NoLibraryError if libsystemd can't be loaded."""
    try:
        from ipsecwatch.libsystemd import with_ctypes

        with_ctypes.library()
    except (ImportError, OSError, AttributeError) as e:
        raise NoLibraryError(str(e)) from e
    return Binding("ctypes", with_ctypes.Reader, with_ctypes.notify)


def notify(message: str) -> None:
    """Send systemd a message about the service's state (sd_notify(3)).

    Do nothing without NOTIFY_SOCKET in the environment: then systemd expects no message. Raise
    OSError or NoLibraryError if sending fails.
    """
    if os.environ.get("NOTIFY_SOCKET"):
        binding().notify(message)
