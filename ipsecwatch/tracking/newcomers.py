# SPDX-License-Identifier: MIT
"""Clients that connect again from another address, so that pluto ends their old instance.

pluto replaces an instance when the same identity authenticates as another instance of the same
template (uniqueids=). With IKEv2 it logs the new IKE SA first, computes its own signature, which
takes a moment, then ends the old instance and logs the new Child SA. With IKEv1 the old instance
ends first. The identity itself isn't read from the log: the peer chose it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LogEvent, LossKind
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding

IN_ONE_GO: Final = 2.0
"""Seconds that the lines of one replacement take at most."""
MAX_COMING: Final = 1000
"""Clients that have an IKE SA and no Child SA yet; the oldest are dropped."""
MAX_KEPT: Final = 1000
"""Replacements that are kept until the next poll takes them."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """The replacement of one instance by another of its template, for one identity."""

    at: float
    """When it was logged or polled, on the wall clock."""
    name: str
    """The instance that was replaced."""
    base: str
    """Its template's name."""
    old: str
    """The address of the client that was there."""
    new: str
    """The address of the one that came."""


class Newcomers:
    """Finds replaced instances by the order in which clients come and go in the log."""

    def __init__(self) -> None:
        self._coming: OrderedDict[str, tuple[ConnectionLine, float]] = OrderedDict()
        """Clients that have an IKE SA, and since when, while none of their Child SAs is logged."""
        self._left: tuple[ConnectionLine, float] | None = None
        """The last instance that ended before another of its template had an IKE SA, and when."""
        self._heir = ""
        """The instance that the lines after that end are about; "": there was none yet."""
        self._patient = False
        """Such lines may precede the one about its IKE SA. False: that has to be the first."""
        self.replacements: deque[Replacement] = deque(maxlen=MAX_KEPT)
        """Those that were found; who has used them empties it."""

    def note(self, said: ConnectionLine, finding: Finding | None, at: float) -> str | None:
        """Record a line. Return the name of the instance that it shows to be replaced, if any.

        The instance's end is in this line or in an earlier one.
        """
        if finding is not None and _is_new(said, finding):
            return self._note_new(said, finding, at)
        if finding is not None and _ends_instance(said, finding):
            return self._note_end(said, finding, at)
        if finding is not None and finding.event in _ARRIVED:
            self._coming.pop(said.name, None)
        if self._left is not None and said.name != self._left[0].name:
            if not self._patient or self._heir not in ("", said.name):
                self._left = None
            self._heir = said.name
        return None

    def _note_new(self, said: ConnectionLine, finding: Finding, at: float) -> str | None:
        """Record a client's new IKE SA. Return the name of the instance that it replaces, if any.

        That ended IN_ONE_GO seconds before at most, and lines in between don't contradict it.
        """
        left, self._left = self._left, None
        if finding.version != 1:
            self._coming[said.name] = said, at
            if len(self._coming) > MAX_COMING:
                self._coming.popitem(last=False)
        if left is None or not _is_sibling(left[0], said) or self._heir not in ("", said.name):
            return None
        if at - left[1] > IN_ONE_GO:
            return None
        self._replace(left[0], said, at)
        return left[0].name

    def _note_end(self, said: ConnectionLine, finding: Finding, at: float) -> str | None:
        """Record an instance's end. Return its name if another of its template replaces it.

        That one's new IKE SA, IN_ONE_GO seconds before at most, shows it.
        """
        self._coming.pop(said.name, None)
        for came, since in reversed(self._coming.values()):
            if _is_sibling(said, came) and at - since <= IN_ONE_GO:
                self._replace(said, came, at)
                return said.name
        self._left, self._heir = (said, at), ""
        # After an ambiguous end, several lines before the new IKE SA mean an unrelated client.
        self._patient = finding.reason is Reason.REPLACED
        return None

    def _replace(self, old: ConnectionLine, new: ConnectionLine, at: float) -> None:
        self.replacements.append(Replacement(at, old.name, old.base, old.address, new.address))


_ARRIVED: Final = (LogEvent.CHILD_ESTABLISHED, LogEvent.FAILURE)
"""What ends the time in which a client is coming."""


def _is_new(said: ConnectionLine, finding: Finding) -> bool:
    """Return whether a line reports a client's new IKE SA, which is no rekey."""
    new = finding.event is LogEvent.IKE_ESTABLISHED and finding.rekeyed is None
    return new and said.base != said.name


def _ends_instance(said: ConnectionLine, finding: Finding) -> bool:
    """Return whether a line reports the end of an instance in words that fit a replacement."""
    return (
        said.base != said.name
        and finding.event is LogEvent.LOSS
        and (finding.end is LossKind.AMBIGUOUS or finding.reason is Reason.REPLACED)
    )


def _is_sibling(a: ConnectionLine, b: ConnectionLine) -> bool:
    return a.base == b.base and a.name != b.name
