# SPDX-License-Identifier: MIT
"""Find out what a piece of pluto's log shows of each connection: its attempts, and how they ended.

``explain`` uses this for a log that somebody pasted or saved, for which there are no polls. So if
the text says that a Child SA was established, it isn't known whether the tunnel is up now. The
service doesn't use this: in tracking/, polls decide each state, and the log gives only reasons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_lines import Finding, LogEvent, LossKind, Proof, Subject, Weight
from ipsecwatch.libreswan.quick_modes import QuickModes
from ipsecwatch.libreswan.service_lines import Fate
from ipsecwatch.report import Role, SaKind, Stage
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ipsecwatch.libreswan.log_text import LogTextLine
    from ipsecwatch.libreswan.state_table import StateInfo


class Outcome(Enum):
    """How a connection's last attempt ended, as far as a text shows."""

    UP = auto()
    """A Child SA was established, and the text doesn't say that it ended."""
    RENEWAL_FAILED = auto()
    """A Child SA was established and hasn't ended, but a later negotiation failed."""
    FAILED = auto()
    """A negotiation failed, the text shows why, and there is no Child SA."""
    UNCLEAR = auto()
    """The network reports an error, or an unencrypted message refuses something.

    The text doesn't show which negotiation that is about, so the connection may be up all the same.
    """
    LOST = auto()
    """Its SAs ended, and we haven't sent a message of a new negotiation since then."""
    IKE_ONLY = auto()
    """An IKE SA was established, but no Child SA up to the end of the text."""
    OPEN = auto()
    """A negotiation has begun, and is under way at the end of the text."""
    GIVEN_UP = auto()
    """pluto ended a negotiation before its IKE SA was established; the text doesn't say why."""
    NOT_LOADED = auto()
    """pluto refused the connection's settings."""
    NOTHING = auto()
    """The text has lines about the connection, but none says how an attempt went."""


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a log, with what it is evidence of."""

    line: LogTextLine
    finding: Finding


@dataclass(slots=True)
class Story:
    """What the lines of a text show of one connection, up to the line that was read last."""

    name: str
    """The connection's name with its instance numbers (``rw[3]``); "": the text doesn't name it."""
    host: str = ""
    """The machine that logged the lines, if the text has lines of several; "": of one, or unknown.
    """
    apart: bool = False
    """Whether the lines seem to be another machine's than those before them in the text."""
    attempts: int = 0
    """How many attempts this side began in the text."""
    came_up: int = 0
    """How often a Child SA was established while there was none. Rekeys aren't counted."""
    renewed: bool = False
    """Whether the Child SA that was established last replaced another one in a rekey."""
    ike: int | None = None
    """The serial of the IKE SA that was established last.

    None: there was none, it has ended, or this side began anew while there was no Child SA.
    """
    failure: Said | None = None
    """The line that says why the last failed attempt failed.

    None: no attempt failed since the last Child SA was established.
    """
    loss: Said | None = None
    """The line that explains best why the connection's SAs ended.

    None: none ended since the last Child SA was established. If no Child SA was established in the
    text, it becomes None, too, when the connection is loaded again.
    """
    refused: str = ""
    """Why pluto refused the connection's settings, in its words; "": the last time, it didn't."""
    refusal: LogTextLine | None = None
    """The last line in which pluto refused the settings; None: it never did."""
    children: set[int] = field(default_factory=set)
    """The serials of the Child SAs that haven't ended. A Child SA without a serial is 0 here."""
    past: set[int] = field(default_factory=set)
    """The serials of the Child SAs that ended, since pluto was started last."""
    stage: StateInfo | None = None
    """The state of the present negotiation, by the last message that this side sent.

    None: no negotiation is under way, or no message of it was sent yet.
    """
    retransmissions: int = 0
    """How often the last message of the negotiation was sent again."""
    given_up: bool = False
    """Whether pluto deleted the last negotiation before its IKE SA was established."""
    retries: bool = False
    """Whether pluto said that it goes on trying, since the last Child SA was established.

    It says so again each time that an attempt has failed.
    """
    peer: str = ""
    """The peer's address or name as pluto prints it; "": the text doesn't show it."""
    failed_in: int = 0
    """The value of ``attempts`` when ``failure`` was recorded: the attempt that failed."""
    phase1: set[int] = field(default_factory=set)
    """The serials of the IKEv1 SAs (phase 1) that were established."""
    negotiated: bool = False
    """Whether the text shows that this side sent a message of a negotiation for the first time.

    False if it shows only that messages were sent again.
    """
    begun: int | None = None
    """The serial of the IKE SA that this side began last.

    None once a negotiation under this IKE SA was begun (phase 2), which is part of the same
    attempt.
    """
    began: set[tuple[int, str]] = field(default_factory=set)
    """The serial of each SA that this side began, and the words of the line that logs it.

    It is needed because two programs may log the same line.
    """
    negotiating: int | None = None
    """The serial of the SA whose state is in ``stage``."""
    rekeying: set[int] = field(default_factory=set)
    """The serials of the SAs with which this side began to replace an IKE SA. That one is there, so
    the connection is up, even if no Child SA is in the text."""

    @property
    def outcome(self) -> Outcome:
        """How the last attempt ended, as far as the text shows.

        While a new attempt is under way, the result is still about the attempt before, if that
        failed, or if its Child SA hasn't ended. After a loss, the result is about the new attempt
        as soon as this side has sent a message of it.
        """
        if self.children:
            return Outcome.RENEWAL_FAILED if self.failure else Outcome.UP
        if self.renewal_failed:
            return Outcome.RENEWAL_FAILED
        if self.failure is not None:
            return Outcome.UNCLEAR if self._is_unclear(self.failure.finding) else Outcome.FAILED
        if self.loss is not None and self.stage is None:
            return Outcome.LOST
        if self.refused:
            return Outcome.NOT_LOADED
        if self.ike is not None:
            return Outcome.IKE_ONLY
        if self.given_up:
            return Outcome.GIVEN_UP
        if self.stage is not None or self.attempts:
            return Outcome.OPEN
        return Outcome.NOTHING

    @property
    def renewal_failed(self) -> bool:
        """Whether the attempt that failed was to replace an IKE SA."""
        return self.failure is not None and self.failure.line.said.serial in self.rekeying

    def _is_unclear(self, finding: Finding) -> bool:
        """Return whether it isn't known which SA a failure is about, so that another may be up.

        False if the text shows a negotiation of this connection. Otherwise errors of the network
        are unclear, since pluto logs them for every SA. Unencrypted refusals by an IKEv1 peer are
        unclear, too: up to 5.1, pluto logs them for any Quick Mode under the same phase 1.
        """
        if self.attempts or self.stage is not None or self.negotiated:
            return False
        echo = finding.version == 1 and finding.weight is Weight.ECHO
        return finding.weight is Weight.NETWORK or (echo and finding.proof is Proof.NONE)


