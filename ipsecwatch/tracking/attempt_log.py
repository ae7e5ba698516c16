# SPDX-License-Identifier: MIT
"""What pluto logged about attempts to bring connections up: their number, begin, and failures.

All that is kept is bounded: a peer can make pluto write log lines, and can make it create
instances of a template.
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
"""Connections about which something is kept; more than any pluto is known to have loaded."""
MAX_EVIDENCE: Final = 24
"""Pieces of evidence kept for one connection: the newest."""
MAX_PIECES: Final = 60_000
"""Pieces of evidence kept in all: 40 MB if all lines are long, else a quarter of that."""


@dataclass(slots=True)
class _Attempts:
    """The evidence that is kept about one connection, and how many attempts it has ever begun."""

    evidence: deque[Evidence] = field(default_factory=lambda: deque(maxlen=MAX_EVIDENCE))
    total: int = 0
    """Attempts that were logged so far, with those whose evidence is no longer kept."""
    since: tuple[int, int] = (-1, 0)
    """The order of the line that begun_after() was last asked about, and ``total`` at that line."""
    begun: int | None = None
    """The IKE SA that was begun last, until a phase 2 follows: in IKEv1 that belongs to the same
    attempt."""

    def counts(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether an ATTEMPT is a new attempt, and not phase 2 of the IKEv1 one before it.

        Only the first phase 2 under the phase 1 that was begun last belongs to that attempt.
        """
        if finding.using is None:
            self.begun = said.serial
            return True
        follows = finding.version == 1 and finding.using == self.begun
        self.begun = None if follows else self.begun
        return not follows

    def add(self, evidence: Evidence) -> int:
        """Keep evidence. Return 1 if there is one piece more than before, else 0.

        A failure replaces the last piece if that is one of the same SA, reason and weight. Where
        MAX_EVIDENCE pieces are kept, the oldest is dropped.
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
        """Return how many attempts began after the line with this order.

        The first question about a line counts those whose evidence is still kept. If the next
        questions are about the same line, all that begin in the meantime are added.
        """
        if self.since[0] != order:
            later = sum(e.counts for e in self.evidence if e.order > order)
            self.since = (order, self.total - later)
        return self.total - self.since[1]


class AttemptLog:
    """Keeps the logged attempts, failures and losses of each connection.

    The caller adds what is logged about an instance's attempts and failures for its template, too.
    """

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, _Attempts] = OrderedDict()
        self._pieces = 0
        self._heard: OrderedDict[str, int] = OrderedDict()
        """The order of the last line about a connection, whatever it says. It is kept apart from
        the evidence, so that lines which a stranger causes can't displace any."""

    def counts(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether an ATTEMPT is a new attempt, and not phase 2 of the IKEv1 one before it.

        Call this once for each, in the log's order: it remembers the last phase 1.
        """
        return self._of(said.name).counts(said, finding)

    def add(self, name: str, evidence: Evidence) -> None:
        """Keep evidence about a connection."""
        attempts = self._of(name)  # first of all: it may drop other connections' evidence
        self._pieces += attempts.add(evidence)

    def note_heard(self, said: ConnectionLine, order: int) -> None:
        """Record the order of a line about a connection, and its template, whatever it says."""
        for name in {said.name, said.base}:
            self._heard[name] = order
            self._heard.move_to_end(name)
        while len(self._heard) > MAX_NAMES:
            self._heard.popitem(last=False)

    def heard(self, names: Collection[str]) -> int:
        """Return the order of the last line about any of these connections; 0: there was none."""
        return max((self._heard.get(name, 0) for name in names), default=0)

    def restart(self) -> None:
        """Forget the serials of IKE SAs, because another pluto counts from 1 again."""
        for attempts in self._by_name.values():
            attempts.begun = None

    def failure(self, names: Collection[str], after: int) -> tuple[Reason, str | None]:
        """Return why the last attempt with a logged failure failed, and the log line.

        (NONE, None) if no failure was logged after line ``after``. Within an attempt the failure
        with the highest Weight counts, the last one of equals. If that says only that the Child SA
        is missing, the line is an earlier one, perhaps of an earlier attempt, that names the cause
        on this machine (Weight.LOCAL), if there is one after ``after``.
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
        """Return how many attempts began after line ``after``, for the connection with the most.

        The first call for a value of ``after`` counts those that are still kept; further calls
        for the same value count all that have begun since.
        """
        known = (self._by_name.get(name) for name in names)
        return max((a.begun_after(after) for a in known if a is not None), default=0)

    def tried(self, names: Collection[str], after: int) -> float | None:
        """Return when the first attempt after line ``after`` began (wall clock), None if none did.

        Where a loss was logged after ``after``, only attempts behind the last loss count.
        """
        first = None
        for e in self._after(names, after):
            if e.event is LogEvent.LOSS:
                first = None
            elif e.event is LogEvent.ATTEMPT and first is None:
                first = e.at
        return first

    def _of(self, name: str) -> _Attempts:
        """Return what is kept about a connection; empty if nothing was.

        Drop the connections that were used longest ago while more is kept than allowed.
        """
        attempts = self._by_name.get(name)
        if attempts is None:
            attempts = self._by_name[name] = _Attempts()
        self._by_name.move_to_end(name)
        while len(self._by_name) > MAX_NAMES or self._pieces > MAX_PIECES:
            _, old = self._by_name.popitem(last=False)
            self._pieces -= len(old.evidence)
        return attempts

    def _after(self, names: Collection[str], after: int) -> Iterator[Evidence]:
        """Return the evidence about these connections from lines after ``after``, in order."""
        known = [self._by_name[n].evidence for n in names if n in self._by_name]
        found = {e.order: e for kept in known for e in kept if e.order > after}
        return (found[order] for order in sorted(found))


def _same(a: Evidence, b: Evidence) -> bool:
    return (a.event, a.reason, a.weight, a.serial) == (b.event, b.reason, b.weight, b.serial)
