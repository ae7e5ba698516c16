# SPDX-License-Identifier: MIT
"""Draws a tunnel's states in a period as a line of characters, each for a part of the period."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.display.terminal import can_show_symbols
from ipsecwatch.cli.history.times import local
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ipsecwatch.cli.display.terminal import Paint
    from ipsecwatch.history.timelines import Span

T = TunnelState


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of which a bar consists; ``legend`` explains each to the user."""

    up: str
    mixed: str
    off: str
    waiting: str
    unknown: str

    @property
    def legend(self) -> str:
        """A line that explains all characters, for below the bars."""
        return (
            f"{self.up} up  {self.mixed} partly  {self.off} not up  {self.waiting} on demand  "
            f"{self.unknown} not known  blank: not watched"
        )


_BLOCKS: Final = Glyphs("█", "▄", "▁", "·", "?")
_ASCII: Final = Glyphs("#", "=", "_", ".", "?")


def glyphs() -> Glyphs:
    """Return blocks as the characters of bars, or ASCII if stdout can't show blocks."""
    return _BLOCKS if can_show_symbols() else _ASCII


def bar(
    spans: Iterable[Span], since: float, until: float, cells: int, chars: Glyphs, paint: Paint
) -> str:
    """Return a tunnel's bar: ``cells`` characters for the time from ``since`` to ``until``.

    Both are in seconds since the epoch. ``spans`` are the tunnel's states over time. Parts of the
    time in which the tunnel wasn't watched, or wasn't listed, are blank.
    """
    counted = _count(spans, since, until, cells)
    states = [_state(seconds) for seconds in counted]
    signs = {
        T.UP: chars.up, T.PARTIAL: chars.mixed, T.STUCK: chars.off, T.WAITING: chars.waiting,
        T.UNKNOWN: chars.unknown,
    }  # fmt: skip
    out = []
    for state, same in groupby(states):
        length = len(list(same))
        out.append(" " * length if state is None else paint.state(state, signs[state] * length))
    return "".join(out)


def _count(
    spans: Iterable[Span], since: float, until: float, cells: int
) -> list[dict[TunnelState, float]]:
    """Return, for each character of a bar, how many seconds the tunnel was in each state."""
    out: list[dict[TunnelState, float]] = [{} for _ in range(cells)]
    width = (until - since) / cells
    for span in spans:
        if span.state is None or span.end <= since or span.begin >= until:
            continue
        first = max(0, int((span.begin - since) / width))
        last = min(cells - 1, int((span.end - since) / width))
        for n in range(first, last + 1):
            begin, end = since + n * width, since + (n + 1) * width
            seconds = min(span.end, end) - max(span.begin, begin)
            if seconds > 0:
                out[n][span.state] = out[n].get(span.state, 0.0) + seconds
    return out


def _state(seconds: dict[TunnelState, float]) -> TunnelState | None:
    """Return which state's character is drawn for a part of the time; None: a blank.

    ``seconds`` are those in each state within this part. UNKNOWN is drawn only if there is no other
    state; else it is ignored. UP is drawn if the tunnel was always UP. PARTIAL is drawn if it was
    UP or PARTIAL for some time, so that even the shortest outage is seen. WAITING is drawn if it
    was always WAITING, and STUCK in any other case, also for DOWN.
    """
    known = [s for s in seconds if s is not T.UNKNOWN]
    if not known:
        return T.UNKNOWN if seconds else None
    if all(s is T.UP for s in known):
        return T.UP
    if any(s.carries for s in known):
        return T.PARTIAL
    return T.WAITING if all(s is T.WAITING for s in known) else T.STUCK


_STEPS: Final = (
    60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000,
)  # fmt: skip


def ruler(since: float, until: float, cells: int) -> str:
    """Return the line of local times above a bar of ``cells`` characters.

    Each time begins above the character that stands for it. For a period of more than two days,
    they are days (``11-28``), for more than a year, months. The period is from ``since`` to
    ``until``, in seconds since the epoch.
    """
    wide = (until - since) / cells
    days = (until - since) / 86400
    form = "%H:%M" if days <= 2 else "%m-%d" if days <= 366 else "%Y-%m"
    room = 8 * wide
    step = next((s for s in _STEPS if s >= room), _STEPS[-1] * math.ceil(room / _STEPS[-1]))
    line = [" "] * cells
    for at in _ticks(since, until, step):
        text = local(at).strftime(form)
        n = int((at - since) / wide)
        if n + len(text) <= cells:
            line[n : n + len(text)] = text
    return "".join(line).rstrip()


def _ticks(since: float, until: float, step: int) -> Sequence[float]:
    """Return the times to mark from ``since`` to before ``until``, in seconds since the epoch.

    They are ``step`` seconds apart on the local clock, counted from the midnight before ``since``:
    with a ``step`` of 3600, they are the full hours.
    """
    midnight = local(since).replace(hour=0, minute=0, second=0, microsecond=0)
    ticks: list[float] = []
    moment = midnight
    while moment.timestamp() < until:
        if moment.timestamp() >= since:
            ticks.append(moment.timestamp())
        moment += timedelta(seconds=step)
    return ticks