def stories(lines: Sequence[LogTextLine]) -> list[Story]:
    """Return what the log lines of a text show of each connection, by the order of first lines.

    ``lines`` are in order of time. A connection whose lines say nothing about an attempt is left
    out. If the text has lines of several machines, which both ends of a tunnel may be, each
    machine's lines are read by themselves, and ``Story.host`` or ``Story.apart`` is set.
    """
    by_host: dict[str, list[LogTextLine]] = {}
    for line in lines:
        by_host.setdefault(line.host, []).append(line)
    if sum(map(bool, by_host)) > 1:
        return [s for host, theirs in by_host.items() for s in _stories(theirs, host)]
    at = _other_end(lines)
    if at is None:
        return _stories(lines)
    return [*_stories(lines[:at]), *_stories(lines[at:], apart=True)]


def _other_end(lines: Sequence[LogTextLine]) -> int | None:
    """Return the index of the line from which on the lines are another machine's; None: no line is.

    They are so from the line on in which an SA has the other role: this side began the negotiation
    of it, and is the responder now, or the other way round. Where that happens twice, it isn't
    known which lines are whose, and the result is None.
    """
    roles: dict[int, Role] = {}
    found = None
    for i, line in enumerate(lines):
        if line.of_pluto:
            roles.clear()
        role, serial = _role(line), line.said.serial
        if role is None or serial is None:
            continue
        if roles.setdefault(serial, role) is not role:
            if found is not None:
                return None
            found, roles = i, {serial: role}
    return found


