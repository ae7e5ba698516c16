# SPDX-License-Identifier: MIT
"""What pluto logged, remembered as evidence: why SAs ended, and why attempts failed.

A line gives a reason, never a state. It is evidence only about what it names (evidence.py). Before
a failure becomes a reason, it is decided whose attempt failed (incoming.py). All that is kept is
bounded: a peer can make pluto write log lines.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.jsonutil import fields, whole
from ipsecwatch.libreswan.log_lines import (
    LogEvent,
    LossKind,
    Subject,
    interpret,
    interpret_daemon,
    parse_line,
)
from ipsecwatch.libreswan.quick_modes import QuickModes
from ipsecwatch.report import JOURNALD, Role, instance_name
from ipsecwatch.tracking.attempt_log import AttemptLog
from ipsecwatch.tracking.evidence import MAX_LINE, Evidence, Findings
from ipsecwatch.tracking.held_sas import hosts_of
from ipsecwatch.tracking.incoming import Incoming, Whose
from ipsecwatch.tracking.known_sas import KnownSas
from ipsecwatch.tracking.newcomers import Newcomers
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding
    from ipsecwatch.report import LogLine, Report
    from ipsecwatch.tracking.evidence import About
    from ipsecwatch.tracking.held_sas import HeldSas, Hosts

MAX_HOSTS: Final = 1000
"""Names of hosts that are kept."""
STOP_LEAD: Final = 10.0
"""Seconds at most by which a stop of pluto may be logged before its last answer."""
SPENT_AFTER: Final = 2.0
"""Seconds after a line about what ends SAs at once (an interface that goes, a dead peer of another
connection). An SA that a report shows after that time wasn't ended by it."""
CUT_FOR: Final = 30.0
"""Seconds for which the log counts as cut after journald reported that it dropped lines: it reports
that at the end of an interval (30 s by default), and may drop lines in the next one, too."""
TIMER_SLACK: Final = 2.0
"""Seconds between the end of a lifetime and the line about it; timers are printed in seconds."""

# Other units stop too, and a recording may hold what systemd said of them.
_SYSTEMD_STOP: Final = re.compile(
    r"(?=.{0,300}(?:ipsec|pluto|swan|Internet Key Exchange))(?:[^ ]{1,100}: )?"
    r"(?:Stopping |Stopped |Sent signal SIGKILL|Main process exited|Killing process)",
    re.IGNORECASE,
)
_SUPPRESSED: Final = re.compile(r"Suppressed \d{1,20} messages from ", re.ASCII)


