# SPDX-License-Identifier: MIT
"""What is remembered between two polls, and its form as plain values while the service is stopped.

Pure: to and from plain values that JSON can hold. Each value that is read back is checked by the
tables below: it decides what people are told, and a number that doesn't fit its D-Bus type would
end the service at its first signal, at each start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ipsecwatch.jsonutil import (
    Check,
    JsonError,
    each,
    fields,
    flag,
    number,
    one_of,
    optional,
    row,
    text,
    whole,
)
from ipsecwatch.sanitize import MAX_SHOWN, clean
from ipsecwatch.tracking.pluto_run import PlutoRun
from ipsecwatch.tunnel import Reason, Tunnel, TunnelState

FORMAT: Final = 1

Why = tuple[Reason, str | None]
"""A reason, and what it was read from, as ``Tunnel.detail``: mostly pluto's line; None: nothing."""


@dataclass(slots=True)
class TunnelRecord:
    """A tunnel, and what is remembered about it between two polls."""

    tunnel: Tunnel
    children: frozenset[int] = frozenset()
    """Serials of its established Child SAs."""
    parents: frozenset[int] = frozenset()
    """Serials of the IKE SAs above them."""
    trying_since: float | None = None
    """When the present attempts to bring it up began, on the monotonic clock; None: there are
    none."""
    trying_order: int = 0
    """How many log lines had been read about LOG_SLACK seconds before: only later ones may be about
    these attempts."""
    last_try: int = 0
    """The highest serial of a negotiation that was counted."""
    orphan: bool = False
    """It hasn't been listed yet by the pluto that took the place of the one that held its SAs."""
    overdue: bool = False
    """The attempts have lasted ``stuck_after`` seconds or more."""
    told_stuck: bool = False
    """It was announced, while PARTIAL, that its missing children have been tried for too long."""
    born: int = 0
    """How many log lines had been read when the newest of its Child SAs wasn't there yet."""
    wanted: frozenset[str] = frozenset()
    """Which of its connections pluto was to keep up, by the last report."""
    by_hand: frozenset[str] = frozenset()
    """Its connections that were taken down by hand; their SAs may not have ended yet."""
    refused: tuple[int, Why] | None = None
    """Why the peer's own attempt failed, and the number of the log line that says so."""
    held_since: float | None = None
    """Since when it isn't listed, or is listed again and not tried yet, on the monotonic clock."""
    seen: float = 0.0
    """When it was last listed before this poll, on the wall clock."""
    why: Why = (Reason.NONE, None)
    """The reason for the last known state."""


@dataclass(slots=True)
class Records:
    """All that a tracker remembers: of each tunnel, by key, and of the run of pluto."""

    tunnels: dict[str, TunnelRecord] = field(default_factory=dict)
    run: PlutoRun = field(default_factory=PlutoRun)


# --- What is kept: each value with its type and its range -----------------------------------------

MAX_TIME: Final = 2.0**33
"""Seconds on either clock: until the year 2242."""
MAX_COUNT: Final = 1 << 31
"""Half of the range of D-Bus's type u: these numbers are counted on after they were restored."""
MAX_SERIAL: Final = 10**10 - 1
"""pluto's serials and instances have ten digits at most, and are read so from its status."""
MAX_LINES: Final = 1 << 53
"""Lines of a log: the range in which JSON's numbers are exact."""
MAX_PID: Final = (1 << 31) - 1
MAX_TEXT: Final = 4096
"""Characters of a text of pluto's, which prints no line longer than 1,024."""

_TIME: Final = number(0.0, MAX_TIME)
_COUNT: Final = whole(0, MAX_COUNT)
_SERIAL: Final = whole(0, MAX_SERIAL)
_SERIALS: Final = each(_SERIAL)
_AS_PRINTED: Final = text(MAX_TEXT, raw=True)
"""A text as pluto printed or logged it, which has to be cleaned before it is shown."""
_STATE: Final = one_of(TunnelState)
_REASON: Final = one_of(Reason)

_TUNNEL: Final[dict[str, Check[Any]]] = {
    "key": _AS_PRINTED,
    "name": text(MAX_SHOWN),
    "state": _STATE,
    "last_state": _STATE,
    "since": _TIME,
    "since_mono": _TIME,
    "since_boot": _TIME,
    "since_known": flag,
    "reason": _REASON,
    "children_up": _COUNT,
    "children": _COUNT,
    "instances": _COUNT,
    "managed": one_of(("", "NetworkManager")),
    "attempts": _COUNT,
    "peer": optional(_AS_PRINTED),
    "detail": optional(_AS_PRINTED),
    "unresolved": optional(_AS_PRINTED),
}
"""What is kept of a Tunnel."""

_RECORD: Final[dict[str, Check[Any]]] = {
    **_TUNNEL,
    "held_children": _SERIALS,
    "held_parents": _SERIALS,
    "trying_since": optional(_TIME),
    "last_try": _SERIAL,
    "told_stuck": flag,
    "why": row(_REASON, optional(_AS_PRINTED)),
}

