# SPDX-License-Identifier: MIT
"""Log lines about the end of SAs, kept by what they name: SA, connection, address or peer.

A finding about an SA or a connection counts until that has gone, however long it takes: pluto may
wait half a minute for the peer's answer to our Delete. What is logged about an address or a peer
ends SAs at once. Therefore it doesn't explain the end of SAs that a report still showed SPENT_AFTER
seconds later. The same holds for all findings where no SA was established (HeldSas.at_once). The
end of an SA also explains the loss of those that it had replaced since the last report. Nothing
else that was logged near in time is used. log_evidence.py applies these rules.
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
"""Findings kept in all. Dropped first are those about the thing that got none for longest."""
MAX_EACH: Final = 8
"""Findings kept of one SA, connection, address or peer: no end is logged with more lines."""
MAX_LINE: Final = 400
"""Characters of a line that are kept, for people to read."""
MAX_DUMPED: Final = 1 << 20
"""Characters of all lines together that are dumped at most."""

About = tuple[Subject, str]
"""What a finding is about, as text: an SA's serial, a connection's name, a local address, or a pair
of addresses (ours and the peer's, with a blank between them)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one log line says.

    ``order`` is its number among all lines that were read, ``serial`` the SA that it is about.
    """

    order: int
    at: float
    """When it was logged, on the wall clock."""
    event: LogEvent
    reason: Reason
    weight: Weight
    serial: int | None
    line: str
    end: LossKind = LossKind.ANY
    counts: bool = False
    """It is an ATTEMPT that begins a new attempt, and not phase 2 of the IKEv1 one before it."""


class Findings:
    """Log lines about the end of SAs, by the SA, connection, address or peer that they name."""

    def __init__(self) -> None:
        self._kept: OrderedDict[About, list[Evidence]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, about: About, evidence: Evidence) -> None:
        """Keep a finding.

        Where MAX_EACH are kept about one thing, the second oldest is dropped: the oldest has the
        cause.
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
        """Return the findings about one thing, in the order in which they were added."""
        return self._kept.get(about, [])

    def change(self, about: About, old: Evidence, new: Evidence) -> None:
        """Replace a finding by another one, if it is still kept."""
        kept = self._kept.get(about, [])
        if old in kept:
            kept[kept.index(old)] = new

    def keep(self, still: Callable[[About, Evidence], bool]) -> None:
        """Forget all findings about a thing unless ``still`` accepts the newest of them."""
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

        Where not all fit, they are those about the things to which one was added last.
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
        """Restore what dump() returned. Raise JsonError if dump() can't have made it."""
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
