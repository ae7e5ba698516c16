# SPDX-License-Identifier: MIT
"""Decides what the user is told, and when. Pure: events and the clock in, notices out.

For each tunnel it keeps how it is and what the user believes of it. Where the two differ for long
enough, the user is told; so a loss that is over at once, a restart of the service and a list that
had to be read afresh are all the same matter, and nothing is told twice.

Floods are what people dislike most in such an agent, so:

* a loss waits for ``settle``; where the tunnel is back by then, that is one quiet line;
* a tunnel that keeps being lost has to stay away twice as long each time;
* many tunnels at once become one summary (batching.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import notifications
from ipsecwatch.agent.batching import Batching
from ipsecwatch.agent.notifications import DELIBERATE, News, NewsKind, Notification, Withdrawal
from ipsecwatch.client.events import Change, Event, Log, Lost, Pluto, Snapshot, Update, View
from ipsecwatch.reasons import IPSEC
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.config import AgentSettings

GATHER: Final = 0.3
"""Seconds that news waits for more of its kind: what one poll saw comes as many signals."""
GRACE: Final = 10.0
"""Seconds for which the service may be away unremarked: an upgrade restarts it."""
CALM: Final = 300.0
"""Seconds after which a tunnel that was lost counts as steady again."""
MAX_SETTLE: Final = 60.0
"""Seconds; ``settle`` grows no further than this for a tunnel that keeps being lost."""
REPEAT: Final = 600.0
"""Seconds within which the same trouble of a tunnel, begun anew, is no news."""


class _Standing(IntEnum):
    """What people tell apart, the worst first."""

    DOWN = 0
    STUCK = 1
    HINDERED = 2
    """Partly up, and what is missing is stuck."""
    PARTIAL = 3
    UP = 4

    @property
    def carries(self) -> bool:
        return self >= _Standing.HINDERED


_STANDING: Final = {
    TunnelState.UP: _Standing.UP,
    TunnelState.PARTIAL: _Standing.PARTIAL,
    TunnelState.STUCK: _Standing.STUCK,
}
_KIND: Final = {
    _Standing.UP: NewsKind.UP,
    _Standing.PARTIAL: NewsKind.PARTIAL,
    _Standing.HINDERED: NewsKind.PARTIAL,
    _Standing.STUCK: NewsKind.STUCK,
    _Standing.DOWN: NewsKind.DOWN,
}


@dataclass(slots=True)
class _Tunnel:
    view: View
    believed: _Standing = _Standing.DOWN
    """What the user was told last, or takes for granted."""
    why: Reason = Reason.NONE
    """Of the last transition; of the loss, while one waits to be told."""
    fresh: bool = False
    """It is listed, but no transition of it was heard yet."""
    sticks: bool = False
    """Its missing child has been tried for too long."""
    gone: bool = False
    due: float | None = None
    """When the user is told what is new."""
    gap: bool = False
    """What is new happened while nobody listened."""
    lost: float | None = None
    """When it got worse than what is believed."""
    down_since: float | None = None
    """When the loss came of which the user was told."""
    losses: int = 0
    """How often it was lost lately."""
    last_loss: float = -math.inf
    trouble: tuple[float, Reason] = (-math.inf, Reason.NONE)
    """When it was last told to be stuck, and why."""

    @property
    def known(self) -> TunnelState:
        if self.gone:
            return TunnelState.DOWN
        unknown = self.view.state is TunnelState.UNKNOWN
        return self.view.last_state if unknown else self.view.state


class NotificationPolicy:
    """Hears what the service says, and says what the user should hear. Times are monotonic."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._batching = Batching(settings.burst)
        self._tunnels: dict[str, _Tunnel] = {}
        self._pluto = PlutoState.RUNNING
        self._unit = IPSEC
        """The systemd unit that runs pluto; "": none is known to."""
        self._listening = False
        self._lost: Lost | None = None
        self._lost_due: float | None = None
        self._unwatched = False
        """The user was told that nobody watches."""
        self._next = math.inf

    # --- What comes in ------------------------------------------------------------------------

    def hear(self, event: Event, now: float) -> None:
        """Take note of an event. What follows from it is tell()'s answer when it is due."""
        match event:
            case Snapshot():
                self._heard_all(event, now)
            case Change():
                self._heard_change(event, now)
            case Update():
                self._heard_update(event, now)
            case Pluto():
                self._unit = event.unit
                self._heard_pluto(event.state, now)
            case Log():
                pass  # the reasons show it
            case Lost():
                self._heard_nothing(event, now)

    def _heard_all(self, event: Snapshot, now: float) -> None:
        """Compare all that there is with what is believed; the first time, believe it."""
        self._pluto, self._unit = event.pluto_state, event.unit
        for path, tunnel in self._tunnels.items():
            tunnel.gone = path not in event.tunnels
        for view in event.tunnels.values():
            self._see(view, fresh=False)
        for tunnel in list(self._tunnels.values()):
            tunnel.gap = self._listening
            if tunnel.lost is None:
                tunnel.why = tunnel.view.reason
            self._reconcile(tunnel, now)
        self._listening = True
        self._lost, self._lost_due = None, None
        self._next = -math.inf

    def _heard_change(self, event: Change, now: float) -> None:
        tunnel = self._see(event.view, fresh=True)
        if tunnel is None:
            return
        # A tunnel that comes is first listed and then has its transition, or the other way round.
        if tunnel.fresh and event.old is not TunnelState.UNKNOWN:
            tunnel.believed = self._standing(event.old)
        tunnel.fresh = False
        tunnel.sticks = event.new is TunnelState.PARTIAL and event.told == "stuck"
        if tunnel.lost is None or tunnel.why is Reason.NONE:
            tunnel.why = event.reason
        self._reconcile(tunnel, now)

    def _heard_update(self, event: Update, now: float) -> None:
        tunnel = self._tunnels.get(event.path)
        if event.view is not None:
            tunnel = self._see(event.view, fresh=True)
        elif tunnel is not None:
            tunnel.gone = True
        if tunnel is not None:
            self._reconcile(tunnel, now)

    def _heard_pluto(self, state: PlutoState, now: float) -> None:
        self._pluto = state
        for tunnel in [t for t in self._tunnels.values() if t.gone]:
            self._reconcile(tunnel, now)
        self._next = -math.inf

    def _heard_nothing(self, event: Lost, now: float) -> None:
        self._lost = event
        if self._listening and self._lost_due is None and not self._unwatched:
            self._lost_due = now + GRACE
            self._next = min(self._next, self._lost_due)

    def _see(self, view: View, *, fresh: bool) -> _Tunnel | None:
        """Take note of how a tunnel is; answers None for one that isn't told of."""
        if self._ignored(view):
            self._tunnels.pop(view.path, None)
            return None
        tunnel = self._tunnels.get(view.path)
        if tunnel is None or tunnel.known is TunnelState.UNKNOWN:
            # What nothing is known of yet is believed as it turns out to be.
            tunnel = self._tunnels[view.path] = _Tunnel(view, fresh=fresh)
            tunnel.believed = self._standing(tunnel.known)
        tunnel.view, tunnel.gone = view, False
        tunnel.sticks = tunnel.sticks and tunnel.known is TunnelState.PARTIAL
        return tunnel

    def _ignored(self, view: View) -> bool:
        if view.managed and not self._settings.managed:
            return True
        return any(fnmatchcase(view.name, pattern) for pattern in self._settings.ignore)

    def _standing(self, state: TunnelState, *, sticks: bool = False) -> _Standing:
        standing = _STANDING.get(state, _Standing.DOWN)
        if not self._settings.stuck:
            return _Standing.DOWN if standing is _Standing.STUCK else standing
        return _Standing.HINDERED if sticks else standing

    def _reconcile(self, tunnel: _Tunnel, now: float) -> None:
        """Set the time at which the user is told of how this tunnel is now, if of anything."""
        if tunnel.gone and self._pluto not in (PlutoState.RUNNING, PlutoState.STOPPED):
            tunnel.due = None  # nobody can say yet what there is
            return
        standing = self._standing(tunnel.known, sticks=tunnel.sticks)
        if standing is tunnel.believed:
            if tunnel.lost is not None and not tunnel.gap:
                self._schedule(tunnel, now, now)
                return
            tunnel.due, tunnel.lost, tunnel.gap = None, None, False
            if tunnel.gone:
                self._forget(tunnel)
            return
        wait = self._patience(tunnel, standing, now)
        if standing < tunnel.believed and tunnel.believed.carries:
            if tunnel.lost is None:
                tunnel.lost = now
                if tunnel.gone and tunnel.why is Reason.NONE:
                    stopped = self._pluto is PlutoState.STOPPED
                    tunnel.why = Reason.PLUTO_STOPPED if stopped else Reason.UNLOADED
            self._schedule(tunnel, tunnel.lost + wait, now)
        else:
            tunnel.lost = None
            due = now + wait
            self._schedule(tunnel, due if tunnel.due is None else min(due, tunnel.due), now)

    def _forget(self, tunnel: _Tunnel) -> None:
        del self._tunnels[tunnel.view.path]
        self._batching.forget(tunnel.view.path)

    def _patience(self, tunnel: _Tunnel, standing: _Standing, now: float) -> float:
        """Say for how many seconds a tunnel has to be like this before it is told."""
        settle = self._settings.settle
        if tunnel.gap:
            return settle
        if standing in (_Standing.UP, _Standing.STUCK, _Standing.HINDERED):
            return 0.0
        if tunnel.believed is _Standing.STUCK and standing is _Standing.DOWN:
            return 0.0
        if tunnel.believed.carries and now - tunnel.last_loss < CALM:
            return max(settle, min(settle * (1 << min(tunnel.losses, 10)), MAX_SETTLE))
        return settle

    def _schedule(self, tunnel: _Tunnel, due: float, now: float) -> None:
        tunnel.due = max(due, now + GATHER)
        self._next = min(self._next, tunnel.due)

    # --- What is said -------------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When tell() will have something to say, if nothing else is heard before."""
        return None if self._next == math.inf else self._next

    def tell(self, now: float) -> list[Notification | Withdrawal]:
        """Say what is due by now."""
        if now < self._next:
            return []
        told = [*self._tell_of_service(now), *self._batching.pluto_is(self._pluto)]
        if now >= self._batching.hold:
            told += self._tell_of_tunnels(now)
        waiting = [t.due for t in self._tunnels.values() if t.due is not None]
        self._next = max(min(waiting), self._batching.hold) if waiting else math.inf
        if self._lost_due is not None:
            self._next = min(self._next, self._lost_due)
        return told

    def _tell_of_service(self, now: float) -> Iterator[Notification | Withdrawal]:
        if self._lost is None:
            if self._unwatched:
                self._unwatched = False
                yield Withdrawal(notifications.SERVICE)
        elif self._lost_due is not None and now >= self._lost_due:
            self._lost_due, self._unwatched = None, True
            yield notifications.unwatched(self._lost)

    def _tell_of_tunnels(self, now: float) -> Iterator[Notification | Withdrawal]:
        waiting = [(t.due, t) for t in self._tunnels.values() if t.due is not None]
        if all(due > now for due, _ in waiting):
            return
        # With the first that is due go all that only wait for company.
        ripe = [t for due, t in waiting if due <= now + GATHER]
        together = any(t.gap for t in ripe)
        news: list[News] = []
        for tunnel in ripe:
            was = tunnel.believed
            found = self._resolve(tunnel, now)
            if found is not None:
                news.append(replace(found, unit=self._unit))
            elif self._is_stale(tunnel, was):
                yield from self._batching.withdraw(tunnel.view.path)
        yield from self._batching.tell(news, now, together=together)
        for tunnel in ripe:
            if tunnel.gone:
                self._forget(tunnel)

    def _resolve(self, tunnel: _Tunnel, now: float) -> News | None:
        """Have the user believe how a tunnel is; answers what there is to say about it."""
        was, lost = tunnel.believed, tunnel.lost
        standing = self._standing(tunnel.known, sticks=tunnel.sticks)
        tunnel.believed, tunnel.due, tunnel.lost, tunnel.gap = standing, None, None, False
        if lost is not None:
            calm = now - tunnel.last_loss >= CALM
            tunnel.losses, tunnel.last_loss = 1 if calm else tunnel.losses + 1, now
        if standing is was:
            often = tunnel.losses & (tunnel.losses - 1)  # 0 for the 1st, 2nd, 4th, 8th ... time
            if lost is None or often or not self._settings.down:
                return None
            return News(NewsKind.BLIP, tunnel.view, away=now - lost, times=tunnel.losses)
        if standing is _Standing.STUCK:
            return self._trouble(tunnel, lost, now)
        if standing is _Standing.UP:
            away = None if tunnel.down_since is None else now - tunnel.down_since
            tunnel.down_since, tunnel.trouble = None, (-math.inf, Reason.NONE)
            return News(NewsKind.UP, tunnel.view, away=away) if self._settings.up else None
        if lost is None:  # it got better, or gave up trying
            better = standing.carries and self._settings.up
            return News(NewsKind.PARTIAL, tunnel.view, tunnel.view.reason) if better else None
        if not standing.carries:
            tunnel.down_since = lost
        wanted = self._settings.down or standing is _Standing.HINDERED
        return News(_KIND[standing], tunnel.view, self._cause(tunnel)) if wanted else None

    def _trouble(self, tunnel: _Tunnel, lost: float | None, now: float) -> News | None:
        reason = tunnel.why if tunnel.view.reason is Reason.NONE else tunnel.view.reason
        told_at, told = tunnel.trouble
        if tunnel.down_since is None:
            tunnel.down_since = lost
        if lost is None and told is reason and now - told_at < REPEAT:
            return None
        tunnel.trouble = now, reason
        return News(NewsKind.STUCK, tunnel.view, reason)

    def _cause(self, tunnel: _Tunnel) -> Reason:
        if tunnel.why is Reason.PLUTO_STOPPED and self._pluto is not PlutoState.STOPPED:
            return Reason.PLUTO_RESTARTED  # by now
        return tunnel.why

    def _is_stale(self, tunnel: _Tunnel, was: _Standing) -> bool:
        """Return whether the last notice of a tunnel is stale, though nothing follows."""
        if tunnel.believed is was or tunnel.believed is _Standing.STUCK:
            return False
        if was is _Standing.STUCK and tunnel.believed is _Standing.DOWN:
            # It gave up, and works as little as was told; unless that is meant.
            return tunnel.gone or tunnel.why in DELIBERATE
        return True
