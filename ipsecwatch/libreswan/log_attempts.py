# SPDX-License-Identifier: MIT
"""What a piece of pluto's log tells of each connection: attempts, how the last one ended, and why.

Unlike tracking/, which has polls and takes the log for the reason alone, this has nothing but the
text: a tunnel of which the text says that it came up is not known to be up now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_lines import Finding, LogEvent, LossKind
from ipsecwatch.report import Stage
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipsecwatch.libreswan.log_text import LogTextLine
    from ipsecwatch.libreswan.state_table import StateInfo


class Outcome(Enum):
    """How the last attempt of a connection ended, as far as a text goes."""

    UP = auto()
    """A Child SA was established, and nothing says that it ended."""
    RENEWAL_FAILED = auto()
    """The same, and a negotiation failed since, while it was there."""
    FAILED = auto()
    LOST = auto()
    """Its SAs ended."""
    IKE_ONLY = auto()
    """An IKE SA was established, and the text ends before a Child SA."""
    OPEN = auto()
    """A negotiation is under way where the text ends."""
    GIVEN_UP = auto()
    """A negotiation was ended by pluto, and the text doesn't say why."""
    NOT_LOADED = auto()
    """Its settings were refused."""
    NOTHING = auto()
    """The text has lines of it, and none says how it is."""


@dataclass(frozen=True, slots=True)
class Said:
    """One line, and what it is evidence of."""

    line: LogTextLine
    finding: Finding


@dataclass(slots=True)
class Story:
    """What a text tells of one connection."""

    name: str
    """As pluto names it, with the instance; empty: the text doesn't."""
    attempts: int = 0
    """Negotiations begun by us."""
    came_up: int = 0
    """Child SAs established, but for those that took another's place."""
    renewed: bool = False
    """The last Child SA took another's place in a rekey."""
    ike: int | None = None
    """The IKE SA of the last attempt, if it was established."""
    failure: Said | None = None
    """What explains the last attempt that failed, if it came to no Child SA since."""
    loss: Said | None = None
    """What ended the last Child SA, if none came since."""
    refused: str = ""
    """Why its settings were refused."""
    children: set[int] = field(default_factory=set)
    """Child SAs that are there where the text ends."""
    past: set[int] = field(default_factory=set)
    """Child SAs that ended."""
    stage: StateInfo | None = None
    """What was sent last."""
    retransmissions: int = 0
    """How often it was sent again."""
    given_up: bool = False
    """A negotiation that was under way was deleted."""
    retries: bool = False
    """pluto says that it goes on trying."""
    peer: str = ""
    failed_in: int = 0
    """The number of the attempt that ``failure`` is of."""
    phase1: set[int] = field(default_factory=set)
    """IKEv1 SAs (phase 1) that were established."""
    last: LogTextLine | None = None
    begun: int | None = None
    """An IKE SA of which the first Child belongs to the same attempt."""

    @property
    def outcome(self) -> Outcome:
        """How the last attempt ended."""
        if self.children:
            return Outcome.RENEWAL_FAILED if self.failure else Outcome.UP
        if self.failure is not None:
            return Outcome.FAILED
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


def stories(lines: Sequence[LogTextLine]) -> list[Story]:
    """Return what each connection's lines say, in the order of its first line."""
    found: dict[str, Story] = {}
    rekeyed: set[int] = set()
    dead = -_NEAR
    for i, (line, finding) in enumerate(log_text.findings(lines)):
        if line.of_pluto:
            _end_all(found.values(), line)
            rekeyed.clear()
            continue
        story = found.setdefault(line.said.name, Story(line.said.name))
        story.last = line
        _note(story, line)
        if finding is None:
            continue
        if finding.rekeyed is not None:
            rekeyed.add(finding.rekeyed)
        if finding.reason is Reason.PEER_DEAD and finding.event is LogEvent.LOSS:
            dead = i
        if finding.end is LossKind.AMBIGUOUS and i - dead < _NEAR:
            dead = i
            continue  # the lines before say why
        _take(story, Said(line, finding), rekeyed, found.values())
    return [s for s in found.values() if s.outcome is not Outcome.NOTHING]


_NEAR: Final = 8
"""Lines within which what follows a dead peer may be its consequence."""

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


