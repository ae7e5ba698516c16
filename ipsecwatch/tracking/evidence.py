# SPDX-License-Identifier: MIT
"""Log lines about the end of SAs, kept by what each names: an SA, connection, address or peer.

A finding about an SA or a connection counts until that has gone, however long that takes: pluto may
wait half a minute for the peer's answer to our Delete. An event that concerns an address or a peer
ends SAs at once. So a finding about these doesn't explain the end of SAs that a report still showed
SPENT_AFTER seconds later. If no SA was established (HeldSas.at_once), this holds for all findings.
The end of an SA also explains the loss of those that it had replaced since the last report. No
other line is used, however near in time. log_evidence.py applies these rules.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ipsecwatch.jsonutil import each, number, one_of, optional, row, text, whole
from ipsecwatch.libreswan.log_lines import LogEvent, LossKind, Subject, Weight
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import Enum

    from ipsecwatch.jsonutil import Check

    E = TypeVar("E", bound=Enum)

MAX_FINDINGS: Final = 20_000
"""How many findings are kept in all. If there are more, those about the thing that got no new
finding for longest are dropped."""
MAX_EACH: Final = 8
"""How many findings are kept about one SA, connection, address or peer: pluto logs no more about
one end."""
MAX_LINE: Final = 400
"""How many characters of a line are kept, for people to read."""
MAX_DUMPED: Final = 1 << 20
"""How many characters the lines that dump() returns have in all, at most."""

About = tuple[Subject, str]
"""What a finding is about: the kind of thing, and which one, as text. That is an SA's serial
(``12``), a connection's name, a local address, or two addresses (ours, a blank, the peer's)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one log line shows about an attempt, a failure or a loss.

    ``order`` is the line's number among all lines read, from 1 on. ``serial`` is that of the SA
    that was begun, failed or ended; None: the line names none.
    """

    order: int
    at: float
    """When the line was logged, on the wall clock."""
    event: LogEvent
    reason: Reason
    weight: Weight
    serial: int | None
    line: str
    end: LossKind = LossKind.ANY
    counts: bool = False
    """Whether this begins a new attempt. False for another event than ATTEMPT, and for phase 2 of
    an IKEv1 attempt whose phase 1 was counted."""


class Findings:
    """Log lines about the end of SAs, by the SA, connection, address or peer that each names."""

    def __init__(self) -> None:
        self._kept: OrderedDict[About, list[Evidence]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, about: About, evidence: Evidence) -> None:
        """Keep a finding about a thing.

        If MAX_EACH are kept about it already, drop the second oldest: the oldest has the cause. If
        more than MAX_FINDINGS are kept in all, drop those about the thing that got none for
        longest.
        """
        kept = self._kept.setdefault(about, [])
        self._kept.move_to_end(about)
        if len(kept) >= MAX_EACH:
            del kept[1]
            self._count -= 1
        kept.append(evidence)
        self._count += 1
        while self._count > MAX_FINDINGS:
            self._count -= len(self._kept.popitem(last=False)[1])

    def about(self, about: About) -> list[Evidence]:
        """Return the findings about one thing, the oldest first; empty: there are none."""
        return self._kept.get(about, [])

    def change(self, about: About, old: Evidence, new: Evidence) -> None:
        """Replace the finding ``old`` about a thing by ``new``, if ``old`` is still kept."""
        kept = self._kept.get(about, [])
        if old in kept:
            kept[kept.index(old)] = new

    def keep(self, still: Callable[[About, Evidence], bool]) -> None:
        """Keep the findings about the things for which ``still`` returns True. Forget all others.

        ``still`` is called with each thing and the newest finding about it.
        """
        for about, kept in list(self._kept.items()):
            if not still(about, kept[-1]):
                self._count -= len(kept)
                del self._kept[about]

    def clear(self) -> None:
        """Forget all findings."""
        self._kept.clear()
        self._count = 0

    # --- kept over a restart of the service -----------------------------------------------

    def dump(self) -> list[list[Any]]:
        """Return findings as plain values for load(), with MAX_DUMPED characters of lines at most.

        If not all fit, those about the things that got a new finding last are returned.
        """
        rows: list[list[Any]] = []
        room = MAX_DUMPED
        for (subject, value), kept in reversed(self._kept.items()):
            room -= sum(len(e.line) for e in kept)
            if room < 0:
                break
            rows += [[subject.name, value, *_dump(e)] for e in kept]
        return rows[::-1]

    def load(self, rows: object) -> None:
        """Add the findings that dump() returned. Raise JsonError if dump() can't have made them."""
        for subject, value, *rest in _ROWS(rows):
            self.add((subject, value), Evidence(*rest))
        for kept in self._kept.values():
            kept.sort(key=lambda e: e.order)


def _dump(e: Evidence) -> list[Any]:
    return [e.order, e.at, e.event.name, e.reason, e.weight.name, e.serial, e.line, e.end.name]


def _named(kind: type[E]) -> Check[E]:
    """Return a check that turns the name of an enum's member into the member."""
    check = one_of([member.name for member in kind])
    return lambda value: kind[check(value)]


_ORDER: Final = whole(0, 1 << 53)
_ROW: Final = row(
    _named(Subject), text(4096, raw=True), _ORDER, number(0.0, 2.0**33), _named(LogEvent),
    one_of(Reason), _named(Weight), optional(whole(0, 10**10 - 1)), text(MAX_LINE, raw=True),
    _named(LossKind),
)  # fmt: skip
_ROWS: Final = each(_ROW)
