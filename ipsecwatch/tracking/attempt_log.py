# SPDX-License-Identifier: MIT
"""What pluto logged about attempts to bring connections up: how many, since when, and why in vain.

Bounded in every direction: a peer can make pluto log, and can make instances of a connection for
anybody.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LogEvent, Weight
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding
    from ipsecwatch.tracking.evidence import Evidence

MAX_NAMES: Final = 20_000
"""Connections of which something is kept; more than any pluto is known to have loaded."""
MAX_EVIDENCE: Final = 24
"""Pieces of evidence kept for one connection."""
MAX_PIECES: Final = 60_000
"""Pieces of evidence kept in all: 40 MB if somebody makes all lines long, else a quarter."""


@dataclass(slots=True)
class _Attempts:
    """What is kept of one connection."""

    evidence: deque[Evidence] = field(default_factory=lambda: deque(maxlen=MAX_EVIDENCE))
    total: int = 0
    """Negotiations begun by us, ever."""
    since: tuple[int, int] = (-1, 0)
    """An order that attempts were asked for, and how many there had been before it."""
    begun: int | None = None
    """An IKE SA of which the first Child belongs to the same attempt."""

    def counts(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether this is an attempt of its own: a phase 2 isn't that follows its phase 1.

        To be called once for each ATTEMPT.
        """
        if finding.using is None:
            self.begun = said.serial
            return True
        follows = finding.version == 1 and finding.using == self.begun
        self.begun = None if follows else self.begun
        return not follows

    def add(self, evidence: Evidence) -> int:
        """Keep evidence, and return how much more there is than before.

        A failure that is only said again takes the place of the last.
        """
        kept = self.evidence
        self.total += evidence.counts
        if kept and evidence.event is LogEvent.FAILURE and _same(kept[-1], evidence):
            kept[-1] = evidence
            return 0
        grows = len(kept) < MAX_EVIDENCE
        kept.append(evidence)
        return int(grows)

    def begun_after(self, order: int) -> int:
        if self.since[0] != order:
            later = sum(e.counts for e in self.evidence if e.order > order)
            self.since = (order, self.total - later)
        return self.total - self.since[1]


class AttemptLog:
    """Remembers attempts, failures and what ended them, by connection."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, _Attempts] = OrderedDict()
        self._pieces = 0
        self._heard: OrderedDict[str, int] = OrderedDict()
        """The order of the last line about a connection, whatever it says: apart, so that no line
        that a stranger causes has evidence go."""

    def counts(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether an ATTEMPT is one of its own. To be asked once for each."""
        return self._of(said.name).counts(said, finding)

    def add(self, name: str, evidence: Evidence) -> None:
        """Keep evidence about a connection."""
        attempts = self._of(name)  # which may have others go
        self._pieces += attempts.add(evidence)

    def note_heard(self, said: ConnectionLine, order: int) -> None:
        """Record that there was a line about a connection, whatever it says."""
        for name in {said.name, said.base}:
            self._heard[name] = order
            self._heard.move_to_end(name)
        while len(self._heard) > MAX_NAMES:
            self._heard.popitem(last=False)

    def heard(self, names: Collection[str]) -> int:
        """Return the order of the last line about any of these connections; 0: there was none."""
        return max((self._heard.get(name, 0) for name in names), default=0)

    def restart(self) -> None:
        """Forget serials: another pluto counts from 1 again."""
        for attempts in self._by_name.values():
            attempts.begun = None

    def failure(self, names: Collection[str], after: int) -> tuple[Reason, str | None]:
        """Return why the last attempt failed, or NONE if nothing was logged.

        Within an attempt what explains most counts (Weight), and of equals the last. The line
        that names what is in the way here is told as long as nothing else than a missing Child
        is said after it.
        """
        best: Evidence | None = None
        current: Evidence | None = None
        in_the_way: Evidence | None = None
        for e in self._after(names, after):
            if e.event is LogEvent.ATTEMPT:
                current = None
            elif e.event is LogEvent.FAILURE and (current is None or e.weight >= current.weight):
                best = current = e
                if e.reason is not Reason.CHILD_MISSING or e.weight is Weight.LOCAL:
                    in_the_way = e
        if best is None:
            return Reason.NONE, None
        if in_the_way is None or in_the_way.reason is not best.reason:
            in_the_way = best
        return best.reason, in_the_way.line

    def count(self, names: Collection[str], after: int) -> int:
        """Return how many negotiations began after ``after``, of the connection with the most.

        Asking again for the same ``after`` counts all, however many there are; asking for the
        first time, those that are still remembered.
        """
        known = (self._by_name.get(name) for name in names)
        return max((a.begun_after(after) for a in known if a is not None), default=0)

    def tried(self, names: Collection[str], after: int) -> float | None:
        """Return when the first negotiation after ``after`` began, on the wall clock.

        One that was taken back, or lost what it had brought, is none of those that came later.
        """
        first = None
        for e in self._after(names, after):
            if e.event is LogEvent.LOSS:
                first = None
            elif e.event is LogEvent.ATTEMPT and first is None:
                first = e.at
        return first

    def _of(self, name: str) -> _Attempts:
        attempts = self._by_name.get(name)
        if attempts is None:
            attempts = self._by_name[name] = _Attempts()
        self._by_name.move_to_end(name)
        while len(self._by_name) > MAX_NAMES or self._pieces > MAX_PIECES:
            _, old = self._by_name.popitem(last=False)
            self._pieces -= len(old.evidence)
        return attempts

    def _after(self, names: Collection[str], after: int) -> Iterator[Evidence]:
        """Return what was heard after ``after``, in order."""
        known = [self._by_name[n].evidence for n in names if n in self._by_name]
        found = {e.order: e for kept in known for e in kept if e.order > after}
        return (found[order] for order in sorted(found))


def _same(a: Evidence, b: Evidence) -> bool:
    return (a.event, a.reason, a.weight, a.serial) == (b.event, b.reason, b.weight, b.serial)
