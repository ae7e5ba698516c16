# SPDX-License-Identifier: MIT
"""Compute which clients of templates were connected, from when until when."""

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
    """One stay of a client: the time from when its tunnel is UP or PARTIAL until it is neither."""

    user: str
    """The user name, or else the identity of the client. It is escaped. "": no entry of the visit
    names one."""
    tunnel: str
    peer: str
    """The client's address; "": not known."""
    came: float
    """When the client connected, or when the service first saw it connected (wall clock)."""
    came_seen: bool
    """Whether a transition shows that the client connected at ``came``. If not, it was connected
    already when the service first saw it, or the entry about it is missing."""
    last: float
    """The last time at which the client is known to have been connected (wall clock)."""
    seconds: float
    """How many seconds the client was connected and the service watched."""
    went: float | None = None
    """When the client was seen to leave (wall clock). None: it is still connected, or nobody saw
    when it left."""
    reason: Reason = Reason.NONE
    """Why the client left; NONE: the reason isn't known, or nobody saw it leave."""
    text: ReasonText = REASON_TEXTS[Reason.NONE]


def visits_of(timelines: Iterable[Timeline]) -> list[Visit]:
    """Return the visits in all timelines, in the order in which they began.

    Only tunnels that are instances of templates have visits: at least one entry about them names a
    user.
    """
    found = [v for t in timelines if _has_user(t) for v in _visits(t)]
    return sorted(found, key=lambda v: (v.came, v.tunnel))


def _has_user(timeline: Timeline) -> bool:
    return any(entry.user for _, entry in timeline.transitions)


def _visits(timeline: Timeline) -> Iterator[Visit]:
    """Yield the visits in one timeline.

    A span in UNKNOWN doesn't end a visit. A span before which nothing is known (Span.anew) does,
    without a time or a reason.
    """
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