class LogEvidence:
    """Remembers what pluto logged, and returns the reasons for lost SAs from it."""

    def __init__(self) -> None:
        self.attempts: Final = AttemptLog()
        self.incoming: Final = Incoming()
        self.newcomers: Final = Newcomers()
        self.sas = KnownSas()
        self._quick_modes = QuickModes()
        self._findings = Findings()
        self._unresolved: OrderedDict[str, str] = OrderedDict()
        """Names of hosts that didn't resolve, where no connection was named, and the lines."""
        self._stopped_at = float("-inf")
        self._started_at = float("-inf")
        """When pluto's last stop, and its last start, were logged, on the wall clock."""
        self._alive_at = float("-inf")
        """When another pluto than the last one was first seen to answer."""
        self._report: Report | None = None
        """The last one that was compared."""
        self._hosts: dict[str, list[Hosts]] | None = None
        """The hosts of each connection in that report, by name; None: not needed yet."""
        self._last_at = float("-inf")
        self.order = 0
        """How many lines have been read: the order of the last one."""
        self._cut: tuple[float, int] = float("-inf"), 0
        """When journald last reported dropped lines (wall clock), and the order of that line."""

    # --- what lines say -------------------------------------------------------------------

    def hear(self, line: LogLine) -> None:
        """Record one line of the log."""
        self.order += 1
        if line.identifier == "systemd":
            if _SYSTEMD_STOP.match(line.text):
                self._stopped_at = line.at
            return
        if line.identifier == JOURNALD:
            if _SUPPRESSED.match(line.text):
                self._cut = line.at, self.order
            return
        said = parse_line(line.text)
        if said is None:
            self._note_pluto(line)
            return
        self.attempts.note_heard(said, self.order)
        self.incoming.note_line(said)
        finding = interpret(said, phase1=self.sas.has_quick_mode(said.serial))
        if finding is not None:
            self._note_finding(line, said, finding)
        self._note_replaced(self.newcomers.note(said, finding, line.at))

    def _note_pluto(self, line: LogLine) -> None:
        """Record a line that doesn't begin with a connection's name.

        It is about pluto's start or stop, a name that doesn't resolve, or a lost address or SA.
        """
        finding = interpret_daemon(line.text)
        if finding is None:
            return
        if finding.event is LogEvent.STOPPED:
            self._stopped_at = line.at
        elif finding.event is LogEvent.STARTED:
            self._started_at = line.at
            self._forget()
        elif finding.subject is Subject.HOST and finding.host is not None:
            self._unresolved[finding.host] = line.text[:MAX_LINE]
            if len(self._unresolved) > MAX_HOSTS:
                self._unresolved.popitem(last=False)
        elif finding.event is LogEvent.LOSS:
            evidence = self._evidence(line, finding, finding.ended)
            if finding.subject is Subject.ADDRESS and finding.address is not None:
                self._findings.add((Subject.ADDRESS, finding.address), evidence)
            elif finding.ended is not None:
                self._findings.add((Subject.SA, str(finding.ended)), evidence)

    def _note_finding(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        """Record what a line says about a connection, as its kind of event requires."""
        about = self._quick_modes.follow(said, finding)
        match finding.event:
            case LogEvent.IKE_ESTABLISHED:
                self.sas.note_ike(said, finding)
                self.incoming.note_ike(said, finding)
            case LogEvent.CHILD_ESTABLISHED:
                self.sas.note_child(said, finding, self.order)
                self.incoming.note_child(said.name)
            case LogEvent.CHILD_REQUESTED if said.serial is not None:
                self.sas.note_quick_mode(said.serial)
            case LogEvent.ATTEMPT:
                self._note_attempt(line, said, finding)
            case LogEvent.FAILURE:
                self._note_failure(line, said, about, finding)
            case LogEvent.LOSS:
                self._note_loss(line, said, finding)

    def _note_attempt(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        """Record that we began a negotiation."""
        self.incoming.note_child(said.name)
        if said.serial is not None:
            self.incoming.note_ours([said.serial])
        if finding.version == 1 and finding.using is not None:
            self.sas.note_quick_mode(finding.using)
        counts = self.attempts.counts(said, finding)
        evidence = replace(self._evidence(line, finding, said.serial), counts=counts)
        self._add_attempt(said, evidence)

    def _note_failure(
        self, line: LogLine, said: ConnectionLine, about: ConnectionLine, finding: Finding
    ) -> None:
        """Record the failure of an attempt of ours, or of one from outside.

        ``about`` is the line of the attempt: another one than ``said`` where connections share SAs.
        """
        evidence = self._evidence(line, finding, said.serial)
        whose = self.incoming.whose(said, finding)
        if whose is Whose.OURS:
            self._add_attempt(about, evidence)
        else:
            self.incoming.add(said, whose, evidence)

    def _add_attempt(self, said: ConnectionLine, evidence: Evidence) -> None:
        # pluto drops an instance with its failed attempt; its template remains listed.
        for name in {said.name, said.base}:
            self.attempts.add(name, evidence)

    def _note_loss(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        """Record the end of an SA, unless another SA had replaced it before."""
        serial = finding.ended or said.serial
        if serial is not None and self.sas.is_succeeded(serial, said.name, finding):
            return
        evidence = self._evidence(line, finding, serial)
        self.attempts.add(said.name, evidence)
        for about in self._subjects(said, finding, serial):
            self._findings.add(about, evidence)

    def _subjects(
        self, said: ConnectionLine, finding: Finding, serial: int | None
    ) -> Iterable[About]:
        """Return what a loss is evidence about: the SA alone, or the connection (and its peer)."""
        if finding.subject is Subject.SA and serial is not None:
            yield Subject.SA, str(serial)
            return
        yield Subject.CONNECTION, said.name
        if finding.subject is Subject.PEER:
            for hosts in self._hosts_of(said.name):
                yield Subject.PEER, " ".join(hosts)

    def _note_replaced(self, name: str | None) -> None:
        """Change the reason for an instance's end to REPLACED, if its last line may mean that.

        ``name`` is the instance's; do nothing for None.
        """
        if name is None:
            return
        about = Subject.CONNECTION, name
        for e in self._findings.about(about)[-1:]:
            if e.end is LossKind.AMBIGUOUS or e.reason is Reason.REPLACED:
                self._findings.change(about, e, _replaced(e))

    def _evidence(self, line: LogLine, finding: Finding, serial: int | None) -> Evidence:
        return Evidence(
            self.order, line.at, finding.event, finding.reason, finding.weight, serial,
            line.text[:MAX_LINE], finding.end,
        )  # fmt: skip

    def _hosts_of(self, name: str) -> list[Hosts]:
        if self._hosts is None:
            listed = self._report.connections if self._report is not None else ()
            self._hosts = {c.full_name: hosts_of(c) for c in listed}
        return self._hosts.get(name, [])

    # --- what reports show ----------------------------------------------------------------

    def compare(self, report: Report, at: float) -> None:
        """Record what a report shows, and forget the findings that are no longer needed.

        Those about SAs and connections of this report and of the one before it are kept, since the
        reason for their end may still be asked for. So is what was logged after that earlier
        report, or up to SPENT_AFTER seconds before it. ``at`` is the report's time (wall clock).
        """
        before, last_at = self._report, self._last_at
        self._report, self._hosts, self._last_at = report, None, at
        self.incoming.note_ours(s.serial for s in report.states if s.role is Role.INITIATOR)
        self._quick_modes.keep({s.serial for s in report.states})
        if self._findings:
            states = (*report.states, *(before.states if before is not None else ()))
            still = {(Subject.SA, str(s.serial)) for s in states}
            still |= {(Subject.CONNECTION, instance_name(*s.key)) for s in states}
            late = last_at - SPENT_AFTER
            self._findings.keep(lambda about, newest: about in still or newest.at > late)

    def forget(self, at: float) -> None:
        """Forget what is true of one pluto only: at ``at`` (wall clock) another one answered.

        If its start was logged already, the rest was forgotten then.
        """
        if self._started_at <= self._alive_at:  # else the lines since are the new one's
            self._forget()
        self._alive_at = at

    def _forget(self) -> None:
        self._unresolved.clear()
        self._findings.clear()
        self.attempts.restart()
        self.incoming.forget()
        self._quick_modes.clear()
        self.sas = KnownSas()

    def dump(self) -> dict[str, Any]:
        """Return as plain values what a restarted service needs: the order and the findings."""
        return {"heard": self.order, "findings": self._findings.dump()}

    def load(self, kept: object) -> None:
        """Restore what dump() returned. Raise JsonError if dump() can't have made it."""
        values = _KEPT(kept)
        self.order = values["heard"]
        self._findings.load(values["findings"])

    # --- what is asked --------------------------------------------------------------------

    def loss(self, held: HeldSas) -> tuple[Reason, str | None]:
        """Return why SAs ended, and the log line; OTHER where nothing was logged about that.

        Where pluto itself stopped or was restarted, that is the reason, without a line.

        The first cause counts: after the line about a dead peer, or a stop of pluto, the same
        lines follow as after a deletion by hand. Of the lines with that reason, the one with the
        highest weight is returned.
        """
        if self._started_at > held.seen:
            return Reason.PLUTO_RESTARTED, None
        if self._stopped_at > max(self._started_at, self._alive_at, held.seen - STOP_LEAD):
            return Reason.PLUTO_STOPPED, None
        told = self._about(held)
        if not told:
            return Reason.OTHER, None
        same = [e for e in told if e.reason is told[0].reason]
        return _meaning(told[0], held), max(same, key=lambda e: e.weight).line

    def has_heard(self, names: Collection[str], after: int, now: float) -> bool:
        """Return whether the log has a line about any of these connections after line ``after``.

        False while the journal may lack lines (``now``: wall clock). Only if this is true does the
        absence of a logged failure mean anything.
        """
        cut_at, order = self._cut
        is_cut = 0 <= now - cut_at < CUT_FOR
        return not is_cut and self.attempts.heard(names) > max(after, order)

    def unresolved(self, host: str) -> str | None:
        """Return the log line that says that a host's name doesn't resolve, or None.

        Only lines count that name no connection.
        """
        return self._unresolved.get(host)

    def lost_between(self, held: HeldSas, successors: Collection[int]) -> bool:
        """Return whether the log shows that SAs ended before the first of ``successors`` came.

        False if only older SAs ended, and a newer one of the same tunnel carried the traffic on.
        """
        came = self.sas.came(successors)
        early = [e for e in self._about(held) if came is None or e.order < came]
        return bool(early) and not self._outlived(held, early)

    def _outlived(self, held: HeldSas, ends: Iterable[Evidence]) -> bool:
        """Return whether a newer Child SA outlived those that ended, and carried the traffic.

        Both sides may have begun at once: then a connection has two, each under its own IKE SA.
        """
        orders = {e.order for e in ends}
        ended = {s for s in held.serials if orders & self._of_sa(s).keys()}
        if orders - {order for s in ended for order in self._of_sa(s)}:
            return False  # a connection, an address or a peer: all that there was
        newest = max(held.children, default=0)
        return newest not in ended and held.parents.get(newest, newest) not in {*ended, newest}

    def _of_sa(self, serial: int) -> dict[int, Evidence]:
        return {e.order: e for e in self._findings.about((Subject.SA, str(serial)))}

    def _about(self, held: HeldSas) -> list[Evidence]:
        """Return the evidence about the end of these SAs, in the order of the log.

        Besides the SAs, it may name their successors, connections, addresses or peers. What these
        lines said before the SAs were established isn't about them; only a line with a Child SA's
        own serial always is.
        """
        births = self.sas.births(held.children)
        first = min(births.values(), default=held.born)
        late = held.seen - SPENT_AFTER
        found: dict[int, Evidence] = {}
        for serial in self.sas.with_heirs(held.serials, held.names):
            born = 0 if serial in held.children else first
            lasts = not held.at_once
            found |= self._told((Subject.SA, str(serial)), born, late, lasts=lasts)
        for name in held.names:
            about = Subject.CONNECTION, name
            born = births.get(name, held.born)
            found |= self._told(about, born, late, lasts=not held.at_once)
        for local, remote in held.hosts:
            for about in ((Subject.ADDRESS, local), (Subject.PEER, f"{local} {remote}")):
                found |= self._told(about, first, late, lasts=False)
        return [found[order] for order in sorted(found)]

    def _told(self, about: About, born: int, late: float, *, lasts: bool) -> dict[int, Evidence]:
        """Return the findings about one thing from lines after ``born``, by order.

        ``lasts``: they count however long ago they were logged. Otherwise those before ``late``
        (wall clock) are left out: they would have ended the SAs before these were last seen.
        """
        told = self._findings.about(about)
        return {e.order: e for e in told if e.order > born and (lasts or e.at > late)}


def _anything(value: object) -> object:
    return value


_KEPT: Final = fields({"heard": whole(0, 1 << 53), "findings": _anything})


def _replaced(e: Evidence) -> Evidence:
    return replace(e, reason=Reason.REPLACED, end=LossKind.ANY)


def _meaning(cause: Evidence, held: HeldSas) -> Reason:
    """Return the reason that the first line about a loss means for these SAs.

    Words that fit several causes are decided by the SAs' successor, IKE version and expiry.
    """
    if held.successor and cause.end is LossKind.UNEXPLAINED:
        return Reason.REPLACED
    if cause.end is not LossKind.UNEXPLAINED:
        return cause.reason
    by_peer = cause.reason is Reason.PEER_DELETED
    if by_peer and cause.serial not in held.ikev1:
        return cause.reason
    # Our side ended it, or it is IKEv1's, where pluto would have logged the peer's Delete.
    due = held.expiries.get(cause.serial or 0)
    if due is not None and abs(cause.at - due) <= TIMER_SLACK:
        return Reason.EXPIRED
    return Reason.OTHER if by_peer else cause.reason
