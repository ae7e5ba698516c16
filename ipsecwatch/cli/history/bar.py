# SPDX-License-Identifier: MIT
"""Draws a period as a bar of text, in which each cell stands for a part of the time."""

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
    """The characters that stand for the states in a bar; ``legend`` says what each means."""

    up: str
    mixed: str
    off: str
    waiting: str
    unknown: str

    @property
    def legend(self) -> str:
        """The explanation of the characters, in one line."""
        return (
            f"{self.up} up  {self.mixed} partly  {self.off} not up  {self.waiting} on demand  "
            f"{self.unknown} not known  blank: not watched"
        )


_BLOCKS: Final = Glyphs("█", "▄", "▁", "·", "?")
_ASCII: Final = Glyphs("#", "=", "_", ".", "?")


def glyphs() -> Glyphs:
    """Return the characters that stdout can show."""
    return _BLOCKS if can_show_symbols() else _ASCII


def bar(
    spans: Iterable[Span], since: float, until: float, cells: int, chars: Glyphs, paint: Paint
) -> str:
    """Return a tunnel's bar of ``cells`` characters for the time from ``since`` to ``until``.

    Both are in seconds since the epoch. ``spans`` are the tunnel's, in which the service watched
    it; cells without any are blank.
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
    """Return for each cell of a bar how many of its seconds the tunnel was in each state."""
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
    """Return the state that stands for a cell, from the seconds in each state; None: not watched.

    Seconds in UNKNOWN count only where there are no others. UP and WAITING stand for a cell that
    had no other state; PARTIAL for one that was UP or PARTIAL for a part of the time, so that even
    the shortest outage is shown; and STUCK for any other.
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
    """Return the line above a bar, with local times, each from the cell on in which it is.

    For a period of more than two days they are days, for more than a year months. ``since`` and
    ``until``, in seconds since the epoch, are the ends of the bar.
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
    """Return the round local times from ``since`` to before ``until``, in seconds since the epoch.

    They are ``step`` seconds apart, counted from the local midnight before ``since``.
    """
    midnight = local(since).replace(hour=0, minute=0, second=0, microsecond=0)
    ticks: list[float] = []
    moment = midnight
    while moment.timestamp() < until:
        if moment.timestamp() >= since:
            ticks.append(moment.timestamp())
        moment += timedelta(seconds=step)
    return ticks
