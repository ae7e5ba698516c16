# SPDX-License-Identifier: MIT
"""Clients that connect again from another address, so that pluto ends their old instance.

pluto replaces an instance when the same identity authenticates as another instance of the same
template (uniqueids=). With IKEv2, pluto first logs the new IKE SA. Then it computes its own
signature, which takes a moment. Then it ends the old instance, and logs the new Child SA. With
IKEv1 the old instance ends first. The identity isn't read from the log, because the peer chose that
text.
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
"""Seconds from the first to the last log line of one replacement, at most."""
MAX_COMING: Final = 1000
"""How many clients with an IKE SA and no Child SA yet are kept; the oldest are dropped."""
MAX_KEPT: Final = 1000
"""How many replacements are kept, until they are taken after a poll."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """One instance of a template was replaced by another, for a client with the same identity."""

    at: float
    """When it was logged or polled, on the wall clock."""
    name: str
    """The instance that was replaced."""
    base: str
    """Its template's name."""
    old: str
    """The address from which the replaced client had connected."""
    new: str
    """The address from which its successor has connected."""


class Newcomers:
    """Finds instances that were replaced, by the order of the log's lines about clients."""

    def __init__(self) -> None:
        self._coming: OrderedDict[str, tuple[ConnectionLine, float]] = OrderedDict()
        """By instance: the line about a client's new IKEv2 SA and its time (wall clock), until its
        Child SA, its failure or its end is logged."""
        self._left: tuple[ConnectionLine, float] | None = None
        """The line about the last instance that ended before its successor was known, and its time
        (wall clock); None: there is none, or later lines show that nothing replaced it."""
        self._heir = ""
        """The connection that the lines after that end are about; "": there has been no such
        line."""
        self._patient = False
        """Whether the successor's IKE SA may be logged after other lines about the successor.
        False: the line about it has to be the first one after the end."""
        self.replacements: deque[Replacement] = deque(maxlen=MAX_KEPT)
        """The replacements that were found. Whoever uses them clears this."""

    def note(self, said: ConnectionLine, finding: Finding | None, at: float) -> str | None:
        """Record a line of the log. Return the name of the instance that was replaced; None: none.

        The line is that about the old instance's end, or that about the new client's IKE SA,
        whichever comes last. ``at`` is its time (wall clock).
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
        """Record a client's new IKE SA. Return the name of the instance that it replaced, or None.

        The replaced instance ended at most IN_ONE_GO seconds before, and the lines since then fit.
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
        """Record an instance's end. Return the instance's name if it was replaced, else None.

        It was replaced if another client of the same template got its IKE SA at most IN_ONE_GO
        seconds before, and no Child SA since.
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
"""The events after which a client is no longer waited for."""


def _is_new(said: ConnectionLine, finding: Finding) -> bool:
    """Return whether a line reports an instance's IKE SA as established that is no rekey."""
    new = finding.event is LogEvent.IKE_ESTABLISHED and finding.rekeyed is None
    return new and said.base != said.name


def _ends_instance(said: ConnectionLine, finding: Finding) -> bool:
    """Return whether a line reports the end of an instance that may have been replaced.

    That is so if the line says that it was replaced, or its words fit several causes (AMBIGUOUS).
    """
    return (
        said.base != said.name
        and finding.event is LogEvent.LOSS
        and (finding.end is LossKind.AMBIGUOUS or finding.reason is Reason.REPLACED)
    )


def _is_sibling(a: ConnectionLine, b: ConnectionLine) -> bool:
    return a.base == b.base and a.name != b.name
