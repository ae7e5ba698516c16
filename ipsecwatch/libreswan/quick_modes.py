# SPDX-License-Identifier: MIT
"""Quick Modes of ours that wait for the peer's answer: what it refuses under an IKEv1 SA.

Connections to one peer share an IKEv1 SA (phase 1). pluto logs the peer's notification about it
by the connection that negotiated it, whichever connection's Quick Mode the peer has refused.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LogEvent, Weight

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding

MAX_WAITING: Final = 20_000
"""Quick Modes that are kept; the oldest are dropped first."""


class QuickModes:
    """Remembers which Quick Modes of ours wait for an answer, and under which IKEv1 SA."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[int, ConnectionLine]] = OrderedDict()

    def follow(self, said: ConnectionLine, finding: Finding) -> ConnectionLine:
        """Record a line. Return the line whose connection it is about.

        That is the line itself, or for what an IKEv1 peer refuses, the result of refused().
        """
        match finding.event:
            case LogEvent.ATTEMPT if finding.version == 1 and finding.using is not None:
                self.begin(said, finding.using)
            case LogEvent.CHILD_ESTABLISHED:
                self.end(said.serial)
            case LogEvent.FAILURE:
                self.end(said.serial)
                if finding.version == 1 and finding.weight is Weight.ECHO:
                    return self.refused(said)
        return said

    def begin(self, said: ConnectionLine, phase1: int) -> None:
        """Record the line that tells that we begin a Quick Mode under the IKEv1 SA ``phase1``."""
        if said.serial is None:
            return
        self._waiting[said.serial] = phase1, said
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def end(self, serial: int | None) -> None:
        """Record that a Quick Mode was answered or given up; ``serial`` is its own.

        Do nothing for None, or for the serial of another SA.
        """
        if serial is not None:
            self._waiting.pop(serial, None)

    def keep(self, serials: Collection[int]) -> None:
        """Forget those that a report, with all its ``serials``, doesn't list.

        Those with a serial above all of these are kept: they may have begun after the report.
        """
        if self._waiting:
            newest = max(serials, default=0)
            gone = [s for s in self._waiting if s <= newest and s not in serials]
            for serial in gone:
                del self._waiting[serial]

    def refused(self, said: ConnectionLine) -> ConnectionLine:
        """Return the line of the Quick Mode that a notification about ``said``'s SA refuses.

        Where those that wait under this SA are all of one connection, that is the newest one's.
        Else it is ``said`` itself.
        """
        waiting = {w.name: w for phase1, w in self._waiting.values() if phase1 == said.serial}
        return next(iter(waiting.values())) if len(waiting) == 1 else said

    def clear(self) -> None:
        """Forget all: another pluto counts from 1 again."""
        self._waiting.clear()
