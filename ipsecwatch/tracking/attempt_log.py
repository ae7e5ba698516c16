# SPDX-License-Identifier: MIT
"""What pluto logged about our attempts to bring connections up: how many, since when, and failures.

All that is kept is bounded, because a peer can make pluto write log lines, and can make it create
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
"""How many connections are remembered at most; no pluto is known to have loaded so many."""
MAX_EVIDENCE: Final = 24
"""How many pieces of evidence are kept of one connection: the newest."""
MAX_PIECES: Final = 60_000
"""How many pieces of evidence are kept of all connections together. They take 40 MB if all lines
are long, and usually a quarter of that."""


@dataclass(slots=True)
class _Attempts:
    """The evidence that is kept of one connection, and the number of its attempts.

    For a template, both include those of its instances.
    """

    evidence: deque[Evidence] = field(default_factory=lambda: deque(maxlen=MAX_EVIDENCE))
    total: int = 0
    """How many attempts were logged, including those whose evidence has been dropped."""
    since: tuple[int, int] = (-1, 0)
    """The last argument of begun_after(), which is the order of a line, and how much of ``total``
    had begun by that line."""
    begun: int | None = None
    """The serial of the IKE SA that we began last, until we begin a phase 2 (Quick Mode) under it:
    in IKEv1 both are one attempt. None: there is no such IKE SA."""

    def counts(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether a line with the event ATTEMPT begins a new attempt.

        It doesn't if it is the first phase 2 (Quick Mode) under the IKEv1 phase 1 that we began
        last: both together are one attempt. Each further phase 2 is a new attempt. Update ``begun``
        for the next call.
        """
        if finding.using is None:
            self.begun = said.serial
            return True
        follows = finding.version == 1 and finding.using == self.begun
        self.begun = None if follows else self.begun
        return not follows

    def add(self, evidence: Evidence) -> int:
        """Keep a piece of evidence. Return 1 if more pieces are kept than before, else 0.

        A failure replaces the newest piece if that is a failure of the same SA, with the same
        reason and weight. If MAX_EVIDENCE pieces are kept, the oldest is dropped. In both cases 0
        is returned.
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
        """Return how many attempts were logged after the line whose order is ``order``.

        At the first call with an ``order``, only attempts whose evidence is still kept are counted.
        While the next calls have the same ``order``, attempts that were logged after the first call
        stay counted, even if their evidence has been dropped.
        """
        if self.since[0] != order:
            later = sum(e.counts for e in self.evidence if e.order > order)
            self.since = (order, self.total - later)
        return self.total - self.since[1]


class AttemptLog:
    """Keeps the logged attempts, failures and losses of each connection.

    The caller adds an instance's attempts and failures a second time, under its template's name.
    """

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, _Attempts] = OrderedDict()
        self._pieces = 0
        self._last_lines: OrderedDict[str, int] = OrderedDict()
        """By the name of a connection or template: the order of the last line about it, whatever
        that line says. This is kept apart from the evidence, so that lines which a stranger causes
        can't push out any evidence."""
        self._begun: dict[str, int] = {}
        """By the name of a connection or template: the order of its first attempt since the last
        call of take_failed()."""
        self._failed: dict[str, int] = {}
        """The same, for those of which an attempt has failed since then."""

    def counts(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether a line with the event ATTEMPT begins a new attempt.

        It doesn't if it is the first phase 2 (Quick Mode) under the IKEv1 phase 1 that we began
        last for this connection: both are one attempt. Call this once for each such line, in the
        log's order, because the last phase 1 is remembered.
        """
        return self._of(said.name).counts(said, finding)

    def is_in_phase_1(self, said: ConnectionLine) -> bool:
        """Return whether a line is about the IKE SA of our last attempt, before its phase 2."""
        attempts = self._by_name.get(said.name)
        return attempts is not None and said.serial is not None and attempts.begun == said.serial

    def add(self, name: str, evidence: Evidence) -> None:
        """Keep a piece of evidence about the connection ``name`` (``rw[3]``, or ``rw``).

        If too much is kept, drop all about the connections that got nothing new for longest.
        """
        attempts = self._of(name)  # first of all: it may drop other connections' evidence
        self._pieces += attempts.add(evidence)
        if evidence.event is LogEvent.ATTEMPT and len(self._begun) < MAX_NAMES:
            self._begun.setdefault(name, evidence.order)
        elif evidence.event is LogEvent.FAILURE and name in self._begun:
            self._failed[name] = self._begun[name]

    def take_failed(self) -> dict[str, int]:
        """Return the connections whose attempts both began and failed since the last call.

        With each comes the order of the line that logged the first of these attempts. Left out are
        attempts from before a Child SA of the connection came, and those of an earlier pluto.
        """
        failed, self._failed, self._begun = self._failed, {}, {}
        return failed

    def note_child(self, said: ConnectionLine) -> None:
        """Record that a connection got a Child SA, so that take_failed() leaves out what failed."""
        for name in {said.name, said.base}:
            self._begun.pop(name, None)
            self._failed.pop(name, None)

    def note_line(self, said: ConnectionLine, order: int) -> None:
        """Record that the line number ``order`` is about a connection, and so about its template.

        It counts whatever it says.
        """
        for name in {said.name, said.base}:
            self._last_lines[name] = order
            self._last_lines.move_to_end(name)
        while len(self._last_lines) > MAX_NAMES:
            self._last_lines.popitem(last=False)

    def last_line(self, names: Collection[str]) -> int:
        """Return the order of the last line about any of these connections, whatever it says.

        0 if no such line was read.
        """
        return max((self._last_lines.get(name, 0) for name in names), default=0)

    def restart(self) -> None:
        """Forget which IKE SA each connection began last: another pluto counts from 1 again.

        All evidence is kept, but take_failed() leaves out the attempts until now.
        """
        self._begun.clear()
        self._failed.clear()
        for attempts in self._by_name.values():
            attempts.begun = None

    def failure(self, names: Collection[str], after: int) -> tuple[Reason, str | None]:
        """Return the reason of the last logged failure of these connections, and its log line.

        (NONE, None) if none was logged after line ``after``. If the last attempt that failed has
        several failures, the one with the highest Weight counts, and of equals the last. If its
        reason is CHILD_MISSING, its line says nothing about the cause. Then the line returned is,
        if possible, that of an earlier failure with this reason and Weight.LOCAL, which names the
        cause on this machine. That failure may belong to an earlier attempt.
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
        """Return how many attempts of a connection were logged after line ``after``.

        Of several ``names``, the highest number of one of them is returned; 0: there were none. The
        first call with an ``after`` counts the attempts whose evidence is still kept. The next
        calls with the same ``after`` add all that were logged since that first call.
        """
        known = (self._by_name.get(name) for name in names)
        return max((a.begun_after(after) for a in known if a is not None), default=0)

    def tried(self, names: Collection[str], after: int) -> float | None:
        """Return when the first attempt after line ``after`` was logged (wall clock); None: none.

        If a loss of these connections was logged after ``after``, only attempts after the last loss
        count.
        """
        first = None
        for e in self._after(names, after):
            if e.event is LogEvent.LOSS:
                first = None
            elif e.event is LogEvent.ATTEMPT and first is None:
                first = e.at
        return first

    def _of(self, name: str) -> _Attempts:
        """Return the _Attempts of a connection, and add empty ones if there are none.

        If more is kept than allowed, drop the connections for which this was called longest ago.
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
        """Return the evidence about these connections from lines after ``after``, oldest first."""
        known = [self._by_name[n].evidence for n in names if n in self._by_name]
        found = {e.order: e for kept in known for e in kept if e.order > after}
        return (found[order] for order in sorted(found))


def _same(a: Evidence, b: Evidence) -> bool:
    return (a.event, a.reason, a.weight, a.serial) == (b.event, b.reason, b.weight, b.serial)
