# SPDX-License-Identifier: MIT
"""What must be remembered between two polls, and how it is kept while the service is away.

Pure: to and from plain values that JSON can hold. What is read back is checked: it decides what
people are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ipsecwatch.tracking.pluto_run import PlutoRun
from ipsecwatch.tunnel import Reason, Tunnel, TunnelState

FORMAT: Final = 1

Why = tuple[Reason, str | None]
"""A reason, and pluto's line behind it."""


@dataclass(slots=True)
class TunnelRecord:
    """What must be remembered of one tunnel, beside how it is."""

    tunnel: Tunnel
    children: frozenset[int] = frozenset()
    """Serials of its established Child SAs."""
    parents: frozenset[int] = frozenset()
    """Serials of the IKE SAs above them."""
    trying_since: float | None = None
    """When this episode of trying began, on the monotonic clock."""
    trying_order: int = 0
    """How many log lines had been heard by then."""
    last_try: int = 0
    """The highest serial of a negotiation that was counted."""
    orphan: bool = False
    """It hasn't been listed yet by the pluto that took the place of the one that held its SAs."""
    overdue: bool = False
    """It has lasted too long."""
    told_stuck: bool = False
    why: Why = (Reason.NONE, None)
    """The reason for the last known state."""


@dataclass(slots=True)
class Records:
    """All that a tracker remembers."""

    tunnels: dict[str, TunnelRecord] = field(default_factory=dict)
    run: PlutoRun = field(default_factory=PlutoRun)


def dump(records: Records) -> dict[str, Any]:
    """Turn records into plain values."""
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
            "loaded": run.loaded,
            "gone": run.gone,
        },
    }


def _dump_record(record: TunnelRecord) -> dict[str, Any]:
    t = record.tunnel
    kept = {name: getattr(t, name) for name in _KEPT}
    return {
        **kept,
        "held_children": sorted(record.children),
        "held_parents": sorted(record.parents),
        "trying_since": record.trying_since,
        "last_try": record.last_try,
        "told_stuck": record.told_stuck,
        "why": list(record.why),
    }


_KEPT: Final = (
    "key", "name", "state", "last_state", "since", "since_mono", "reason", "children_up",
    "children", "instances", "managed", "attempts", "peer", "detail",
)  # fmt: skip


def load(data: object) -> Records:
    """Turn plain values back into records. Raises ValueError where they are none."""
    try:
        return _load(data)
    except (KeyError, TypeError, IndexError) as e:
        raise ValueError(f"not what was kept: {e!r}") from e


def _load(data: Any) -> Records:  # noqa: ANN401 - it comes from a file
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}")
    pluto = data["pluto"]
    run = PlutoRun(
        pid=_whole(pluto["pid"]),
        top=_number(pluto["top"]),
        serials=_serials(pluto["serials"]),
        ikes={
            _number(serial): (_text(name), tuple(_number(n) for n in instance))
            for serial, name, instance in pluto["ikes"]
        },
        idle=_serials(pluto["quiet"]),
        loaded=_number(pluto["loaded"]),
        gone=bool(pluto["gone"]),
    )
    tunnels = [_load_record(row) for row in data["tunnels"]]
    return Records({m.tunnel.key: m for m in tunnels}, run)


def _load_record(row: dict[str, Any]) -> TunnelRecord:
    reason, line = row["why"]
    tunnel = Tunnel(
        key=_text(row["key"]),
        name=_text(row["name"]),
        state=TunnelState(row["state"]),
        last_state=TunnelState(row["last_state"]),
        since=float(row["since"]),
        since_mono=float(row["since_mono"]),
        reason=Reason(row["reason"]),
        children_up=_number(row["children_up"]),
        children=_number(row["children"]),
        instances=_number(row["instances"]),
        managed=_text(row["managed"]),
        attempts=_number(row["attempts"]),
        peer=None if row["peer"] is None else _text(row["peer"]),
        detail=None if row["detail"] is None else _text(row["detail"]),
    )
    since = row["trying_since"]
    return TunnelRecord(
        tunnel,
        children=_serials(row["held_children"]),
        parents=_serials(row["held_parents"]),
        trying_since=None if since is None else float(since),
        last_try=_number(row["last_try"]),
        told_stuck=bool(row["told_stuck"]),
        why=(Reason(reason), None if line is None else _text(line)),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no number")
    return value


def _whole(value: object) -> int | None:
    return None if value is None else _number(value)


def _serials(values: list[object]) -> frozenset[int]:
    return frozenset(_number(v) for v in values)
