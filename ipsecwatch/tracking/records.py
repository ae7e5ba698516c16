# SPDX-License-Identifier: MIT
"""What must be remembered between two polls, and how it is kept while the service is away.

Pure: to and from plain values that JSON can hold. What is read back is checked: it decides what
people are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ipsecwatch.tunnel import Reason, Tunnel, TunnelState

FORMAT: Final = 1

Why = tuple[Reason, str | None]
"""A reason, and pluto's line behind it."""

Key = tuple[str, tuple[int, ...]]
"""Name and instance of a connection, as state lines name it."""


@dataclass(slots=True)
class Memory:
    """What must be remembered of one tunnel, beside how it is."""

    tunnel: Tunnel
    children: frozenset[int] = frozenset()
    """Serials of its established Child SAs."""
    parents: frozenset[int] = frozenset()
    """Serials of the IKE SAs above them."""
    trying_since: float | None = None
    """When this episode of trying began, on the monotonic clock."""
    trying_order: int = 0
    """What the witness had heard by then."""
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
class Life:
    """What must be remembered of one life of pluto."""

    started: float | None = None
    """When it was first seen, if it was seen to start; None: it ran before we looked."""
    pid: int | None = None
    top: int = 0
    """The highest serial seen."""
    serials: frozenset[int] = frozenset()
    """Those of the last report."""
    ikes: dict[int, Key] | None = None
    """The established IKE SAs of the last report; None: there was none yet."""
    quiet: frozenset[int] = frozenset()
    """IKE SAs that are no sign of trying: they have carried a Child, or were there before us."""
    loaded: int = 0
    """Connections in the last report."""
    grew: float = 0.0
    """When it last had more than before."""
    gone: bool = False
    """It is over, for so long or so surely that its tunnels are down."""


@dataclass(slots=True)
class Past:
    """All that a tracker remembers."""

    memories: dict[str, Memory] = field(default_factory=dict)
    life: Life = field(default_factory=Life)


def dump(past: Past) -> dict[str, Any]:
    """Turn a past into plain values."""
    life = past.life
    return {
        "format": FORMAT,
        "tunnels": [_dump_memory(m) for m in past.memories.values()],
        "pluto": {
            "pid": life.pid,
            "top": life.top,
            "serials": sorted(life.serials),
            "ikes": [[serial, name, list(i)] for serial, (name, i) in (life.ikes or {}).items()],
            "quiet": sorted(life.quiet),
            "loaded": life.loaded,
            "gone": life.gone,
        },
    }


def _dump_memory(memory: Memory) -> dict[str, Any]:
    t = memory.tunnel
    kept = {name: getattr(t, name) for name in _KEPT}
    return {
        **kept,
        "held_children": sorted(memory.children),
        "held_parents": sorted(memory.parents),
        "trying_since": memory.trying_since,
        "last_try": memory.last_try,
        "told_stuck": memory.told_stuck,
        "why": list(memory.why),
    }


_KEPT: Final = (
    "key", "name", "state", "last_state", "since", "since_mono", "reason", "children_up",
    "children", "instances", "managed", "attempts", "peer", "detail",
)  # fmt: skip


def load(data: object) -> Past:
    """Turn plain values back into a past. Raises ValueError where they are none."""
    try:
        return _load(data)
    except (KeyError, TypeError, IndexError) as e:
        raise ValueError(f"not what was kept: {e!r}") from e


def _load(data: Any) -> Past:  # noqa: ANN401 - it comes from a file
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}")
    pluto = data["pluto"]
    life = Life(
        pid=_whole(pluto["pid"]),
        top=_number(pluto["top"]),
        serials=_serials(pluto["serials"]),
        ikes={
            _number(serial): (_text(name), tuple(_number(n) for n in instance))
            for serial, name, instance in pluto["ikes"]
        },
        quiet=_serials(pluto["quiet"]),
        loaded=_number(pluto["loaded"]),
        gone=bool(pluto["gone"]),
    )
    memories = [_load_memory(row) for row in data["tunnels"]]
    return Past({m.tunnel.key: m for m in memories}, life)


def _load_memory(row: dict[str, Any]) -> Memory:
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
    return Memory(
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
