# SPDX-License-Identifier: MIT
"""What a piece of pluto's log shows of each connection: its attempts, and how and why they ended.

tracking/ has polls, and uses the log for reasons only. This has nothing but the text: where it
says that a tunnel came up, it isn't known whether the tunnel is up now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_lines import Finding, LogEvent, LossKind, Proof, Subject, Weight
from ipsecwatch.libreswan.quick_modes import QuickModes
from ipsecwatch.libreswan.service_lines import Fate
from ipsecwatch.report import Stage
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipsecwatch.libreswan.log_text import LogTextLine
    from ipsecwatch.libreswan.state_table import StateInfo


class Outcome(Enum):
    """How a connection's last attempt ended, as far as a text shows."""

    UP = auto()
    """A Child SA was established, and nothing says that it ended."""
    RENEWAL_FAILED = auto()
    """A Child SA was established and is there, and a later negotiation failed."""
    FAILED = auto()
    """A negotiation failed for a reason that the text shows, and no Child SA is there."""
    UNCLEAR = auto()
    """Packets don't get through, or somebody refuses something, and the text doesn't show which
    negotiation that is about: the connection may be up all the same."""
    LOST = auto()
    """Its SAs ended, and no message of a new negotiation was sent."""
    IKE_ONLY = auto()
    """An IKE SA was established, and the text ends before a Child SA."""
    OPEN = auto()
    """A negotiation is under way where the text ends."""
    GIVEN_UP = auto()
    """A negotiation was ended by pluto, and the text doesn't say why."""
    NOT_LOADED = auto()
    """Its settings were refused."""
    NOTHING = auto()
    """The text has lines about it, and none says how an attempt went."""


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a log, with what it is evidence of."""

    line: LogTextLine
    finding: Finding


@dataclass(slots=True)
class Story:
    """What a text shows of one connection, with what is needed to read its further lines."""

    name: str
    """As pluto names it, with the instance; empty: the text doesn't."""
    attempts: int = 0
    """Attempts that we began in this text."""
    came_up: int = 0
    """How often a Child SA was established while there was none, rekeys left out."""
    renewed: bool = False
    """The last Child SA replaced another one in a rekey."""
    ike: int | None = None
    """The serial of the IKE SA that was established last; None: there was none, it has ended, or
    we began again while there was no Child SA."""
    failure: Said | None = None
    """The line that says why the last attempt that failed did so; None: none failed since the last
    Child SA was established."""
    loss: Said | None = None
    """The line that says best why its SAs ended; None: none ended since the last Child SA was
    established."""
    refused: str = ""
    """Why its settings were refused, in pluto's words; empty: they weren't the last time."""
    refusal: LogTextLine | None = None
    """The last line with such a refusal; None: there is none."""
    children: set[int] = field(default_factory=set)
    """Serials of the Child SAs that haven't ended; 0 for one whose line names no serial."""
    past: set[int] = field(default_factory=set)
    """Serials of Child SAs that ended in the present run of pluto."""
    stage: StateInfo | None = None
    """The state of the negotiation by the last message that we sent; None: none is under way."""
    retransmissions: int = 0
    """How often that message was sent again."""
    given_up: bool = False
    """The last negotiation was deleted before its IKE SA was established."""
    retries: bool = False
    """pluto said, since the last Child SA was established, that it goes on trying."""
    peer: str = ""
    """The peer's address or name as pluto prints it; empty: the text doesn't show it."""
    failed_in: int = 0
    """The value of ``attempts`` when ``failure`` was recorded."""
    phase1: set[int] = field(default_factory=set)
    """Serials of the IKEv1 SAs (phase 1) that were established."""
    negotiated: bool = False
    """The text shows that we sent a message of a negotiation, not only one again."""
    begun: int | None = None
    """The IKE SA that was begun last, until a phase 2 follows: in IKEv1 that belongs to the same
    attempt."""
    began: set[tuple[int, str]] = field(default_factory=set)
    """The serial of each SA that we began, and the line's words: two programs may log one line."""
    negotiating: int | None = None
    """The SA that ``stage`` is of."""

    @property
    def outcome(self) -> Outcome:
        """How the last attempt ended, as far as the text shows.

        While a new one is under way, that is still the one before if that failed, or if its Child
        SA is there. After a loss it is the new one, as soon as a message of it was sent.
        """
        if self.children:
            return Outcome.RENEWAL_FAILED if self.failure else Outcome.UP
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

    def _is_unclear(self, finding: Finding) -> bool:
        """Return whether it isn't known which SA a failure is about: it may be one that is up.

        False where the text shows a negotiation of this connection. Otherwise errors of the network
        are unclear, since pluto logs them for every SA. So is what an IKEv1 peer refuses
        unencrypted: up to 5.1 that is logged for any Quick Mode under a phase 1.
        """
        if self.attempts or self.stage is not None or self.negotiated:
            return False
        echo = finding.version == 1 and finding.weight is Weight.ECHO
        return finding.weight is Weight.NETWORK or (echo and finding.proof is Proof.NONE)


