# SPDX-License-Identifier: MIT
"""The JSON form of a history, for ``history --json``.

Times are in seconds since the epoch, durations in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipsecwatch.cli.common import reason_json
from ipsecwatch.history.entries import Kind
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.history.entries import Entry
    from ipsecwatch.history.summary import Outage, Summary, Watched
    from ipsecwatch.history.timelines import Span
    from ipsecwatch.history.visits import Visit


def history(
    since: float,
    until: float,
    journal_since: float | None,
    watched: Sequence[Watched],
    summaries: Sequence[Summary],
    visits: Sequence[Visit],
) -> dict[str, Any]:
    """Return the object that ``history --json`` prints: tunnels and visits (``users``) of a period.

    ``journal_since``: when the journal's first entry by root was written; None: there is none.
    """
    seconds = sum(w.end - w.begin for w in watched)
    return {
        "format": 1,
        "since": since,
        "until": until,
        "journal_since": journal_since,
        "watched": seconds,
        "not_watched": until - since - seconds,
        "watches": [_watch(w) for w in watched],
        "tunnels": [_tunnel(s, seconds) for s in summaries],
        "users": [_visit(v) for v in visits],
    }


def _watch(w: Watched) -> dict[str, Any]:
    return {"from": w.begin, "to": w.end, "run_id": w.run, "end_shown_by": w.ended_by}


def _tunnel(s: Summary, watched: float) -> dict[str, Any]:
    """Return a tunnel's history as an object for JSON.

    ``watched``: for how many seconds of the period the service watched.
    """
    unknown = s.seconds.get(TunnelState.UNKNOWN, 0.0)
    return {
        "name": s.name,
        "state": s.last,
        "uptime_percent": None if s.uptime is None else 100 * s.uptime,
        "known": s.known,
        "not_known": unknown,
        "not_seen": max(0.0, watched - s.known - unknown),
        "seconds": {state.value: s.seconds.get(state, 0.0) for state in TunnelState},
        "flaps": s.flaps,
        "outages": [_outage(o) for o in s.outages],
        "timeline": [_span(x) for x in s.spans],
        "transitions": [_transition(at, e) for at, e in s.transitions],
    }


def _outage(o: Outage) -> dict[str, Any]:
    return {
        "from": o.begin, "to": o.end, "seconds": o.seconds, "over": o.over, "flap": o.flap,
        **reason_json(o.reason, o.text),
    }  # fmt: skip


def _span(x: Span) -> dict[str, Any]:
    reason, text = Reason.NONE, REASON_TEXTS[Reason.NONE]
    if x.entry is not None:
        reason, text = x.entry.reason, x.entry.text
    return {
        "from": x.begin, "to": x.end, "seconds": x.seconds,
        "state": "gone" if x.state is None else x.state, **reason_json(reason, text),
    }  # fmt: skip


def _transition(at: float, e: Entry) -> dict[str, Any]:
    """Return a transition, or a first look at a tunnel, as an object for JSON. ``at``: its time."""
    return {
        "at": at,
        "first_look": e.kind is Kind.FIRST_LOOK,
        "old": e.old if e.kind is Kind.TRANSITION else None,
        "new": "gone" if e.gone else e.state,
        "serial": e.serial,
        "run_id": e.run,
        "detail": e.detail or None,
        **reason_json(e.reason, e.text),
    }


def _visit(v: Visit) -> dict[str, Any]:
    return {
        "user": v.user, "tunnel": v.tunnel, "peer": v.peer or None, "came": v.came,
        "came_seen": v.came_seen, "went": v.went, "last_seen": v.last, "seconds": v.seconds,
        **reason_json(v.reason, v.text),
    }  # fmt: skip
