# SPDX-License-Identifier: MIT
"""Sum up a tunnel's timeline: the time in each state, the uptime, and the outages."""

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
"""The number of seconds that an outage may last at most to be called a flap."""

_AT_ONCE: Final = 1.0
"""Two wall-clock times that differ by so many seconds or less count as the same time."""

_BY_HAND: Final = (Reason.OPERATOR, Reason.UNLOADED)


@dataclass(slots=True)
class Outage:
    """A span of time in which a tunnel should have carried traffic, but didn't.

    It begins when a tunnel that was UP or PARTIAL is lost, unless somebody takes it down or unloads
    it. For a tunnel that becomes STUCK, it begins with the first attempt. It ends when the tunnel
    is UP or PARTIAL again, or need not carry traffic any more: it was taken down on this machine,
    is WAITING, or is no longer listed.
    """

    begin: float
    """When it began, by the wall clock."""
    end: float
    """The last time at which it is known to have lasted, by the wall clock."""
    seconds: float
    """How many seconds of it the tunnel was watched and its state was known."""
    reason: Reason
    entry: Entry | None = None
    """The journal entry about the loss, or about the transition to STUCK; None: that entry is
    missing."""
    unseen: float = 0.0
    """How many seconds it may have lasted unseen: within it, and after ``end`` until the next known
    state, the tunnel wasn't watched or its state wasn't known. By the wall clock."""
    mended: bool = False
    """Whether the tunnel was UP or PARTIAL in its next known state."""
    over: bool = False
    """Whether a later known state shows that it is over. If not, it may still go on after
    ``end``."""

    @property
    def text(self) -> ReasonText:
        """The sentence and the advice for the reason, as they are in ``entry``.

        Without ``entry``, those that this release has for the reason.
        """
        return REASON_TEXTS[self.reason] if self.entry is None else self.entry.text

    @property
    def flap(self) -> bool:
        """Whether the tunnel certainly came back after FLAP seconds at most."""
        return self.mended and self.seconds + self.unseen <= FLAP


@dataclass(frozen=True, slots=True)
class Summary:
    """How one tunnel was in a period of time."""

    name: str
    spans: Sequence[Span]
    transitions: Sequence[tuple[float, Entry]]
    seconds: dict[TunnelState, float]
    """The number of seconds in each state. For UNKNOWN these are seconds in which the service
    watched, but the state wasn't known. Time in which the service didn't watch is in none of
    them."""
    outages: Sequence[Outage]
    last: TunnelState | None
    """The tunnel's state when the service last watched in the period; None: the tunnel wasn't
    listed then."""

    @property
    def known(self) -> float:
        """How many seconds of the period the tunnel's state is known."""
        return sum(s for state, s in self.seconds.items() if state is not TunnelState.UNKNOWN)

    @property
    def uptime(self) -> float | None:
        """The fraction (0 to 1) of the known time in which it was UP; None if no time is known."""
        known = self.known
        return self.seconds.get(TunnelState.UP, 0.0) / known if known > 0 else None

    @property
    def flaps(self) -> int:
        """How many of the outages were flaps."""
        return sum(o.flap for o in self.outages)


def summarize(
    timeline: Timeline, since: float, until: float, watched: Sequence[Watched] = ()
) -> Summary:
    """Return how a tunnel was from ``since`` to ``until``, which are wall-clock times.

    ``watched`` is what watched_of() returns for the same two times. An outage of which only a part
    is in this period is in the summary with its full length.
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
    """Return the parts of spans that lie between two moments, and leave out the other spans.

    A span without length, which says that the tunnel is no longer listed, is kept if it is between
    the moments.
    """
    out = []
    for span in spans:
        begin, end = max(span.begin, since), min(span.end, until)
        if begin < end or (span.state is None and since <= span.begin < until):
            whole = begin == span.begin and end == span.end
            out.append(span if whole else replace(span, begin=begin, end=end))
    return out


def _outages(spans: Iterable[Span]) -> Iterator[Outage]:
    """Yield the outages in one tunnel's spans, which come in order of time.

    Spans in UNKNOWN are skipped: an outage neither begins nor ends with them.
    """
    outage: Outage | None = None
    trying: Span | None = None
    carried = False
    for span in spans:
        if span.state is TunnelState.UNKNOWN:
            continue
        wanted = _is_wanted(span)
        if outage is not None:
            outage.unseen += max(0.0, span.begin - outage.end)
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
    """Return whether a tunnel should carry traffic, but doesn't.

    That is so if it is CONNECTING or STUCK, or if it is DOWN for any reason other than OPERATOR and
    UNLOADED.
    """
    if span.state is TunnelState.DOWN:
        return span.entry is None or span.entry.reason not in _BY_HAND
    return span.state in (TunnelState.CONNECTING, TunnelState.STUCK)


def _over(outage: Outage, span: Span) -> Outage:
    """Mark an outage as over, because of the span that follows it, and return it.

    It is also marked as ``mended`` if the tunnel is UP or PARTIAL in that span.
    """
    outage.over = True
    outage.mended = span.state is not None and span.state.carries
    return outage


def _begun(span: Span, trying: Span | None) -> Outage:
    """Return the outage that begins with a span, or with the attempts just before it.

    ``trying`` is the time of those attempts, as _tried() returned it; None: there were none.
    """
    reason = span.entry.reason if span.entry is not None else Reason.NONE
    tried = trying.seconds if trying is not None else 0.0
    begin = trying.begin if trying is not None else span.begin
    return Outage(begin, span.end, span.seconds + tried, reason, span.entry)


def _tried(trying: Span | None, span: Span) -> Span | None:
    """Return as one span the whole time for which a tunnel has been CONNECTING without a break.

    ``trying`` is what this returned for the span before (None for the first one), and ``span`` is
    the next span. Return None if the tunnel isn't CONNECTING in ``span``.
    """
    if span.state is not TunnelState.CONNECTING:
        return None
    if trying is None or trying.end != span.begin:
        return span
    return replace(span, begin=trying.begin)


@dataclass(frozen=True, slots=True)
class Watched:
    """A span of time, by the wall clock, in which one run of the service watched."""

    begin: float
    end: float
    run: str
    ended_by: End


def watched_of(runs: Iterable[Run], since: float, until: float) -> list[Watched]:
    """Return the spans of time between two moments in which the service watched.

    The moments and the spans are wall-clock times. Times in which the machine slept are left out.
    """
    out = []
    for run in runs:
        for begin, end in run.spans(run.begin, run.end):
            a, b = max(begin, since), min(end, until)
            if a < b:
                out.append(Watched(a, b, run.id, run.ended_by))
    return out