def _role(line: LogTextLine) -> Role | None:
    """Return this side's role in the negotiation of the IKE SA of a line, if the line shows it."""
    text = line.said.text
    if _INITIATES.match(text):
        return Role.INITIATOR
    if _RESPONDS.match(text):
        return Role.RESPONDER
    stage = _sent(line)
    return stage.role if stage is not None and stage.kind is SaKind.IKE else None


_INITIATES: Final = re.compile(
    r"initiating (?:IKEv[12] |v2 parent SA|(?:IKEv1 )?(?:Main|Aggressive) Mode)"
    r"|initiator established IKE SA"
)
_RESPONDS: Final = re.compile(
    r"responding to (?:(?:Main|Aggressive) Mode from|IKE_SA_INIT|IKE_AUTH)"
    r"|processed IKE_SA_INIT request|processing (?:decrypted )?IKE_AUTH request"
    r"|responder established IKE SA"
)


def _stories(lines: Sequence[LogTextLine], host: str = "", *, apart: bool = False) -> list[Story]:
    """Return what log lines of one machine show of each connection.

    ``host`` and ``apart`` are for the result.
    """
    found: dict[str, Story] = {}
    rekeyed: set[int] = set()
    renewing: set[int] = set()
    quick_modes = QuickModes()
    dead = -_NEAR
    stops = False
    for i, (line, finding) in enumerate(log_text.findings(lines)):
        if line.of_pluto:
            _end_all(found.values(), line)
            rekeyed.clear()
            renewing.clear()
            quick_modes.clear()
            stops = line.fate is not Fate.STARTED
            continue
        story = found.setdefault(line.said.name, Story(line.said.name, host, apart))
        if stops and finding is not None:
            if finding.event is LogEvent.LOSS:
                continue  # pluto deletes all that it has
            stops = False
        _note_progress(story, line)
        _take_over(story, line, found.values())
        if finding is None:
            continue
        if finding.rekeyed is not None:
            (renewing if finding.event is LogEvent.REKEY else rekeyed).add(finding.rekeyed)
        if finding.end is LossKind.UNEXPLAINED:
            finding = _explained(finding, line, story, renewing)
        if finding.reason is Reason.PEER_DEAD and finding.event is LogEvent.LOSS:
            dead = i
        if finding.end is LossKind.AMBIGUOUS and i - dead < _NEAR:
            dead = i
            continue  # the lines before say why
        refused = quick_modes.follow(line.said, finding)
        if refused is not line.said:
            story = found[refused.name]
        _note_evidence(story, Said(line, finding), rekeyed, found.values())
    return [s for s in found.values() if s.outcome is not Outcome.NOTHING]


def _explained(
    finding: Finding, line: LogTextLine, story: Story, renewing: Collection[int | None]
) -> Finding:
    """Return the finding of a line that reports a loss without a cause, with the likely reason.

    If a rekey of the Child SA was begun (``renewing``), its lifetime ran out. For an IKEv1 SA, it
    wasn't the peer, since pluto logs the peer's Delete.
    """
    if line.said.serial in renewing:
        return replace(finding, reason=Reason.EXPIRED)
    ikev1 = bool(story.phase1) or "QUICK_" in line.said.text[:60]
    if ikev1 and finding.reason is Reason.PEER_DELETED:
        return replace(finding, reason=Reason.OTHER)
    return finding


_NEAR: Final = 8
"""How near an ambiguous end must be to a line about a dead peer to count as its consequence.

It must come fewer lines than this behind that line, or behind another ambiguous end that counts so.
"""