def stories(lines: Sequence[LogTextLine]) -> list[Story]:
    """Return what a text shows of each connection, in the order of their first lines.

    Connections whose lines say nothing about an attempt are left out.
    """
    found: dict[str, Story] = {}
    rekeyed: set[int] = set()
    quick_modes = QuickModes()
    dead = -_NEAR
    stops = False
    for i, (line, finding) in enumerate(log_text.findings(lines)):
        if line.of_pluto:
            _end_all(found.values(), line)
            rekeyed.clear()
            quick_modes.clear()
            stops = line.fate is not Fate.STARTED
            continue
        story = found.setdefault(line.said.name, Story(line.said.name))
        if stops and finding is not None:
            if finding.event is LogEvent.LOSS:
                continue  # pluto deletes all that it has
            stops = False
        _note_progress(story, line)
        _take_over(story, line, found.values())
        if finding is None:
            continue
        if finding.rekeyed is not None:
            rekeyed.add(finding.rekeyed)
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


_NEAR: Final = 8
"""An ambiguous end that comes fewer lines than this behind a line about a dead peer, or behind
another such end, counts as the consequence of that."""

_PEER: Final = re.compile(
    r"initiating .{0,60}connection to (?!replace )(\S{3,80})"
    r"|sent [\w ]{3,40} request to (\S{3,80}?):(?:UDP|TCP)/\d"
)
_RETRIES: Final = re.compile(
    r"(?:scheduling retry attempt|starting keying attempt|connection is supposed to remain up"
    r"|.{0,80}but connection is supposed to remain up|reviving connection)"
)
_DELETES: Final = re.compile(r"deleting (?:other )?(?:state|IKE SA|ISAKMP SA|IPsec SA|Child SA)\b")
_RETRANSMISSION: Final = re.compile(r"(?:[A-Z_0-9]{3,40}: retransmission;|retransmitting \S+ requ)")
_ENDS: Final = re.compile(r".{0,60}(?:timeout exceeded|established)")
_REFUSED: Final = "failed to add connection"


def _note_progress(story: Story, line: LogTextLine) -> None:
    """Record what a line says besides its evidence: what was sent, the peer, retries, a refusal."""
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
    if m := _PEER.match(text):
        story.peer = m[1] or m[2]
    story.peer = story.peer or line.said.address
    story.retries = story.retries or _RETRIES.match(text) is not None
    if text.startswith(_REFUSED):
        story.refused, story.refusal = text[len(_REFUSED) :].lstrip(": "), line


def _take_over(story: Story, line: LogTextLine, all_: Iterable[Story]) -> None:
    """Record that a negotiation is another connection's now, if a line about its SA shows that.

    A responder begins with the first connection that fits, and switches to a better one, or to
    another instance of it, as soon as the peer shows who it is.
    """
    if line.said.serial is None or not line.said.address:
        return
    for other in all_:
        same = other.negotiating == line.said.serial and other.peer == line.said.address
        if same and other is not story and other.stage is not None:
            other.stage, other.negotiating, other.negotiated = None, None, False


def _sent(line: LogTextLine) -> StateInfo | None:
    """Return the state of a negotiation, if a line reports that a message was sent.

    None for any other line, and for one that reports an established SA or a timeout.
    """
    stage = log_text.stage(line.said)
    if stage is None or stage.stage is Stage.ESTABLISHED or _ENDS.match(line.said.text):
        return None
    return stage