_NEWER: Final[dict[str, Check[Any]]] = {
    "incoming": optional(row(_TIME, _AS_PRINTED)),
    "born": optional(whole(0, MAX_LINES)),
    "wanted": optional(each(_AS_PRINTED)),
    "by_hand": optional(each(_AS_PRINTED)),
}
"""What older state files don't contain."""

_RUN: Final[dict[str, Check[Any]]] = {
    "pid": optional(whole(0, MAX_PID)),
    "top": _SERIAL,
    "serials": _SERIALS,
    "ikes": each(row(_SERIAL, _AS_PRINTED, each(_SERIAL))),
    "quiet": _SERIALS,
    "loaded": _COUNT,
    "gone": flag,
}

_NEWER_RUN: Final[dict[str, Check[Any]]] = {
    "busy": optional(each(row(_AS_PRINTED, each(_SERIAL)))),
}

_RECORDS: Final = fields(
    {
        "format": whole(FORMAT, FORMAT),
        "tunnels": each(fields(_RECORD, _NEWER)),
        "pluto": fields(_RUN, _NEWER_RUN),
    }
)


def dump(records: Records) -> dict[str, Any]:
    """Return records as plain values, for load()."""
    run = records.run
    return {
        "format": FORMAT,
        "tunnels": [_dump_record(m) for m in records.tunnels.values()],
        "pluto": {
            "pid": run.pid,
            "top": run.top,
            "serials": sorted(run.serials),
            "ikes": [[serial, name, list(i)] for serial, (name, i) in (run.ikes or {}).items()],
            "quiet": sorted(run.idle),
            "busy": [[name, list(i)] for name, i in sorted(run.busy)],
            "loaded": run.loaded,
            "gone": run.gone,
        },
    }


def _dump_record(record: TunnelRecord) -> dict[str, Any]:
    """Return a tunnel's record as plain values."""
    t = record.tunnel
    kept = {name: getattr(t, name) for name in _TUNNEL}
    return {
        **kept,
        "held_children": sorted(record.children),
        "held_parents": sorted(record.parents),
        "trying_since": record.trying_since,
        "last_try": record.last_try,
        "told_stuck": record.told_stuck,
        "why": list(record.why),
        "incoming": list(t.incoming) if t.incoming is not None else None,
        "born": record.born,
        "wanted": sorted(record.wanted),
        "by_hand": sorted(record.by_hand),
    }


def load(data: object) -> Records:
    """Return records from plain values. Raise JsonError if dump() can't have made them."""
    kept = _RECORDS(data)
    records = Records(run=_load_run(kept["pluto"]))
    for n, values in enumerate(kept["tunnels"]):
        record = _load_record(values)
        wrong = _contradiction(record)
        if record.tunnel.key in records.tunnels:
            wrong = "the same key again"
        if wrong is not None:
            raise JsonError(wrong, f"tunnels[{n}]")
        records.tunnels[record.tunnel.key] = record
    return records


def _load_run(kept: dict[str, Any]) -> PlutoRun:
    """Return a run from checked values. Raise JsonError if they contradict each other."""
    run = PlutoRun(
        pid=kept["pid"],
        top=kept["top"],
        serials=frozenset(kept["serials"]),
        ikes={serial: (name, instance) for serial, name, instance in kept["ikes"]},
        idle=frozenset(kept["quiet"]),
        busy=frozenset(kept["busy"] or ()),
        loaded=kept["loaded"],
        gone=kept["gone"],
    )
    if max(run.serials, default=0) > run.top:
        raise JsonError("less than the highest serial", "pluto.top")
    if len(run.ikes or ()) != len(kept["ikes"]):
        raise JsonError("the same IKE SA again", "pluto.ikes")
    return run


def _load_record(kept: dict[str, Any]) -> TunnelRecord:
    """Return a tunnel's record from checked plain values."""
    return TunnelRecord(
        Tunnel(**{name: kept[name] for name in _TUNNEL}, incoming=kept["incoming"]),
        children=frozenset(kept["held_children"]),
        parents=frozenset(kept["held_parents"]),
        trying_since=kept["trying_since"],
        last_try=kept["last_try"],
        told_stuck=kept["told_stuck"],
        born=kept["born"] or 0,
        wanted=frozenset(kept["wanted"] or ()),
        by_hand=frozenset(kept["by_hand"] or ()),
        why=kept["why"],
    )


def _contradiction(record: TunnelRecord) -> str | None:
    """Return what is contradictory in a tunnel's values, for an error; None if nothing is."""
    t = record.tunnel
    # An instance's key has its connection serial behind the name: grouping.py.
    base, dollar, serial = t.key.rpartition("$")
    if t.name != clean(t.key) and not (dollar and serial.isdecimal() and t.name == clean(base)):
        return "the name isn't the key's"
    if t.last_state is TunnelState.UNKNOWN or t.state not in (TunnelState.UNKNOWN, t.last_state):
        return f"{t.state} after {t.last_state}"
    if not 0 <= t.children_up <= min(t.children, len(record.children)):
        return f"{t.children_up} of {t.children} children up, with {len(record.children)} SAs"
    up = t.last_state is TunnelState.UP
    if t.last_state.carries != bool(t.children_up) or up != (0 < t.children == t.children_up):
        return f"{t.last_state} with {t.children_up} of {t.children} children up"
    return None
