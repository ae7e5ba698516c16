# SPDX-License-Identifier: MIT
"""Find out which connection a refusal by an IKEv1 peer is about.

Several connections to one peer share an IKEv1 SA (phase 1). If the peer refuses the Quick Mode of
one of them, pluto logs the peer's notification under the name of the connection that negotiated
the IKEv1 SA, which may be another one. So it is remembered which Quick Modes that we began wait
for the peer's answer.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LogEvent, Weight

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding

MAX_WAITING: Final = 20_000
"""How many waiting Quick Modes are remembered at most. If there are more, the oldest is dropped."""


class QuickModes:
    """Remembers the Quick Modes that we began and that wait for an answer, with their IKEv1 SA."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[int, ConnectionLine]] = OrderedDict()

    def follow(self, said: ConnectionLine, finding: Finding) -> ConnectionLine:
        """Record what a log line says about Quick Modes. Return a line of the connection concerned.

        That is ``said`` itself, unless it is a notification by which an IKEv1 peer refuses
        something: then refused() decides. It may return an earlier line, of another connection.
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
        """Record that we begin a Quick Mode under the IKEv1 SA with the serial ``phase1``.

        ``said`` is the line that logs this, with the Quick Mode's own serial. Without a serial,
        nothing is recorded.
        """
        if said.serial is None:
            return
        self._waiting[said.serial] = phase1, said
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)

    def end(self, serial: int | None) -> None:
        """Record that a Quick Mode doesn't wait any more: it was answered, or it failed.

        ``serial`` is the Quick Mode's own. Nothing happens for None, or for any other SA's serial.
        """
        if serial is not None:
            self._waiting.pop(serial, None)

    def keep(self, serials: Collection[int]) -> None:
        """Forget the waiting Quick Modes that a report doesn't list.

        ``serials`` are the serials of all SAs in the report. A Quick Mode with a higher serial than
        all of them is kept: it may have begun after the report.
        """
        if self._waiting:
            newest = max(serials, default=0)
            gone = [s for s in self._waiting if s <= newest and s not in serials]
            for serial in gone:
                del self._waiting[serial]

    def refused(self, said: ConnectionLine) -> ConnectionLine:
        """Return the line that logged the begin of the Quick Mode that the peer has refused.

        ``said`` is the line of the peer's notification, with the serial of an IKEv1 SA. If all
        Quick Modes that wait under this SA are of one connection, the newest of them is taken to be
        refused. If none waits, or they are of several connections, ``said`` itself is returned.
        """
        waiting = {w.name: w for phase1, w in self._waiting.values() if phase1 == said.serial}
        return next(iter(waiting.values())) if len(waiting) == 1 else said

    def clear(self) -> None:
        """Forget all Quick Modes. Call it when pluto was restarted: serials begin at 1 again."""
        self._waiting.clear()