def _note_evidence(story: Story, said: Said, rekeyed: set[int], all_: Iterable[Story]) -> None:
    """Record what a line is evidence of, as its kind of event requires.

    ``rekeyed`` are the IKE SAs that were replaced, ``all_`` all connections of the text.
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
        case LogEvent.FAILURE:
            _fail(story, said)
        case LogEvent.LOADED:
            story.refused = ""
            if not story.came_up:
                story.loss = None  # loaded again, and nothing that the text mentions ended
        case LogEvent.LOSS:
            _lose(story, said, rekeyed, all_)


def _is_logged_twice(story: Story, line: LogTextLine) -> bool:
    """Return whether another program has logged this begin of an attempt before. Record it.

    It then has the same SA and the same words, and nothing failed or ended in between.
    NetworkManager logs what whack prints, and pluto logs the same.
    """
    if line.said.serial is None:
        return False
    began = (line.said.serial, line.said.text)
    again = began in story.began and story.failed_in != story.attempts and story.loss is None
    story.began.add(began)
    return again


def _begin(story: Story, finding: Finding, serial: int | None) -> None:
    """Record that we began a negotiation: a new attempt, or phase 2 of the IKEv1 attempt so far."""
    if finding.using is not None and finding.using == story.begun:
        story.begun = None
        return
    story.attempts += 1
    story.begun = serial if finding.using is None else None
    story.stage, story.retransmissions, story.given_up = None, 0, False
    if finding.using is None and not story.children:
        story.ike = None


def _fail(story: Story, said: Said) -> None:
    """Record a failure of the current attempt, if it explains more than one recorded before.

    What was recorded of an earlier attempt is always replaced.
    """
    if said.finding.reason is Reason.PEER_DELETED and (story.children or story.loss):
        return  # an IKEv1 phase 1 that ends is no failure
    before = story.failure
    if before is None or story.failed_in != story.attempts or _says_more(said, before):
        story.failure, story.failed_in = said, story.attempts
    story.stage, story.retransmissions = None, 0


def _says_more(said: Said, before: Said) -> bool:
    """Return whether a failure explains more than the one that was recorded before.

    The higher weight wins; of equal ones the later, unless both have the same known reason. Of
    these the first mostly says more.
    """
    now, then = said.finding, before.finding
    if now.weight is then.weight:
        return now.reason is not then.reason or now.reason is Reason.OTHER
    return now.weight > then.weight


def _lose(story: Story, said: Said, rekeyed: set[int], all_: Iterable[Story]) -> None:
    """Record the end of an SA, unless another SA had replaced it before.

    The Child SA may belong to another connection than the one that the line names. Lines about a
    Child SA whose beginning the text doesn't show are left out where others are there.
    """
    serial = said.finding.ended or said.line.said.serial
    owner = next((s for s in all_ if serial in s.children), story)
    if serial is not None and _replaced(owner, serial, said.finding, rekeyed):
        _drop(owner, {serial})
        return
    if serial in owner.past or _is_anothers(owner, serial, said):
        return  # a second line about one end, or one about a Child SA that the text doesn't show
    had = bool(owner.children) or _shows_that_it_was_up(said.finding, owner.failure)
    _drop(owner, {serial} if serial in owner.children else set(owner.children))
    if owner.failure is not None and not had:
        return  # the SA that ends is the failed attempt's
    if not owner.children and owner.failure is not None and _is_of_network(owner.failure):
        owner.failure = None
    if owner.loss is None or _explains(said.finding, owner.loss.finding):
        owner.loss = said
    owner.stage, owner.ike = None, None


def _is_anothers(owner: Story, serial: int | None, loss: Said) -> bool:
    """Return whether a line is about another Child SA than those that the text shows to be there.

    False where it shows none.
    """
    if not owner.children or serial is None or loss.finding.subject is not Subject.SA:
        return False
    return serial not in owner.children and _CHILD.search(loss.line.said.text[:120]) is not None


_CHILD: Final = re.compile(
    r"IPSEC State|IPsec State|IPsec SA|CHILD|Child SA|QUICK_|IPSEC_[IR]|traffic information:"
)


def _is_of_network(failure: Said) -> bool:
    return failure.finding.weight is Weight.NETWORK


def _shows_that_it_was_up(loss: Finding, failure: Said | None) -> bool:
    """Return whether an end shows that its SA was established, though the network failed before.

    That is so if the SA expired, or ended because its peer is dead. False for any other failure.
    """
    told = loss.reason in (Reason.PEER_DEAD, Reason.EXPIRED)
    return told and failure is not None and _is_of_network(failure)


def _end_all(all_: Iterable[Story], line: LogTextLine) -> None:
    """Record that all SAs ended, because pluto stops, or starts and counts serials from 1 again."""
    starts = line.fate is Fate.STARTED
    reason = Reason.PLUTO_RESTARTED if starts else Reason.PLUTO_STOPPED
    for story in all_:
        if story.children or (starts and story.loss is not None and story.loss.line.of_pluto):
            story.loss = Said(line, Finding(LogEvent.LOSS, reason))
        story.children.clear()
        story.past.clear()
        story.phase1.clear()
        story.began.clear()
        story.stage = story.ike = story.begun = story.negotiating = None


def _drop(owner: Story, ended: set[int]) -> None:
    """Record that these SAs, as far as they are Child SAs of a connection, have ended."""
    owner.past |= ended & owner.children
    owner.children -= ended


def _replaced(owner: Story, serial: int, finding: Finding, rekeyed: set[int]) -> bool:
    """Return whether the end of an SA is no loss: a newer SA replaced it, or Child SAs outlive it.

    The newer one is of the same kind and connection. Child SAs outlive an IKEv1 SA (phase 1) that
    expires, or ends without a cause.
    """
    if serial in rekeyed or (
        serial in owner.phase1 and finding.reason in (Reason.OTHER, Reason.EXPIRED)
    ):
        return True
    if serial in owner.children:
        return max(owner.children) > serial
    return finding.end is LossKind.UNEXPLAINED and (owner.ike or 0) > serial


def _explains(finding: Finding, cause: Finding) -> bool:
    """Return whether a line explains an end better than the line that was recorded (``cause``).

    It does if it has the same reason and more weight.
    """
    return finding.reason is cause.reason and finding.weight > cause.weight
