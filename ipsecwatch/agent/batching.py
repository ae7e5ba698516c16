# SPDX-License-Identifier: MIT
"""Makes notices of news: one a tunnel, one for all where there are many, one for pluto's stop.

Pure. It knows which notices may still be on the screen, and withdraws what is no longer so.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import notifications
from ipsecwatch.agent.notifications import News, NewsKind, Notification, Withdrawal
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOW: Final = 10.0
"""Seconds within which more than ``burst`` tunnels are a burst; also the life of a summary."""
HOLD: Final = 2.0
"""Seconds between two summaries of one burst."""


class Batching:
    """Tells of tunnels one by one, up to ``burst`` within WINDOW; then all at once."""

    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._singles: deque[float] = deque(maxlen=burst)
        """When the last tunnels were told of one by one."""
        self._shown: set[str] = set()
        """Tunnels with a notice of their own that may still be on the screen."""
        self._summed: dict[str, News] = {}
        """What the last summary says."""
        self._summed_at = -math.inf
        self._stopped: dict[str, News] = {}
        """What the notice of pluto's stop says."""

    @property
    def hold(self) -> float:
        """The time before which no news is wanted."""
        return self._summed_at + HOLD

    def tell(
        self, news: Sequence[News], now: float, *, together: bool = False
    ) -> Iterator[Notification | Withdrawal]:
        """Tell of tunnels; ``together``: several of them are one matter, however few."""
        if stopped := [n for n in news if _went_with_pluto(n)]:
            yield from self._tell_of_stop(stopped)
            news = [n for n in news if not _went_with_pluto(n)]
        if not news:
            return
        lately = sum(now - at < WINDOW for at in self._singles)
        open_ = now - self._summed_at < WINDOW
        if open_ or len(news) + lately > self._burst or (together and len(news) > 1):
            yield from self._sum_up(news, now)
        else:
            yield from self._tell_singly(news, now)

    def pluto_is(self, state: PlutoState) -> Iterator[Withdrawal]:
        """Withdraw what was said of pluto's stop, once it runs again."""
        if self._stopped and state is PlutoState.RUNNING:
            self._stopped = {}
            yield Withdrawal(notifications.PLUTO)

    def withdraw(self, path: str) -> Iterator[Withdrawal]:
        """Withdraw a tunnel's own notice, if there may be one."""
        if path in self._shown:
            self._shown.discard(path)
            yield Withdrawal(path)

    def forget(self, path: str) -> None:
        """Let a tunnel's last notice stand for good: the tunnel is gone."""
        self._shown.discard(path)

    def _tell_of_stop(self, stopped: Sequence[News]) -> Iterator[Notification | Withdrawal]:
        for n in stopped:
            yield from self.withdraw(n.view.path)
            self._stopped[n.view.path] = n
        yield notifications.pluto_stopped(list(self._stopped.values()))

    def _sum_up(self, news: Sequence[News], now: float) -> Iterator[Notification | Withdrawal]:
        if now - self._summed_at >= WINDOW:
            self._summed = {}
        self._summed_at = now
        self._summed.update((n.view.path, n) for n in news)
        if len(self._summed) == 1:
            self._shown.add(news[0].view.path)
            yield notifications.single(news[0])
            return
        for path in self._summed:
            yield from self.withdraw(path)
        yield notifications.summary(list(self._summed.values()))

    def _tell_singly(self, news: Sequence[News], now: float) -> Iterator[Notification | Withdrawal]:
        for n in news:
            self._singles.append(now)
            self._shown.add(n.view.path)
            yield notifications.single(n)
            # When each of those in the summary has had news of its own, it tells only old ones.
            if self._summed.pop(n.view.path, None) and not self._summed:
                yield Withdrawal(notifications.SUMMARY)


def _went_with_pluto(news: News) -> bool:
    return news.kind is NewsKind.DOWN and news.reason is Reason.PLUTO_STOPPED
