# SPDX-License-Identifier: MIT
"""Whose lines are believed: those of the pluto that answers at our control socket.

Several plutos may run on a machine, in namespaces and containers. Only lines of the one that has
answered tell of our tunnels; those of a pluto that hasn't answered yet are kept until it does.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ipsecwatch.report import LogLine

MAX_HELD: Final = 2000
"""Lines that are kept of plutos that haven't answered, the oldest going first."""


class Witnesses:
    """Knows which pluto is ours, and keeps what others have said meanwhile."""

    def __init__(self) -> None:
        self._ours: frozenset[int] | None = None
        """Process ids of the pluto that answered last; empty: nobody knows; None: none has."""
        self._held: deque[tuple[int, bool, LogLine]] = deque(maxlen=MAX_HELD)

    def believes(self, pid: int, *, by_unit: bool) -> bool:
        """Return whether lines of a pluto are of ours. Where no id is known, the unit's is."""
        return pid in self._ours if self._ours else by_unit and self._ours is not None

    def hold(self, line: LogLine, pid: int, *, by_unit: bool) -> None:
        """Keep a line of a pluto that isn't believed yet."""
        self._held.append((pid, by_unit, line))

    def answered(self, pids: Iterable[int]) -> list[LogLine]:
        """Take note of which pluto has answered; return what it had said before."""
        self._ours = frozenset(pids)
        ours = [x for x in self._held if self.believes(x[0], by_unit=x[1])]
        if ours:
            left = [x for x in self._held if not self.believes(x[0], by_unit=x[1])]
            self._held = deque(left, maxlen=MAX_HELD)
        return [line for _, _, line in ours]


def is_pluto(exe: str) -> bool:
    """Return whether a program is pluto, by the path that the kernel tells of it."""
    return exe.removesuffix(" (deleted)").rpartition("/")[2] == "pluto"


def pids_of(control_socket: Path, peer: int | None) -> set[int]:
    """Return the process ids that the pluto behind a socket may log with; none: nobody knows.

    ``peer`` is who began to listen there (SO_PEERCRED; None: it lives in another PID namespace).
    A pluto that goes into the background has another id afterwards, which it writes into the file
    beside its socket (programs/pluto/plutomain.c, all releases).
    """
    if peer is None:
        return set()
    found = {peer} if _lives(peer) else set()
    written = _written_beside(control_socket)
    return found if written is None else found | {written}


def sees_our_files(control_socket: Path, peer: int | None) -> bool:
    """Return whether a path that the pluto behind a socket names is one of ours.

    One that lives by the id that the kernel tells us, and knows itself by another, is in a
    container: so the id that it wrote beside its socket isn't ours either.
    """
    if peer is None:
        return False
    return _written_beside(control_socket) in (None, peer) or not _lives(peer)


def _written_beside(control_socket: Path) -> int | None:
    try:
        with control_socket.with_suffix(".pid").open("rb") as f:
            return int(f.read(20))
    except (OSError, ValueError):
        return None


def _lives(pid: int) -> bool:
    # /proc hides from a root without capabilities whoever has some.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
