# SPDX-License-Identifier: MIT
"""What pluto logged about each connection, remembered: evidence for losses and failures.

A line gives a reason, never a state. Bounded in every direction: a peer can make pluto log, and
can make instances of a connection for anybody.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import (
    ConnectionLine,
    Finding,
    LogEvent,
    LossKind,
    Weight,
    interpret,
    parse_line,
)
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.report import LogLine

MAX_NAMES: Final = 20_000
"""Connections of which evidence is kept; more than any pluto is known to have loaded."""
MAX_EVIDENCE: Final = 24
"""Pieces of evidence kept for one connection."""
MAX_PIECES: Final = 60_000
"""Pieces of evidence kept in all: 40 MB if somebody makes all lines long, else a quarter."""
MAX_SERIALS: Final = 20_000
"""SAs of which something is kept."""
MAX_KEPT: Final = 400
"""Characters of a line that are kept, for people to read."""
AMBIGUOUS: Final = 2.0
"""Seconds within which one cause takes down the next connection after the last."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one log line says about one connection. ``order`` counts the lines that were heard."""

    order: int
    event: LogEvent
    reason: Reason
    weight: Weight
    serial: int | None
    line: str
    counts: bool = False
    """An ATTEMPT that is one of its own, not the second half of one."""
    at: float = 0.0
    """When it was logged, on the wall clock."""


@dataclass(slots=True)
class _ConnectionLog:
    """What is kept of one connection."""

    evidence: deque[Evidence] = field(default_factory=lambda: deque(maxlen=MAX_EVIDENCE))
    attempts: int = 0
    """Negotiations begun by us, ever."""
    since: tuple[int, int] = (-1, 0)
    """An order that attempts were asked for, and how many there had been before it."""
    begun: int | None = None
    """An IKE SA of which the first Child belongs to the same attempt."""
    child: int = 0
    """The newest Child SA that was established."""
    ike: int = 0
    """The newest IKE SA that was established anew (IKEv2, no rekey)."""


# Other units stop too, and a recording may hold what systemd said of them.
_SYSTEMD_STOP: Final = re.compile(
    r"(?=.{0,300}(?:ipsec|pluto|swan|Internet Key Exchange))(?:[^ ]{1,100}: )?"
    r"(?:Stopping |Stopped |Sent signal SIGKILL|Main process exited|Killing process)",
    re.IGNORECASE,
)
_PLUTO_STOP: Final = frozenset({"shutting down", "Pluto is shutting down"})  # to 4.15; 4.0
_UNPLUGGED: Final = "shutting down interface "