def _note(story: Story, line: LogTextLine) -> None:
    """Record a line that is no evidence, for what it says beside that."""
    text = line.said.text
    if _RETRANSMISSION.match(text):
        story.retransmissions += 1
    elif (stage := _sent(line)) is not None:
        story.stage, story.retransmissions, story.given_up = stage, 0, False
    elif _DELETES.match(text):
        story.given_up = story.stage is not None and story.ike is None
    if m := _PEER.match(text):
        story.peer = m[1] or m[2]
    story.peer = story.peer or line.said.address
    story.retries = story.retries or _RETRIES.match(text) is not None
    if text.startswith(_REFUSED):
        story.refused = text[len(_REFUSED) :].lstrip(": ")


def _sent(line: LogTextLine) -> StateInfo | None:
    """Return the state of an SA that is being negotiated."""
    stage = log_text.stage(line.said)
    if stage is None or stage.stage is Stage.ESTABLISHED or _ENDS.match(line.said.text):
        return None
    return stage


def _take(story: Story, said: Said, rekeyed: set[int], all_: Iterable[Story]) -> None:
    """Record what a line is evidence of."""
    serial = said.line.said.serial
    match said.finding.event:
        case LogEvent.ATTEMPT:
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
                story.loss = None  # loaded anew, and nothing that the text knows of ended
        case LogEvent.LOSS:
            _lose(story, said, rekeyed, all_)


def _begin(story: Story, finding: Finding, serial: int | None) -> None:
    """Begin an attempt; a phase 2 that follows its phase 1 is part of the same."""
    if finding.using is not None and finding.using == story.begun:
        story.begun = None
        return
    story.attempts += 1
    story.begun = serial if finding.using is None else None
    story.stage, story.retransmissions, story.given_up = None, 0, False
    if finding.using is None and not story.children:
        story.ike = None


def _fail(story: Story, said: Said) -> None:
    """Record a failure: the one that explains most counts, and of two equal ones the last.

    Of two lines about one cause the first counts: it mostly says more.
    """
    if said.finding.reason is Reason.PEER_DELETED and (story.children or story.loss):
        return  # phase 1 ends as well as, or before, the Child
    before = story.failure
    if before is None or story.failed_in != story.attempts or _says_more(said, before):
        story.failure, story.failed_in = said, story.attempts
    story.stage, story.retransmissions = None, 0


def _says_more(said: Said, before: Said) -> bool:
    now, then = said.finding, before.finding
    if now.weight is then.weight:
        return now.reason is not then.reason or now.reason is Reason.OTHER
    return now.weight > then.weight


def _lose(story: Story, said: Said, rekeyed: set[int], all_: Iterable[Story]) -> None:
    """Record the end of an SA, unless another SA had taken its place before."""
    serial = said.finding.ended or said.line.said.serial
    owner = next((s for s in all_ if serial in s.children), story)
    if serial is not None and _replaced(owner, serial, said.finding, rekeyed):
        _drop(owner, {serial})
        return
    if serial in owner.past:
        return  # a second line about one end
    had = bool(owner.children)
    _drop(owner, {serial} if serial in owner.children else set(owner.children))
    if owner.failure is not None and not had:
        return  # what ends is what failed
    if owner.loss is None or _explains(said.finding, owner.loss.finding):
        owner.loss = said
    owner.stage, owner.ike = None, None


def _end_all(all_: Iterable[Story], line: LogTextLine) -> None:
    """End all SAs: pluto stops, or another one starts, and its serials begin at 1 again."""
    starts = line.text.startswith("Starting")
    reason = Reason.PLUTO_RESTARTED if starts else Reason.PLUTO_STOPPED
    for story in all_:
        if story.children or (starts and story.loss is not None and story.loss.line.of_pluto):
            story.loss = Said(line, Finding(LogEvent.LOSS, reason))
        story.children.clear()
        story.past.clear()
        story.phase1.clear()
        story.stage = story.ike = story.begun = None


def _drop(owner: Story, ended: set[int]) -> None:
    """Drop Child SAs that ended."""
    owner.past |= ended & owner.children
    owner.children -= ended


def _replaced(owner: Story, serial: int, finding: Finding, rekeyed: set[int]) -> bool:
    """Return whether an SA that ends has a successor, or nothing that depends on it."""
    if serial in rekeyed or (
        serial in owner.phase1 and finding.reason in (Reason.OTHER, Reason.EXPIRED)
    ):
        return True
    if serial in owner.children:
        return max(owner.children) > serial
    return finding.end is LossKind.UNEXPLAINED and (owner.ike or 0) > serial


def _explains(finding: Finding, cause: Finding) -> bool:
    """Return whether an end is a better word for the cause: the first one counts."""
    return finding.reason is cause.reason and finding.weight > cause.weight
