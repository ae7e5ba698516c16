# SPDX-License-Identifier: MIT
"""What pluto logged, kept as evidence of why SAs ended, and why attempts failed.

A line gives a reason, never a state. It is evidence only about the thing that it names
(evidence.py). Before a failure becomes a reason, it is decided whose attempt failed (incoming.py).
All that is kept is bounded: a peer can make pluto write log lines.
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
from ipsecwatch.tracking.observation import is_child
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding
    from ipsecwatch.report import LogLine, Report
    from ipsecwatch.tracking.evidence import About
    from ipsecwatch.tracking.held_sas import HeldSas, Hosts

MAX_HOSTS: Final = 1000
"""How many names of hosts that didn't resolve are kept."""
STOP_LEAD: Final = 10.0
"""Seconds by which a stop of pluto may be logged before pluto's last answer, at most."""
SPENT_AFTER: Final = 2.0
"""Seconds after a line about an event that ends SAs at once (an interface that goes, a dead peer of
another connection). If a report that is later than this still shows an SA, the event hasn't ended
that SA."""
CUT_FOR: Final = 30.0
"""Seconds for which the log counts as cut, after journald reported that it dropped lines. It
reports that at the end of an interval (30 s by default), and may drop lines in the next interval,
too."""
TIMER_SLACK: Final = 2.0
"""Seconds by which the time of a line about an SA's end and the end of its lifetime may differ, if
the lifetime is taken for the cause. pluto prints timers in whole seconds."""

# Other units stop too, and a recording may hold what systemd said of them.
_SYSTEMD_STOP: Final = re.compile(
    r"(?=.{0,300}(?:ipsec|pluto|swan|Internet Key Exchange))(?:[^ ]{1,100}: )?"
    r"(?:Stopping |Stopped |Sent signal SIGKILL|Main process exited|Killing process)",
    re.IGNORECASE,
)
_SUPPRESSED: Final = re.compile(r"Suppressed \d{1,20} messages from ", re.ASCII)


