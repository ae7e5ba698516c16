# SPDX-License-Identifier: MIT
"""Choose how libsystemd is called: through systemd-python if that is installed, else ctypes."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.libsystemd.journal_reader import JournalReader


class NoLibraryError(Exception):
    """libsystemd can't be called: systemd-python isn't installed, and ctypes can't load libsystemd.

    ``hint`` says which packages a person can install.
    """

    def __init__(self, why: str) -> None:
        super().__init__(f"systemd's library can't be used: {why}")
        self.hint = (
            "Install the distribution's libsystemd0 (Debian, Ubuntu) or systemd-libs (Fedora, EL)"
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """One way to call libsystemd: its name, its class to read the journal, and its sd_notify(3)."""

    name: str
    reader: type[JournalReader]
    notify: Callable[[str], None]


@functools.cache
def binding() -> Binding:
    """Return the Binding that this process uses: systemd-python if it can be imported, else ctypes.

    Raise NoLibraryError if ctypes can't load libsystemd either.
    """
    try:
        from ipsecwatch.libsystemd import with_systemd_python
    except ImportError:  # not there, built for another Python, or another package of that name
        return _with_ctypes()
    return Binding("systemd-python", with_systemd_python.Reader, with_systemd_python.notify)


def _with_ctypes() -> Binding:
    """Return the Binding through ctypes. Raise NoLibraryError if libsystemd can't be loaded."""
    try:
        from ipsecwatch.libsystemd import with_ctypes

        with_ctypes.library()
    except (ImportError, OSError, AttributeError) as e:
        raise NoLibraryError(str(e)) from e
    return Binding("ctypes", with_ctypes.Reader, with_ctypes.notify)


def notify(message: str) -> None:
    """Send systemd a message about the service's state, such as ``READY=1`` (sd_notify(3)).

    Do nothing without NOTIFY_SOCKET in the environment: then systemd expects no message. Raise
    OSError if sending fails, NoLibraryError if libsystemd can't be called.
    """
    if os.environ.get("NOTIFY_SOCKET"):
        binding().notify(message)