class LogEvidence:
    """Remembers what pluto logged about each connection."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, _ConnectionLog] = OrderedDict()
        self._by_serial: OrderedDict[int, deque[Evidence]] = OrderedDict()
        self._children: OrderedDict[int, str] = OrderedDict()
        """Child SAs that were established, with the name of their connection."""
        self._pieces = 0
        self._stopping = 0
        self._burst = (Reason.NONE, 0.0)
        """What takes down one connection after the other, and when it last did."""
        self._knock: tuple[str, str, float] = ("", "", 0.0)
        """Base and name of the connection whose peer last showed who it is, and when."""
        self._phase1: set[int] = set()
        """IKEv1 SAs (phase 1) that are established."""
        self._quick: set[int] = set()
        """Those under which a Child was asked for (Quick Mode)."""
        self._rekeyed: set[int] = set()
        """IKE SAs in whose place another came."""
        self._fresh: set[int] = set()
        """IKE SAs heard of since they were last compared with a report."""
        self.order = 0
        """How many lines have been heard; evidence after now will have a higher order."""
        self.carriers: set[int] = set()
        """IKE SAs that have had a Child SA, seen by a poll or not."""
        self.origins: dict[int, int] = {}
        """For an IKE SA that took another's place in a rekey, that one; for a new one, itself."""

    # --- hearing --------------------------------------------------------------------------

    def hear(self, line: LogLine) -> None:
        """Take note of one line of the journal."""
        self.order += 1
        if line.identifier == "systemd":
            if _SYSTEMD_STOP.match(line.text):
                self._stopping = self.order
            return
        said = parse_line(line.text)
        if said is None:
            self._note_pluto(line)
            return
        finding = interpret(said, phase1=said.serial in self._quick)
        if finding is not None:
            self._take(line, said, finding)

    def _note_pluto(self, line: LogLine) -> None:
        """Take note of what pluto says of itself."""
        if line.text in _PLUTO_STOP:
            self._stopping = self.order
        elif line.text.startswith(_UNPLUGGED):
            self._burst = (Reason.UNREACHABLE, line.at)

    def _take(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        match finding.event:
            case LogEvent.PEER_IDENTIFIED:
                self._knock = (said.base, said.name, line.at)
            case LogEvent.IKE_ESTABLISHED:
                self._knock = (said.base, said.name, line.at)
                self._note_ike(said, finding)
            case LogEvent.CHILD_ESTABLISHED:
                self._note_child(said, finding)
                self._keep(line, said, finding, said.serial)
            case LogEvent.CHILD_REQUESTED if said.serial is not None:
                self._note_fresh(said.serial)
                self._quick.add(said.serial)
            case LogEvent.ATTEMPT | LogEvent.FAILURE:
                if finding.version == 1 and finding.using is not None:
                    self._note_fresh(finding.using)
                    self._quick.add(finding.using)
                self._keep(line, said, finding, said.serial)
            case LogEvent.LOSS:
                self._note_loss(line, said, finding)

    def _note_ike(self, said: ConnectionLine, finding: Finding) -> None:
        """Learn of an IKE SA that is established."""
        if said.serial is None:
            return
        self._note_fresh(said.serial)
        if finding.version == 1:
            self._phase1.add(said.serial)
            return
        self.origins[said.serial] = finding.rekeyed or said.serial
        if finding.rekeyed is None:
            self._past(said.name).ike = said.serial
        else:
            self._rekeyed.add(finding.rekeyed)

    def _note_fresh(self, serial: int) -> None:
        """Learn of an IKE SA; forget the oldest where no report ever comes to compare them with."""
        if len(self._fresh) >= MAX_SERIALS:
            self.keep(())
        self._fresh.add(serial)

    def _note_child(self, said: ConnectionLine, finding: Finding) -> None:
        """Learn of a Child SA that is established."""
        if finding.using is not None:
            self._note_fresh(finding.using)
            self.carriers.add(finding.using)
        if said.serial is None:
            return
        past = self._past(said.name)
        past.child = max(past.child, said.serial)
        self._children[said.serial] = said.name
        if len(self._children) > MAX_SERIALS:
            self._children.popitem(last=False)

    def _note_loss(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        """Take note of an end, unless another SA had taken its place before."""
        serial = finding.ended or said.serial
        if serial is not None and self._replaced(serial, said.name, finding):
            return
        if finding.end is LossKind.AMBIGUOUS:
            finding = self._cause(line, said, finding)
        elif finding.reason is Reason.PEER_DEAD:
            self._burst = (Reason.PEER_DEAD, line.at)
        self._keep(line, said, finding, serial)

    def _replaced(self, serial: int, name: str, finding: Finding) -> bool:
        """Return whether an SA that ends is no loss, because its successor is there."""
        if serial in self._rekeyed:
            return True
        if serial in self._phase1 and finding.reason in (Reason.OTHER, Reason.EXPIRED):
            return True  # its Children outlive it
        past = self._by_name.get(self._children.get(serial, name))
        if past is None:
            return False
        if serial in self._children and past.child > serial:
            return True
        # A peer that comes anew (INITIAL_CONTACT): the old SAs go, then the new Child comes.
        return finding.end is LossKind.UNEXPLAINED and past.ike > serial

    def _cause(self, line: LogLine, said: ConnectionLine, finding: Finding) -> Finding:
        """Say what takes a connection down where the words are the same for several causes."""
        reason, at = self._burst
        if reason is not Reason.NONE and abs(line.at - at) <= AMBIGUOUS:
            self._burst = (reason, line.at)
        else:
            base, name, at = self._knock
            another = base == said.base and name != said.name and abs(line.at - at) <= AMBIGUOUS
            # From 5.0 on an instance goes so when its peer comes anew, as another instance.
            reason = Reason.OTHER if another else finding.reason
        return Finding(finding.event, reason)

    # --- keeping --------------------------------------------------------------------------

    def _past(self, name: str) -> _ConnectionLog:
        past = self._by_name.get(name)
        if past is None:
            past = self._by_name[name] = _ConnectionLog()
        self._by_name.move_to_end(name)
        while len(self._by_name) > MAX_NAMES or self._pieces > MAX_PIECES:
            _, old = self._by_name.popitem(last=False)
            self._pieces -= len(old.evidence)
        return past

    def _keep(
        self, line: LogLine, said: ConnectionLine, finding: Finding, serial: int | None
    ) -> None:
        past = self._past(said.name)
        counts = finding.event is LogEvent.ATTEMPT and _begins(past, said, finding)
        evidence = Evidence(
            self.order, finding.event, finding.reason, finding.weight, serial,
            line.text[:MAX_KEPT], counts, line.at,
        )  # fmt: skip
        self._add(past, evidence)
        if said.base != said.name and finding.event in (LogEvent.ATTEMPT, LogEvent.FAILURE):
            # An instance goes with its failure; the template is what stays to be asked about.
            self._add(self._past(said.base), evidence)
        if serial is not None and finding.event in (LogEvent.CHILD_ESTABLISHED, LogEvent.LOSS):
            self._by_serial.setdefault(serial, deque(maxlen=4)).append(evidence)
            self._by_serial.move_to_end(serial)
            if len(self._by_serial) > MAX_SERIALS:
                self._by_serial.popitem(last=False)

    def _add(self, past: _ConnectionLog, evidence: Evidence) -> None:
        """Add evidence; a failure that is only said again takes the place of the last."""
        kept = past.evidence
        past.attempts += evidence.counts
        if kept and evidence.event is LogEvent.FAILURE and _same(kept[-1], evidence):
            kept[-1] = evidence
            return
        self._pieces += len(kept) < MAX_EVIDENCE
        kept.append(evidence)

    def keep(self, serials: Collection[int]) -> None:
        """Forget all IKE SAs but these, and those that the log knows sooner than the report."""
        kept = self._fresh.union(serials)
        self._fresh = set()
        self.carriers &= kept
        self._phase1 &= kept
        self._quick &= kept
        self._rekeyed &= kept.union(self.origins.values())
        self.origins = {s: old for s, old in self.origins.items() if s in kept}

    def forget(self) -> None:
        """Forget serials and the end of the last pluto: another one counts from 1 again."""
        self._stopping = 0
        self._by_serial.clear()
        self._children.clear()
        self.carriers.clear()
        self.origins.clear()
        self._phase1.clear()
        self._quick.clear()
        self._rekeyed.clear()
        self._fresh.clear()
        for past in self._by_name.values():
            past.child = past.ike = 0
            past.begun = None

    # --- asking ---------------------------------------------------------------------------

    def loss(
        self, names: Collection[str], serials: Collection[int], after: int
    ) -> tuple[Reason, str | None]:
        """Say why SAs of these connections, with these serials, ended after ``after``.

        The first cause counts: a peer that is found dead, or a stop of pluto, is followed by the
        same lines as a deletion by hand. What was before these SAs were established is none.
        OTHER where nothing was logged. The line is the one that says most.
        """
        if self._stopping > after:
            return Reason.PLUTO_STOPPED, None
        cause: Evidence | None = None
        for e in self._after(names, serials, after):
            if e.event is LogEvent.CHILD_ESTABLISHED and e.serial in serials:
                cause = None
            elif e.event is LogEvent.LOSS and _concerns(e, serials) and _explains(e, cause):
                cause = e
        return (cause.reason, cause.line) if cause else (Reason.OTHER, None)

    def lost_between(
        self, names: Collection[str], serials: Collection[int], after: int, since: int
    ) -> bool:
        """Return whether the Child SAs ``serials`` ended before their successors came.

        The successors came after ``since``; what is older than ``after`` doesn't count.
        """
        lost = False
        for e in self._after(names, serials, after):
            if (
                e.event is LogEvent.CHILD_ESTABLISHED
                and e.serial not in serials
                and e.order > since
            ):
                return lost
            if e.event is LogEvent.LOSS and _concerns(e, serials):
                lost = True
            elif e.event is LogEvent.CHILD_ESTABLISHED:
                lost = False
        return lost

    def failure(self, names: Collection[str], after: int) -> tuple[Reason, str | None]:
        """Say why the last attempt that failed did; NONE where nothing was logged.

        Within an attempt what explains most counts (Weight), and of equals the last. The line
        that names what is in the way here is told as long as nothing else than a missing Child
        is said after it.
        """
        best: Evidence | None = None
        current: Evidence | None = None
        in_the_way: Evidence | None = None
        for e in self._after(names, (), after):
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

    def attempts(self, names: Collection[str], after: int) -> int:
        """Count the negotiations begun after ``after``, of the connection with the most.

        Asking again for the same ``after`` counts all, however many there are; asking for the
        first time, those that are still remembered.
        """
        pasts = (self._by_name.get(name) for name in names)
        return max((_attempts(past, after) for past in pasts if past is not None), default=0)

    def tried(self, names: Collection[str], after: int) -> float | None:
        """Say when the first negotiation after ``after`` was begun, on the wall clock.

        One that was taken back, or lost what it had brought, is none of those that came later.
        """
        first = None
        for e in self._after(names, (), after):
            if e.event is LogEvent.LOSS:
                first = None
            elif e.event is LogEvent.ATTEMPT and first is None:
                first = e.at
        return first

    def _after(
        self, names: Collection[str], serials: Collection[int], after: int
    ) -> list[Evidence]:
        """List what was heard after ``after``, in order."""
        heard = [self._by_name[n].evidence for n in names if n in self._by_name]
        heard += [self._by_serial[s] for s in serials if s in self._by_serial]
        found = {e.order: e for kept in heard for e in kept if e.order > after}
        return [found[order] for order in sorted(found)]


def _begins(past: _ConnectionLog, said: ConnectionLine, finding: Finding) -> bool:
    """Return whether this is an attempt of its own: a phase 2 isn't that follows its phase 1."""
    if finding.using is None:
        past.begun = said.serial
        return True
    follows = finding.version == 1 and finding.using == past.begun
    past.begun = None if follows else past.begun
    return not follows


def _attempts(past: _ConnectionLog, after: int) -> int:
    if past.since[0] != after:
        later = sum(e.counts for e in past.evidence if e.order > after)
        past.since = (after, past.attempts - later)
    return past.attempts - past.since[1]


def _same(a: Evidence, b: Evidence) -> bool:
    return (a.event, a.reason, a.weight, a.serial) == (b.event, b.reason, b.weight, b.serial)


def _explains(e: Evidence, cause: Evidence | None) -> bool:
    """Return whether a loss is the first cause, or a better word for it."""
    return cause is None or (e.reason is cause.reason and e.weight > cause.weight)


def _concerns(e: Evidence, serials: Collection[int]) -> bool:
    return e.serial is None or e.serial in serials
