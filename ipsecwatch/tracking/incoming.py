# SPDX-License-Identifier: MIT
"""Whose negotiation failed: ours, an authenticated peer's, or an unauthenticated sender's.

A negotiation that the peer began says little about one that we began. One that anybody on the
internet can cause says nothing about the peer.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import Began, Proof, Weight
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding
    from ipsecwatch.tracking.evidence import Evidence

MAX_NAMES: Final = 20_000
"""How many connections are remembered: with their last failures from outside, or with the IKE SA
that we began."""
MAX_OURS: Final = 20_000
"""How many SAs are remembered as begun by us."""


_INITIATORS_STATE: Final = re.compile(r"STATE_[A-Z0-9_]{1,40}_I\d?:", re.ASCII)


class Whose(Enum):
    """Whose attempt failed."""

    OURS = auto()
    PEERS = auto()
    """The peer's. Only that peer, after it was authenticated, or this machine can have ended it."""
    ANYBODYS = auto()
    """That of an unauthenticated sender, who may be anybody; or one of ours, refused in a packet
    that anybody may have forged."""


class Incoming:
    """Decides whose attempt failed, and keeps the failures from outside until take() is called."""

    def __init__(self) -> None:
        self._ours: OrderedDict[int, None] = OrderedDict()
        self._first: OrderedDict[str, int] = OrderedDict()
        """By connection: the last IKE SA that was established, if it is IKEv2's, we began it, and
        no Child SA of it is known yet."""
        self._news: OrderedDict[str, dict[Whose, Evidence]] = OrderedDict()

    def note_ours(self, serials: Iterable[int]) -> None:
        """Record that we began these SAs."""
        for serial in serials:
            self._ours[serial] = None
        while len(self._ours) > MAX_OURS:
            self._ours.popitem(last=False)

    def note_line(self, said: ConnectionLine) -> None:
        """Record the SA of a line as begun by us, if the line begins with an initiator's state.

        Up to 3.32 pluto logs each step so (``STATE_MAIN_I2: ``). During IKE_AUTH, the line has the
        serial of the Child SA.
        """
        if said.serial is not None and _INITIATORS_STATE.match(said.text):
            self.note_ours([said.serial])

    def note_ike(self, said: ConnectionLine, finding: Finding) -> None:
        """Record an established IKE SA. If we began it, we also began the first Child SA under it.

        That is remembered for an IKEv2 SA that is no rekey. Any other IKE SA of the connection ends
        the wait for a first Child SA.
        """
        if finding.version == 1 or finding.rekeyed is not None or said.serial not in self._ours:
            self._first.pop(said.name, None)
            return
        self._first[said.name] = said.serial or 0
        if len(self._first) > MAX_NAMES:
            self._first.popitem(last=False)

    def note_child(self, name: str) -> None:
        """Record that a connection got a Child SA, or begins one.

        A later one is no longer taken for the first Child SA under our IKE SA.
        """
        self._first.pop(name, None)

    def is_ours(self, serial: int) -> bool:
        """Return whether it is known that we began an SA.

        False: the peer began it, or it isn't known who did.
        """
        return serial in self._ours

    def forget(self) -> None:
        """Forget which SAs we began: another pluto counts from 1 again. The kept failures stay."""
        self._ours.clear()
        self._first.clear()

    def whose(self, said: ConnectionLine, finding: Finding) -> Whose:
        """Return whose attempt it is that failed, by a line about a failure.

        OURS: we began it, or may have. PEERS: the peer began it, and only the peer, after it was
        authenticated, or this machine can have caused the line. ANYBODYS: all others. These include
        an attempt of the peer whose authentication this machine rejects, and an attempt of ours
        with a refusal that may be forged.
        """
        if self._is_ours(said, finding):
            return Whose.ANYBODYS if _is_ignored(finding) else Whose.OURS
        proven = finding.proof is Proof.PEER or (
            finding.proof is Proof.LOCAL and finding.reason is not Reason.AUTHENTICATION
        )
        return Whose.PEERS if proven else Whose.ANYBODYS

    def _is_ours(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether we began the attempt that failed, or may have begun it.

        If the words of the line show who began, they decide. Else it is ours if the line names no
        SA, or one that we began. If it isn't known who began the SA, the attempt counts as ours in
        two cases: its failure is caused by this machine (but not by a rejected authentication), or
        the SA is the first Child SA under an IKE SA that we began.
        """
        if finding.began is not Began.EITHER:
            return finding.began is Began.WE
        if said.serial is None or said.serial in self._ours:
            return True
        # pluto logs no serial of a Child SA when we begin one, so an unknown serial may be ours
        # where our own kernel or configuration is the cause: it stops both sides' attempts.
        if finding.proof is Proof.LOCAL:
            return finding.reason is not Reason.AUTHENTICATION
        return finding.proof is Proof.PEER and self._is_first_child(said.name, said.serial)

    def _is_first_child(self, name: str, serial: int) -> bool:
        """Return whether an SA is the first Child SA under an IKE SA that we began.

        If it is, record that we began it, too. It is the connection's first SA with a higher serial
        than the IKE SA's. IKE_AUTH negotiates this Child SA, and up to 4.15 pluto logs no line when
        it begins. Call this only for a line that only an authenticated peer can cause.
        """
        first = self._first.get(name)
        if first is None or serial <= first:
            return False
        del self._first[name]
        self.note_ours([serial])
        return True

    def add(self, said: ConnectionLine, whose: Whose, evidence: Evidence) -> None:
        """Keep a failure from outside, for its connection and for its template, until take().

        It replaces an earlier one of the same connection and the same ``whose``, unless that is of
        the same SA and has a higher weight: it says why, and this one only that it ended.
        """
        for name in {said.name, said.base}:
            kept = self._news.setdefault(name, {})
            before = kept.get(whose)
            same = before is not None and before.serial == evidence.serial
            if before is None or not same or before.weight <= evidence.weight:
                kept[whose] = evidence
            self._news.move_to_end(name)
        while len(self._news) > MAX_NAMES:
            self._news.popitem(last=False)

    def take(self) -> dict[str, dict[Whose, Evidence]]:
        """Return by connection the failures that were added since the last call.

        There is one for each Whose, at most: the last.
        """
        news = dict(self._news)
        self._news.clear()
        return news


def _is_ignored(finding: Finding) -> bool:
    """Return whether an IKEv2 refusal came unencrypted that a real peer sends only encrypted.

    pluto ignores such a refusal, and goes on waiting for the real answer.
    """
    echo = finding.weight is Weight.ECHO and finding.proof is Proof.NONE
    return echo and finding.version != 1 and finding.reason in _NEVER_CLEAR


_NEVER_CLEAR: Final = frozenset({Reason.AUTHENTICATION, Reason.TRAFFIC_SELECTORS})
"""The reasons for which a real IKEv2 peer refuses only in an encrypted message."""
