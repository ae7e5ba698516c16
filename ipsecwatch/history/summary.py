# SPDX-License-Identifier: MIT
"""Sum up a tunnel's timeline: the time in each state, the uptime, the outages."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipsecwatch.history.entries import Entry
    from ipsecwatch.history.timelines import Span, Timeline
    from ipsecwatch.history.watches import End, Run
    from ipsecwatch.reasons import ReasonText

FLAP: Final = 60.0
"""Seconds that an outage lasts at most to be called a flap."""

_AT_ONCE: Final = 1.0
"""Seconds by which two wall-clock times may differ and count as the same."""

_BY_HAND: Final = (Reason.OPERATOR, Reason.UNLOADED)


@dataclass(slots=True)
class Outage:
    """A span of time in which a tunnel should have carried traffic, and didn't.

    It begins when the tunnel is lost, unless somebody takes it down or unloads it, or with the
    first attempt of a tunnel that becomes STUCK. It ends when the tunnel carries traffic again, or
    needn't any more: somebody took it down, it waits for traffic, or it is no longer listed.
    """

    begin: float
    """Wall clock."""
    end: float
    """Until when it is known to have lasted."""
    seconds: float
    """The seconds of it in which the tunnel was watched and its state known."""
    reason: Reason
    entry: Entry | None = None
    """The journal entry about the loss, or about becoming STUCK; None: that entry is missing."""
    mended: bool = False
    """It ended because the tunnel carries traffic again."""
    over: bool = False
    """Its end was seen; False: ``end`` is only the last time at which it is known to have
    lasted."""

    @property
    def text(self) -> ReasonText:
        """The sentence and the advice for its reason, as written then; today's without an entry."""
        return REASON_TEXTS[self.reason] if self.entry is None else self.entry.text

    @property
    def flap(self) -> bool:
        """Whether the tunnel was back after at most FLAP seconds of ``seconds``."""
        return self.mended and self.seconds <= FLAP


@dataclass(frozen=True, slots=True)
class Summary:
    """How one tunnel was in a span of time."""

    name: str
    spans: Sequence[Span]
    transitions: Sequence[tuple[float, Entry]]
    seconds: dict[TunnelState, float]
    """Seconds in each state; in UNKNOWN those that were watched, but without knowing its state."""
    outages: Sequence[Outage]
    last: TunnelState | None
    """The state when the service last watched in this span of time; None: it wasn't listed then."""

    @property
    def known(self) -> float:
        """The seconds in which the tunnel's state is known."""
        return sum(s for state, s in self.seconds.items() if state is not TunnelState.UNKNOWN)

    @property
    def uptime(self) -> float | None:
        """The part (0 to 1) of the known time in which it was UP; None: no time is known."""
        known = self.known
        return self.seconds.get(TunnelState.UP, 0.0) / known if known > 0 else None

    @property
    def flaps(self) -> int:
        """The number of outages that were flaps."""
        return sum(o.flap for o in self.outages)


def summarize(
    timeline: Timeline, since: float, until: float, watched: Sequence[Watched] = ()
) -> Summary:
    """Return how a tunnel was from ``since`` to ``until``, on the wall clock.

    ``watched`` are the times in which the service watched; see watched_of(). An outage that is
    partly outside of that time keeps its full length.
    """
    spans = clip(timeline.spans, since, until)
    seconds: dict[TunnelState, float] = defaultdict(float)
    for span in spans:
        if span.state is not None:
            seconds[span.state] += span.seconds
    told = [(at, entry) for at, entry in timeline.transitions if since <= at < until]
    # An outage keeps its full length, even if it began before ``since`` or ended after ``until``.
    outages = [o for o in _outages(timeline.spans) if o.end > since and o.begin < until]
    seen = max((w.end for w in watched), default=0.0)
    last = spans[-1].state if spans and spans[-1].end >= seen - _AT_ONCE else None
    return Summary(timeline.name, spans, told, dict(seconds), outages, last)


def clip(spans: Iterable[Span], since: float, until: float) -> list[Span]:
    """Return the parts of spans that lie between two moments.

    A span without a length, which says that the tunnel is gone, is kept if it lies there.
    """
    out = []
    for span in spans:
        begin, end = max(span.begin, since), min(span.end, until)
        if begin < end or (span.state is None and since <= span.begin < until):
            whole = begin == span.begin and end == span.end
            out.append(span if whole else replace(span, begin=begin, end=end))
    return out


def _outages(spans: Iterable[Span]) -> Iterator[Outage]:
    """Yield the outages in a tunnel's spans. Times in UNKNOWN neither begin nor end one."""
    outage: Outage | None = None
    trying: Span | None = None
    carried = False
    for span in spans:
        if span.state is TunnelState.UNKNOWN:
            continue
        wanted = _is_wanted(span)
        if outage is not None and wanted:
            outage.end = span.end
            outage.seconds += span.seconds
        elif outage is not None:
            yield _over(outage, span)
            outage = None
        elif wanted and ((carried and not span.anew) or span.state is TunnelState.STUCK):
            outage = _begun(span, trying)
        trying = _tried(trying, span)
        carried = span.state is not None and span.state.carries
    if outage is not None:
        yield outage


def _is_wanted(span: Span) -> bool:
    """Return whether a tunnel should carry traffic and doesn't.

    It is CONNECTING, STUCK, or DOWN for another reason than that somebody took it down or unloaded
    it.
    """
    if span.state is TunnelState.DOWN:
        return span.entry is None or span.entry.reason not in _BY_HAND
    return span.state in (TunnelState.CONNECTING, TunnelState.STUCK)


def _over(outage: Outage, span: Span) -> Outage:
    """Return an outage that is over, because a span with another state follows."""
    outage.over = True
    outage.mended = span.state is not None and span.state.carries
    return outage


def _begun(span: Span, trying: Span | None) -> Outage:
    """Return an outage that begins with a span, or with the attempts before it.

    ``trying``: the span of those attempts, from _tried(); None: there were none.
    """
    reason = span.entry.reason if span.entry is not None else Reason.NONE
    tried = trying.seconds if trying is not None else 0.0
    begin = trying.begin if trying is not None else span.begin
    return Outage(begin, span.end, span.seconds + tried, reason, span.entry)


def _tried(trying: Span | None, span: Span) -> Span | None:
    """Return the span in which a tunnel has been tried without interruption, this span included.

    ``trying``: what was returned for the span before. None: it isn't CONNECTING in this span.
    """
    if span.state is not TunnelState.CONNECTING:
        return None
    if trying is None or trying.end != span.begin:
        return span
    return replace(span, begin=trying.begin)


@dataclass(frozen=True, slots=True)
class Watched:
    """A span of time in which a run of the service watched. Wall clock."""

    begin: float
    end: float
    run: str
    ended_by: End


def watched_of(runs: Iterable[Run], since: float, until: float) -> list[Watched]:
    """Return the spans between two moments (wall clock) in which a run of the service watched.

    They don't include the times of sleep.
    """
    out = []
    for run in runs:
        for begin, end in run.spans(run.begin, run.end):
            a, b = max(begin, since), min(end, until)
            if a < b:
                out.append(Watched(a, b, run.id, run.ended_by))
    return out
