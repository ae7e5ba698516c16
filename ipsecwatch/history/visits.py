# SPDX-License-Identifier: MIT
"""Which clients of templates were connected, from when until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipsecwatch.history.entries import Kind
from ipsecwatch.reasons import REASON_TEXTS, ReasonText
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipsecwatch.history.timelines import Span, Timeline


@dataclass(slots=True)
class Visit:
    """One stay of a client: from when its tunnel was UP or PARTIAL, until it was neither."""

    user: str
    """The user name, else the peer's authenticated identity; escaped when it was written."""
    tunnel: str
    peer: str
    """The client's address."""
    came: float
    """When it connected, or was first seen (wall clock)."""
    came_seen: bool
    """The service saw it connect: it wasn't there already when watching began."""
    last: float
    """When it is last known to have been connected (wall clock)."""
    seconds: float
    """The seconds in which it was watched and known to be connected."""
    went: float | None = None
    """When it was seen to leave; None: it is still connected, or its end wasn't seen."""
    reason: Reason = Reason.NONE
    """Why it left; NONE: not known, or it wasn't seen to leave."""
    text: ReasonText = REASON_TEXTS[Reason.NONE]


def visits_of(timelines: Iterable[Timeline]) -> list[Visit]:
    """Return all visits, in the order in which they began.

    Only tunnels of which some entry names a user have visits.
    """
    found = [v for t in timelines if _has_user(t) for v in _visits(t)]
    return sorted(found, key=lambda v: (v.came, v.tunnel))


def _has_user(timeline: Timeline) -> bool:
    return any(entry.user for _, entry in timeline.transitions)


def _visits(timeline: Timeline) -> Iterator[Visit]:
    """Yield the visits in one timeline. Times in UNKNOWN don't end a visit."""
    visit: Visit | None = None
    for span in timeline.spans:
        if span.state is TunnelState.UNKNOWN:
            continue
        carries = span.state is not None and span.state.carries
        if visit is not None and (span.anew or not carries):
            if not span.anew:
                _end(visit, span)
            yield visit
            visit = None
        if carries and visit is None:
            visit = _begin(timeline.name, span)
        elif carries and visit is not None:
            _go_on(visit, span)
    if visit is not None:
        yield visit


def _begin(name: str, span: Span) -> Visit:
    entry = span.entry
    user, peer = (entry.user, entry.peer) if entry is not None else ("", "")
    seen = entry is not None and entry.kind is Kind.TRANSITION
    return Visit(user, name, peer, span.begin, seen, span.end, span.seconds)


def _go_on(visit: Visit, span: Span) -> None:
    visit.last = span.end
    visit.seconds += span.seconds
    if span.entry is not None:
        visit.user = visit.user or span.entry.user
        visit.peer = visit.peer or span.entry.peer


def _end(visit: Visit, span: Span) -> None:
    visit.went = span.begin
    if span.entry is not None:
        visit.reason, visit.text = span.entry.reason, span.entry.text
        visit.user = visit.user or span.entry.user