_PEER: Final = re.compile(
    r"initiating .{0,60}connection to (?!replace )(\S{3,80})"
    r"|sent [\w ]{3,40} request to (\S{3,80}?):(?:UDP|TCP)/\d"
)
_RETRIES: Final = re.compile(
    r"(?:scheduling retry attempt|starting keying attempt|connection is supposed to remain up"
    r"|.{0,80}but connection is supposed to remain up|reviving connection)"
)
_DELETES: Final = re.compile(r"deleting (?:other )?(?:state|IKE SA|ISAKMP SA|IPsec SA|Child SA)\b")
_REKEYS_IKE: Final = re.compile(r"initiating rekey to replace IKE SA #\d")  # from 4.5 on
_RETRANSMISSION: Final = re.compile(r"(?:[A-Z_0-9]{3,40}: retransmission;|retransmitting \S+ requ)")
_ENDS: Final = re.compile(r".{0,60}(?:timeout exceeded|established)")
_REFUSED: Final = re.compile(r"failed to add (?:IKEv1 )?connection(?::| (?=with ))?\s?")


def _note_progress(story: Story, line: LogTextLine) -> None:
    """Record in ``story`` what a line says besides its evidence.

    That is which message was sent, who the peer is, whether pluto goes on trying, and whether it
    refused the connection's settings.
    """
    text = line.said.text
    stage = _sent(line)
    if _RETRANSMISSION.match(text):
        story.retransmissions += 1
        if stage is not None and not story.children:
            story.stage, story.negotiating = story.stage or stage, line.said.serial
    elif stage is not None:
        story.stage, story.retransmissions, story.given_up = stage, 0, False
        story.negotiated, story.negotiating = True, line.said.serial
    elif _DELETES.match(text):
        story.given_up = story.stage is not None and story.ike is None
    if line.said.serial is not None and _REKEYS_IKE.match(text):
        story.rekeying.add(line.said.serial)
    if m := _PEER.match(text):
        story.peer = m[1] or m[2]
    story.peer = story.peer or line.said.address
    story.retries = story.retries or _RETRIES.match(text) is not None
    if m := _REFUSED.match(text):
        story.refused, story.refusal = text[m.end() :], line


def _take_over(story: Story, line: LogTextLine, all_: Iterable[Story]) -> None:
    """Record that a negotiation now belongs to ``story``, if a line shows that it was another's.

    A line shows it that is about the SA and the peer of the other connection's negotiation. pluto
    as the responder begins with the first connection that fits, and switches to a better one, or to
    another instance, as soon as the peer shows its identity.
    """
    if line.said.serial is None or not line.said.address:
        return
    for other in all_:
        same = other.negotiating == line.said.serial and other.peer == line.said.address
        if same and other is not story and other.stage is not None:
            other.stage, other.negotiating, other.negotiated = None, None, False


def _sent(line: LogTextLine) -> StateInfo | None:
    """Return the state of a negotiation, if a line reports that a message was sent (or again).

    Return None for any other line, and for one that reports an established SA or a timeout.
    """
    stage = log_text.stage(line.said)
    if stage is None or stage.stage is Stage.ESTABLISHED or _ENDS.match(line.said.text):
        return None
    return stage


