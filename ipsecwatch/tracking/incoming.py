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
"""Connections of which the last failure that came from outside is kept."""
MAX_OURS: Final = 20_000
"""SAs that are remembered as begun by us."""


_INITIATORS_STATE: Final = re.compile(r"STATE_[A-Z0-9_]{1,40}_I\d?:", re.ASCII)


class Whose(Enum):
    """The side whose attempt failed."""

    OURS = auto()
    PEERS = auto()
    """An attempt by the peer. Only that peer, authenticated, or this machine can have ended it."""
    ANYBODYS = auto()
    """An attempt by an unauthenticated sender, who may be anybody, or one of ours whose refusal
    anybody may have forged."""


class Incoming:
    """Decides whose attempt failed, and keeps each connection's last failures from outside."""

    def __init__(self) -> None:
        self._ours: OrderedDict[int, None] = OrderedDict()
        self._first: OrderedDict[str, int] = OrderedDict()
        """For each connection, the IKE SA that we began and of which no Child SA is known yet."""
        self._news: OrderedDict[str, dict[Whose, Evidence]] = OrderedDict()

    def note_ours(self, serials: Iterable[int]) -> None:
        """Record that we began these SAs."""
        for serial in serials:
            self._ours[serial] = None
        while len(self._ours) > MAX_OURS:
            self._ours.popitem(last=False)

    def note_line(self, said: ConnectionLine) -> None:
        """Record that we began an SA, if the line begins with a state that initiators are in.

        Up to 3.32 each step is logged so, and IKE_AUTH by the serial of the Child SA.
        """
        if said.serial is not None and _INITIATORS_STATE.match(said.text):
            self.note_ours([said.serial])

    def note_ike(self, said: ConnectionLine, finding: Finding) -> None:
        """Record an established IKE SA: if we began it, we also began its first Child SA.

        This is so for IKEv2 SAs that are no rekey. Any other ends the wait for such a Child SA.
        """
        if finding.version == 1 or finding.rekeyed is not None or said.serial not in self._ours:
            self._first.pop(said.name, None)
            return
        self._first[said.name] = said.serial or 0
        if len(self._first) > MAX_NAMES:
            self._first.popitem(last=False)

    def note_child(self, name: str) -> None:
        """Record that a connection has a Child SA, or begins one: a later one isn't the first."""
        self._first.pop(name, None)

    def is_ours(self, serial: int) -> bool:
        """Return whether it is known that we began an SA."""
        return serial in self._ours

    def forget(self) -> None:
        """Forget which SAs we began, because another pluto counts serials from 1 again."""
        self._ours.clear()
        self._first.clear()

    def whose(self, said: ConnectionLine, finding: Finding) -> Whose:
        """Return whose attempt a failure belongs to.

        OURS: we began it, or may have. PEERS: the peer did, and only the authenticated peer or this
        machine can have caused the line. ANYBODYS: all others; also those where this machine
        rejects the peer's authentication, or where the refusal of our attempt may be forged.
        """
        if self._is_ours(said, finding):
            return Whose.ANYBODYS if _is_ignored(finding) else Whose.OURS
        proven = finding.proof is Proof.PEER or (
            finding.proof is Proof.LOCAL and finding.reason is not Reason.AUTHENTICATION
        )
        return Whose.PEERS if proven else Whose.ANYBODYS

    def _is_ours(self, said: ConnectionLine, finding: Finding) -> bool:
        """Return whether a failure concerns an attempt that we began, or may concern one.

        The words of the line decide, where they show who began; else the serial of its SA does. It
        may concern one where the line names no serial, or the cause is on this machine.
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
        """Return whether an SA is the Child SA that was negotiated with an IKE SA of ours.

        That is the first later SA of the connection; it is then recorded as ours. Asked of lines
        that only an authenticated peer causes. IKE_AUTH negotiates that Child SA, and up to 4.15 no
        line tells that it begins.
        """
        first = self._first.get(name)
        if first is None or serial <= first:
            return False
        del self._first[name]
        self.note_ours([serial])
        return True

    def add(self, said: ConnectionLine, whose: Whose, evidence: Evidence) -> None:
        """Keep a failure that isn't ours, for the connection and its template."""
        for name in {said.name, said.base}:
            self._news.setdefault(name, {})[whose] = evidence
            self._news.move_to_end(name)
        while len(self._news) > MAX_NAMES:
            self._news.popitem(last=False)

    def take(self) -> dict[str, dict[Whose, Evidence]]:
        """Return by connection the last failures of those that were added since the last call."""
        news = dict(self._news)
        self._news.clear()
        return news


def _is_ignored(finding: Finding) -> bool:
    """Return whether a refusal came unencrypted that the real peer would send encrypted.

    pluto ignores it and goes on waiting for the real answer.
    """
    echo = finding.weight is Weight.ECHO and finding.proof is Proof.NONE
    return echo and finding.version != 1 and finding.reason in _NEVER_CLEAR


_NEVER_CLEAR: Final = frozenset({Reason.AUTHENTICATION, Reason.TRAFFIC_SELECTORS})
"""The refusals that a real peer sends encrypted only."""
