# SPDX-License-Identifier: MIT
"""What is remembered between two polls, and its form as plain values while the service is stopped.

Pure: the values are such as JSON can hold. Each value that is read back is checked by the tables
below, because it decides what people are told. Also, a number too large for its D-Bus type would
end the service at its first signal, after every start.
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
"""A reason, and what it was read from, as in ``Tunnel.detail``: mostly pluto's log line; None:
nothing."""


@dataclass(slots=True)
class TunnelRecord:
    """A tunnel, and what is remembered about it between two polls."""

    tunnel: Tunnel
    children: frozenset[int] = frozenset()
    """Serials of its established Child SAs in the last report."""
    parents: frozenset[int] = frozenset()
    """Serials of the IKE SAs of these Child SAs."""
    trying_since: float | None = None
    """Since when it has been tried without a break, on the monotonic clock; None: it isn't
    tried."""
    trying_order: int = 0
    """How many log lines had been read some LOG_SLACK seconds before it was first seen to be tried.
    Only later lines may be about the present attempts."""
    last_try: int = 0
    """The highest serial of an SA that was counted as an attempt."""
    orphan: bool = False
    """pluto was restarted, and the new pluto hasn't listed this tunnel yet. The SAs are the old
    one's."""
    overdue: bool = False
    """It has been tried for ``stuck_after`` seconds or more."""
    told_stuck: bool = False
    """A transition has told that it is PARTIAL, and that its other children have been tried for
    ``stuck_after`` seconds."""
    born: int = 0
    """How many log lines had been read at the last poll before its newest Child SA came."""
    wanted: frozenset[str] = frozenset()
    """Its connections that pluto is to keep up (`UP` in the policy), by the last report
    (``rw[3]``)."""
    by_hand: frozenset[str] = frozenset()
    """Its connections that were taken down by hand, until they get a new Child SA or `UP` again."""
    refused: tuple[int, Why] | None = None
    """The number of the log line about the last failed attempt of the peer, and the reason with
    that line; None: there was none."""
    held_since: float | None = None
    """Since when it hasn't been listed, on the monotonic clock, or since when it was added again
    without being tried yet. None: neither is so."""
    seen: float = 0.0
    """When the last report that listed it was read, on the wall clock; a report that is just being
    compared doesn't count."""
    why: Why = (Reason.NONE, None)
    """The reason for its last known state, which is kept while the state is UNKNOWN."""


@dataclass(slots=True)
class Records:
    """All that a tracker remembers from poll to poll: tunnels, by key, and the run of pluto."""

    tunnels: dict[str, TunnelRecord] = field(default_factory=dict)
    run: PlutoRun = field(default_factory=PlutoRun)


# --- What is kept: each value with its type and its range -----------------------------------------

MAX_TIME: Final = 2.0**33
"""The highest time on any of the clocks, in seconds. On the wall clock it is in the year 2242."""
MAX_COUNT: Final = 1 << 31
"""The highest restored count. It is half of what D-Bus's type u holds, since counting goes on."""
MAX_SERIAL: Final = 10**10 - 1
"""The highest serial or instance number: pluto's have ten digits at most in its status, too."""
MAX_LINES: Final = 1 << 53
"""The highest number of log lines: up to here, JSON's numbers are exact."""
MAX_PID: Final = (1 << 31) - 1
MAX_TEXT: Final = 4096
"""How many characters a text of pluto's has at most: pluto prints no line longer than 1,024."""

_TIME: Final = number(0.0, MAX_TIME)
_COUNT: Final = whole(0, MAX_COUNT)
_SERIAL: Final = whole(0, MAX_SERIAL)
_SERIALS: Final = each(_SERIAL)
_AS_PRINTED: Final = text(MAX_TEXT, raw=True)
"""The check of a text as pluto printed or logged it. It isn't escaped yet."""
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
"""The fields of a Tunnel that are saved, each with its check."""

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
"""Further values of a tunnel, which state files of older versions don't have."""

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
    """Return the records of plain values. Raise JsonError if dump() can't have made the values.

    That is so, too, if they contradict each other.
    """
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
    """Return a run of pluto from checked values. Raise JsonError if they contradict each other."""
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
    """Return how a tunnel's restored values contradict each other, for an error, or None."""
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