def _note_evidence(story: Story, said: Said, rekeyed: set[int], all_: Iterable[Story]) -> None:
    """Record in ``story`` what a line is evidence of.

    The events are an attempt, an established SA, a failure, a loss, or that the connection was
    loaded; others are ignored. ``rekeyed`` are the serials of the IKE SAs that were replaced,
    ``all_`` are the stories of all connections in the text.
    """
    serial = said.line.said.serial
    match said.finding.event:
        case LogEvent.ATTEMPT:
            if not _is_logged_twice(story, said.line):
                _begin(story, said.finding, serial)
        case LogEvent.IKE_ESTABLISHED:
            story.ike = serial
            story.stage = None
            if said.finding.version == 1 and serial is not None:
                story.phase1.add(serial)
        case LogEvent.CHILD_ESTABLISHED:
            story.renewed = " rekeyed " in said.line.said.text[:30]
            story.came_up += not (story.children or story.renewed)
            story.children.add(serial or 0)
            story.failure = story.loss = story.stage = None
            story.retries = False
        case LogEvent.REKEY if said.finding.version == 2 and said.finding.rekeyed:
            # The old one is there, even if the text doesn't show that it was established. IKEv1
            # calls the SA of an attempt that failed so, too.
            story.children |= {said.finding.rekeyed} - story.past
        case LogEvent.FAILURE:
            _fail(story, said)
        case LogEvent.LOADED:
            story.refused = ""
            if not story.came_up:
                story.loss = None  # loaded again, and nothing that the text mentions ended
        case LogEvent.LOSS:
            _lose(story, said, rekeyed, all_)


def _is_logged_twice(story: Story, line: LogTextLine) -> bool:
    """Return whether the begin of an attempt has been logged before, by another program.

    NetworkManager logs what whack prints, and pluto logs the same. Such a line has the same SA and
    the same words as an earlier one, the attempt hasn't failed, and no SA ended since. The line is
    recorded, to compare later ones with it.
    """
    if line.said.serial is None:
        return False
    began = (line.said.serial, line.said.text)
    again = began in story.began and story.failed_in != story.attempts and story.loss is None
    story.began.add(began)
    return again


def _begin(story: Story, finding: Finding, serial: int | None) -> None:
    """Record that this side began to negotiate an SA.

    That is a new attempt, unless it is the first Child SA (phase 2) under the IKE SA that was begun
    last: both are one attempt. ``serial`` is that of the SA that was begun; None: the line names
    none.
    """
    if finding.using is not None and finding.using == story.begun:
        story.begun = None
        return
    story.attempts += 1
    story.begun = serial if finding.using is None else None
    story.stage, story.retransmissions, story.given_up = None, 0, False
    if finding.using is None and not story.children:
        story.ike = None


def _fail(story: Story, said: Said) -> None:
    """Record why the current attempt failed, unless a line was recorded that explains more.

    A failure of an earlier attempt is always replaced. If the peer deletes an IKEv1 phase 1 while a
    Child SA is there, or after a loss, that is no failure.
    """
    if said.finding.reason is Reason.PEER_DELETED and (story.children or story.loss):
        return  # an IKEv1 phase 1 that ends is no failure
    before = story.failure
    if not _may_be_ignored(said.finding):
        story.retries = False  # the attempt that pluto had announced is over
    if before is None or story.failed_in != story.attempts or _says_more(said, before):
        story.failure, story.failed_in = said, story.attempts
    story.stage, story.retransmissions = None, 0


def _may_be_ignored(finding: Finding) -> bool:
    """Return whether an attempt goes on after a failure: anybody may have caused the line."""
    return finding.weight is Weight.NETWORK or finding.proof is Proof.NONE


def _says_more(said: Said, before: Said) -> bool:
    """Return whether a line about a failure explains more than the one recorded before.

    It does if its weight is higher. If the weights are equal, it does unless both lines have the
    same known reason: then the earlier line mostly says more. Of two errors of the network, the
    later one says how it is now.
    """
    now, then = said.finding, before.finding
    if now.weight is then.weight is Weight.NETWORK:
        return True
    if now.weight is then.weight:
        return now.reason is not then.reason or now.reason is Reason.OTHER
    return now.weight > then.weight


