# SPDX-License-Identifier: MIT
"""Clients that connect anew, and so take the place of what they had from another address.

pluto replaces an instance when the same identity has proved itself as another one of the same
template (uniqueids=). It does so in one go, so that lines of nobody else come between: from 5.0 on
it tells of the new IKE SA first and ends the old instance then, up to 4.15 (and for IKEv1 ever
since) the other way round. The identity itself is never looked at: the peer chose it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LogEvent, LossKind
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding

IN_ONE_GO: Final = 1.0
"""Seconds that the lines of one replacement take at most."""
MAX_KEPT: Final = 1000
"""Replacements kept for whoever asks: as many as a flood of them between two polls may have."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One instance that took another's place."""

    at: float
    """Wall clock."""
    name: str
    """The instance that was replaced."""
    base: str
    """Its template's name."""
    old: str
    """The address of the client that was there."""
    new: str
    """The address of the one that came."""


class Newcomers:
    """Follows who comes and who leaves, line by line."""

    def __init__(self) -> None:
        self._came: ConnectionLine | None = None
        """The line that told last of a new IKE SA, while no line but of ends has followed."""
        self._left: ConnectionLine | None = None
        """The line that told last of an instance's end."""
        self._since = 0.0
        """When the one or the other was logged."""
        self._open = False
        """That instance may still turn out to be replaced, by whom the next lines are about."""
        self._patient = False
        """Lines of the newcomer may come before the one that tells of its IKE SA."""
        self._heir = ""
        """Whose lines came first after that."""
        self.replacements: deque[Replacement] = deque(maxlen=MAX_KEPT)

    def note(self, said: ConnectionLine, finding: Finding | None, at: float) -> str | None:
        """Take note of a line. Return the name of an instance that is known to be replaced by it.

        That is the one that the line tells the end of, or one of which an earlier line did.
        """
        if at - self._since > IN_ONE_GO:
            self._came, self._open = None, False
        if finding is not None and _is_new(finding):
            return self._note_new(said, finding, at)
        if finding is not None and _ends_instance(said, finding):
            return self._note_end(said, finding, at)
        if self._left is None or said.name != self._left.name:
            self._note_other(said)
        return None

    def _note_new(self, said: ConnectionLine, finding: Finding, at: float) -> str | None:
        left = self._left if self._open else None
        self._came = said if finding.version != 1 else None
        self._left, self._open, self._since = None, False, at
        if left is None or not _is_sibling(left, said) or self._heir not in ("", said.name):
            return None
        self._replace(left, said, at)
        return left.name

    def _note_end(self, said: ConnectionLine, finding: Finding, at: float) -> str | None:
        replaced = self._came is not None and _is_sibling(said, self._came)
        self._left, self._open, self._heir, self._since = said, not replaced, "", at
        if self._came is None or not replaced:
            # A client that comes after another was taken down by hand is told of by more lines.
            self._patient = finding.reason is Reason.REPLACED
            return None
        self._replace(said, self._came, at)
        return said.name

    def _note_other(self, said: ConnectionLine) -> None:
        """Take note of a line that is about none that is leaving."""
        self._came = None
        self._open = self._open and self._patient and self._heir in ("", said.name)
        self._heir = said.name

    def _replace(self, old: ConnectionLine, new: ConnectionLine, at: float) -> None:
        self.replacements.append(Replacement(at, old.name, old.base, old.address, new.address))


def _is_new(finding: Finding) -> bool:
    return finding.event is LogEvent.IKE_ESTABLISHED and finding.rekeyed is None


def _ends_instance(said: ConnectionLine, finding: Finding) -> bool:
    """Return whether a line tells the end of an instance in words that fit a replacement."""
    return (
        said.base != said.name
        and finding.event is LogEvent.LOSS
        and (finding.end is LossKind.AMBIGUOUS or finding.reason is Reason.REPLACED)
    )


def _is_sibling(a: ConnectionLine, b: ConnectionLine) -> bool:
    return a.base == b.base and a.name != b.name