class LogEvidence:
    """Remembers what pluto logged, and finds in it why SAs were lost."""

    def __init__(self) -> None:
        self.attempts: Final = AttemptLog()
        self.incoming: Final = Incoming()
        self.newcomers: Final = Newcomers()
        self.sas = KnownSas()
        self._quick_modes = QuickModes()
        self._findings = Findings()
        self._unresolved: OrderedDict[str, str] = OrderedDict()
        """By the name of a host: pluto's line that it doesn't resolve, where that line names no
        connection."""
        self._stopped_at = float("-inf")
        self._started_at = float("-inf")
        """When the last start of pluto was logged, and in ``_stopped_at`` the last stop, on the
        wall clock; -inf: none was."""
        self._alive_at = float("-inf")
        """When another pluto than before was first seen to answer, on the wall clock; -inf: none
        was."""
        self._report: Report | None = None
        """The report that compare() got last; None: it got none."""
        self._hosts: dict[str, list[Hosts]] | None = None
        """By connection: the hosts of each in that report; None: they haven't been needed yet."""
        self._last_at = float("-inf")
        self.order = 0
        """How many lines have been read. That is the order of the last line."""
        self.reads = False
        """Whether any of these was read by this run of the service."""
        self._cut: tuple[float, int] = float("-inf"), 0
        """When journald's last line about dropped lines was logged (wall clock), and the order of
        that line."""

    # --- what lines say -------------------------------------------------------------------

    def add_log_line(self, line: LogLine) -> None:
        """Record one line: of pluto, of systemd about a stop, of journald about dropped lines.

        Any other line of systemd or journald is only counted in ``order``.
        """
        self.order += 1
        self.reads = True
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
        self.attempts.note_line(said, self.order)
        self.incoming.note_line(said)
        finding = interpret(said, phase1=self.sas.has_quick_mode(said.serial))
        if finding is not None:
            self._note_finding(line, said, finding)
        self._note_replaced(self.newcomers.note(said, finding, line.at))

    def _note_pluto(self, line: LogLine) -> None:
        """Record a line of pluto that doesn't begin with a connection's name.

        It may be about pluto's start or stop, a name that doesn't resolve, or a lost address or SA.
        Any other is ignored.
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
        """Record what a line about a connection is evidence of, by the kind of event."""
        about = self._quick_modes.follow(said, finding)
        match finding.event:
            case LogEvent.IKE_ESTABLISHED:
                self.sas.note_ike(said, finding)
                self.incoming.note_ike(said, finding)
            case LogEvent.CHILD_ESTABLISHED:
                self.sas.note_child(said, finding, self.order)
                self.incoming.note_child(said.name)
                self.attempts.note_child(said)
            case LogEvent.REKEY if finding.rekeyed is not None:
                self.sas.note_rekey(finding.rekeyed)
            case LogEvent.CHILD_REQUESTED if said.serial is not None:
                self.sas.note_quick_mode(said.serial)
            case LogEvent.ATTEMPT:
                self._note_attempt(line, said, finding)
            case LogEvent.FAILURE:
                self._note_failure(line, said, about, finding)
            case LogEvent.LOSS:
                self._note_loss(line, said, finding)

    def _note_attempt(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        """Record a line that tells that we began a negotiation."""
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
        """Record a failure: of an attempt of ours under our attempts, else with those from outside.

        ``said`` is the line itself. ``about`` is the line of the attempt that failed. That is
        another one where connections share an IKEv1 SA, and the failure is logged by the name of
        the wrong one.
        """
        evidence = self._evidence(line, finding, said.serial)
        whose = self.incoming.whose(said, finding)
        if finding.reason is Reason.PEER_DELETED and self._has_failed_in_phase_1(said):
            whose = Whose.OURS
        if whose is Whose.OURS:
            self._add_attempt(about, evidence)
        else:
            self.incoming.add(said, whose, evidence)

    def _has_failed_in_phase_1(self, said: ConnectionLine) -> bool:
        """Return whether a line about the end of an IKEv1 SA (phase 1) ends an attempt of ours.

        It doesn't if the connection had a Child SA in the last report: then this phase 1 replaced
        another one, and needed no phase 2.
        """
        if not self.attempts.is_in_phase_1(said):
            return False
        states = self._report.states if self._report is not None else ()
        return not any(is_child(s) and instance_name(*s.key) == said.name for s in states)

    def _add_attempt(self, said: ConnectionLine, evidence: Evidence) -> None:
        # pluto drops an instance with its failed attempt; its template remains listed.
        for name in {said.name, said.base}:
            self.attempts.add(name, evidence)

    def _note_loss(self, line: LogLine, said: ConnectionLine, finding: Finding) -> None:
        """Record the end of an SA, unless the log shows that another SA carries on."""
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
        """Return the things about which a line that reports a loss is evidence.

        Where only an SA ended, and its serial is known, it is that SA. Else it is the connection
        that the line names. If all of the peer's connections are lost, it is also each pair of
        addresses of that connection.
        """
        if finding.subject is Subject.SA and serial is not None:
            yield Subject.SA, str(serial)
            return
        yield Subject.CONNECTION, said.name
        if finding.subject is Subject.PEER:
            for hosts in self._hosts_of(said.name):
                yield Subject.PEER, " ".join(hosts)

    def _note_replaced(self, name: str | None) -> None:
        """Change the reason for an instance's end to REPLACED: a new instance took its place.

        ``name`` is the instance's (``rw[3]``); do nothing for None. Do nothing either if the newest
        finding about the instance is another than an end whose words fit several causes
        (AMBIGUOUS).
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
        """Keep a report, note which of its SAs we began, and forget findings not needed any more.

        Findings are needed if they are about an SA that this report or the last one lists, or about
        the connection of such an SA: the reason for its end may be asked for. The findings about
        any other thing are needed if the newest of them was logged after the last report, or less
        than SPENT_AFTER seconds before that. ``at`` is when this report was read (wall clock).
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
        """Forget what is true only of one pluto: another one answered at ``at`` (wall clock).

        If the start of the new pluto was logged, this was done already when that line was read. It
        isn't done again: later lines are the new pluto's.
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
        """Return as plain values what a restarted service needs: ``order``, and the findings."""
        return {"heard": self.order, "findings": self._findings.dump()}

    def load(self, kept: object) -> None:
        """Restore what dump() returned. Raise JsonError if dump() can't have made it."""
        values = _KEPT(kept)
        self.order = values["heard"]
        self._findings.load(values["findings"])

    # --- what is asked --------------------------------------------------------------------

    def loss(self, held: HeldSas) -> tuple[Reason, str | None]:
        """Return why SAs ended, and the log line; (OTHER, None) if nothing was logged about that.

        If pluto was restarted or stopped after the SAs were last seen, the reason is
        PLUTO_RESTARTED or PLUTO_STOPPED, without a line. Else the first line about the end decides:
        after it, the same lines follow for a dead peer as for a deletion by hand. Of the lines with
        the same reason as the first, the one with the highest weight is returned.
        """
        if self._started_at > held.seen:
            return Reason.PLUTO_RESTARTED, None
        if self._stopped_at > max(self._started_at, self._alive_at, held.seen - STOP_LEAD):
            return Reason.PLUTO_STOPPED, None
        told = self._about(held)
        if not told:
            return Reason.OTHER, None
        same = [e for e in told if e.reason is told[0].reason]
        renewed = self.sas.is_renewed(told[0].serial)
        return _meaning(told[0], held, renewed=renewed), max(same, key=lambda e: e.weight).line

    def has_line(self, names: Collection[str], after: int, now: float) -> bool:
        """Return whether the log has a line about any of these connections after line ``after``.

        Lines before journald's last line about dropped lines don't count. For CUT_FOR seconds after
        that one, the result is False (``now``: wall clock). If it is False, nothing follows from
        the fact that no failure was logged.
        """
        cut_at, order = self._cut
        is_cut = 0 <= now - cut_at < CUT_FOR
        return not is_cut and self.attempts.last_line(names) > max(after, order)

    def unresolved(self, host: str) -> str | None:
        """Return pluto's line that a host's name doesn't resolve; None: there is none.

        Only lines that name no connection are looked at.
        """
        return self._unresolved.get(host)

    def lost_between(self, held: HeldSas, successors: Collection[int]) -> bool:
        """Return whether a tunnel's SAs ended, by the log, before the first successor came.

        ``held`` are the SAs that it had, ``successors`` the serials of the Child SAs that it has
        now. False if only older ones of ``held`` ended before that, and a newer Child SA carried
        the traffic.
        """
        came = self.sas.came(successors)
        early = [e for e in self._about(held) if came is None or e.order < came]
        return bool(early) and not self._outlived(held, early)

    def _outlived(self, held: HeldSas, ends: Iterable[Evidence]) -> bool:
        """Return whether neither the newest Child SA nor its IKE SA was among those that ended.

        Then that Child SA carried the traffic on. A connection has two Child SAs, each under its
        own IKE SA, where both sides began at once. ``ends`` is the evidence. False if some of it is
        about a connection, an address or a peer, which ends all SAs, or if the IKE SA isn't known.
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

        The lines name the SAs, those that replaced them, their connections, addresses or peers.
        Lines from before the SAs were established aren't about them, and are left out. Only a line
        that names the serial of one of the Child SAs counts in any case.
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
        """Return the findings about one thing from lines after line ``born``, by order.

        ``lasts``: they count however old they are. If it is false, those that were logged at
        ``late`` (wall clock) or before are left out: they would have ended the SAs before the last
        report showed these.
        """
        told = self._findings.about(about)
        return {e.order: e for e in told if e.order > born and (lasts or e.at > late)}


def _anything(value: object) -> object:
    return value


_KEPT: Final = fields({"heard": whole(0, 1 << 53), "findings": _anything})


def _replaced(e: Evidence) -> Evidence:
    return replace(e, reason=Reason.REPLACED, end=LossKind.ANY)


def _meaning(cause: Evidence, held: HeldSas, *, renewed: bool) -> Reason:
    """Return which reason the first line about a loss gives for these SAs.

    If the line gives no cause (UNEXPLAINED), it depends on more: whether a successor took the
    client's place, whether the SA is IKEv1's, and whether its lifetime was over. ``renewed``: this
    side had begun to rekey the SA. Then it was, if the last report doesn't show its end.
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
    if renewed if due is None else abs(cause.at - due) <= TIMER_SLACK:
        return Reason.EXPIRED
    return Reason.OTHER if by_peer else cause.reason