def _lose(story: Story, said: Said, rekeyed: set[int], all_: Iterable[Story]) -> None:
    """Record that an SA ended, as a loss unless a newer SA had replaced it before.

    If a Child SA ends, it is recorded for the connection that has this Child SA, which may be
    another one than the line names. Three kinds of lines are ignored: a second line about the same
    end, one about a Child SA that isn't in the text while others of the connection are, and one
    about the SA of an attempt that has failed.
    """
    serial = said.finding.ended or said.line.said.serial
    owner = next((s for s in all_ if serial in s.children), story)
    if serial is not None and _replaced(owner, serial, said.finding, rekeyed):
        _drop(owner, {serial})
        return
    if serial in owner.past or _is_anothers(owner, serial, said):
        return  # a second line about one end, or one about a Child SA that the text doesn't show
    had = (
        bool(owner.children)
        or owner.renewal_failed
        or _shows_that_it_was_up(said.finding, owner.failure)
    )
    _drop(owner, {serial} if serial in owner.children else set(owner.children))
    if owner.failure is not None and not had:
        return  # the SA that ends is the failed attempt's
    if not owner.children and (owner.renewal_failed or _is_of_network(owner.failure)):
        owner.failure = None
    if owner.loss is None or _explains(said.finding, owner.loss.finding):
        owner.loss = said
    owner.stage, owner.ike = None, None


def _is_anothers(owner: Story, serial: int | None, loss: Said) -> bool:
    """Return whether the SA whose end a line reports is an unknown Child SA of a connection.

    The text doesn't show that this Child SA was established, but others of the connection, which
    haven't ended. False if no Child SA of the connection is known.
    """
    if not owner.children or serial is None or loss.finding.subject is not Subject.SA:
        return False
    return serial not in owner.children and _CHILD.search(loss.line.said.text[:120]) is not None


_CHILD: Final = re.compile(
    r"IPSEC State|IPsec State|IPsec SA|CHILD|Child SA|QUICK_|IPSEC_[IR]|traffic information:"
)


def _is_of_network(failure: Said | None) -> bool:
    return failure is not None and failure.finding.weight is Weight.NETWORK


def _shows_that_it_was_up(loss: Finding, failure: Said | None) -> bool:
    """Return whether the end of an SA shows that it was established, in spite of ``failure``.

    That is so if the SA expired, or ended because its peer is dead, and the failure is only an
    error of the network. False for any other failure, and for none.
    """
    told = loss.reason in (Reason.PEER_DEAD, Reason.EXPIRED)
    return told and _is_of_network(failure)


def _end_all(all_: Iterable[Story], line: LogTextLine) -> None:
    """Record that all SAs of all connections ended, because pluto ends or starts.

    ``line`` is the log line about that. When pluto starts, its serials begin at 1 again.
    """
    starts = line.fate is Fate.STARTED
    reason = Reason.PLUTO_RESTARTED if starts else Reason.PLUTO_STOPPED
    for story in all_:
        if story.children or (starts and story.loss is not None and story.loss.line.of_pluto):
            story.loss = Said(line, Finding(LogEvent.LOSS, reason))
        story.children.clear()
        story.past.clear()
        story.phase1.clear()
        story.began.clear()
        story.rekeying.clear()
        story.stage = story.ike = story.begun = story.negotiating = None


def _drop(owner: Story, ended: set[int]) -> None:
    """Record that these Child SAs of a connection ended. Serials of other SAs are ignored."""
    owner.past |= ended & owner.children
    owner.children -= ended


def _replaced(owner: Story, serial: int, finding: Finding, rekeyed: set[int]) -> bool:
    """Return whether the end of an SA is no loss.

    It is no loss if a newer SA of the same kind and connection has replaced it. It is no loss
    either if an IKEv1 SA (phase 1) expires, or ends without a known cause: Child SAs outlive it.
    """
    if serial in rekeyed or (
        serial in owner.phase1 and finding.reason in (Reason.OTHER, Reason.EXPIRED)
    ):
        return True
    if serial in owner.children:
        return max(owner.children) > serial
    return finding.end is LossKind.UNEXPLAINED and (owner.ike or 0) > serial


def _explains(finding: Finding, cause: Finding) -> bool:
    """Return whether a line explains a loss better than the line recorded before (``cause``).

    It does if it has the same reason and a higher weight.
    """
    return finding.reason is cause.reason and finding.weight > cause.weight
