# SPDX-License-Identifier: MIT
"""Decide whose log lines are believed: those of the pluto that answers at our control socket.

Several plutos may run on a machine, in namespaces and containers. Only the lines of the one that
has answered are about our tunnels. Lines of others are held, in case that one of them answers
later.
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
"""How many lines are held of plutos that haven't answered; the oldest are dropped first."""


class Witnesses:
    """Knows which pluto is ours, and holds the lines of others, in case one of them is ours."""

    def __init__(self) -> None:
        self._ours: frozenset[int] | None = None
        """The process ids of the pluto that answered last; empty: they aren't known; None: none has
        answered."""
        self._held: deque[tuple[int, bool, LogLine]] = deque(maxlen=MAX_HELD)

    def believes(self, pid: int, *, by_unit: bool) -> bool:
        """Return whether the pluto with this process id is ours, as far as is known now.

        It is if the pluto that answered last has this id. If the ids of that one aren't known, it
        is if it runs in pluto's unit (``by_unit``). Before any pluto has answered, none is.
        """
        return pid in self._ours if self._ours else by_unit and self._ours is not None

    def hold(self, line: LogLine, pid: int, *, by_unit: bool) -> None:
        """Keep a line of a pluto that isn't believed: answered() may show later that it is ours."""
        self._held.append((pid, by_unit, line))

    def answered(self, pids: Iterable[int]) -> list[LogLine]:
        """Record the process ids of the pluto that has answered; empty: they aren't known.

        Return the lines that were held of this pluto. They are no longer held.
        """
        self._ours = frozenset(pids)
        ours = [x for x in self._held if self.believes(x[0], by_unit=x[1])]
        if ours:
            left = [x for x in self._held if not self.believes(x[0], by_unit=x[1])]
            self._held = deque(left, maxlen=MAX_HELD)
        return [line for _, _, line in ours]


def is_pluto(exe: str) -> bool:
    """Return whether a program is pluto, which is so if its file is named ``pluto``.

    ``exe`` is the file's path as the kernel states it, maybe with " (deleted)" at its end.
    """
    return exe.removesuffix(" (deleted)").rpartition("/")[2] == "pluto"


def pids_of(control_socket: Path, peer: int | None) -> set[int]:
    """Return the process ids with which the pluto that listens on a socket may log.

    ``peer`` is the process that began to listen (SO_PEERCRED). None: it is in another PID
    namespace, and the result is empty. A pluto that goes into the background gets another id, which
    it writes into the file ``.pid`` beside its socket (programs/pluto/plutomain.c, all releases).
    This id is returned as well. An id of a process that has ended is left out, except in that file.
    """
    if peer is None:
        return set()
    found = {peer} if _lives(peer) else set()
    written = _written_beside(control_socket)
    return found if written is None else found | {written}


def sees_our_files(control_socket: Path, peer: int | None) -> bool:
    """Return whether the pluto that listens on a socket has the same file system as we have.

    If so, a path that it names leads to the same file here. It hasn't if ``peer``, the process that
    began to listen, is None (in another PID namespace). Nor has it if this process is alive, and
    the file beside the socket has another id: such a pluto is in a container.
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
    """Return whether there is a process with this id."""
    # Not by /proc: without capabilities, even root doesn't see processes there that have some.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
