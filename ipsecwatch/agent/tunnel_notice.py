# SPDX-License-Identifier: MIT
"""What is told of one tunnel, over time. Pure: views and the clock in, claims and news out.

It keeps how the tunnel is, what its user believes of it, what is said to be wrong with it, and what
the user closed. ``look()`` brings what is said up to what is true, as far as it is time for that.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent.notifications import News
from ipsecwatch.agent.rules import FAILURES, MEANT, OF_PLUTO, RULES, Kind, wrong
from ipsecwatch.reasons import IPSEC
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from ipsecwatch.client.events import Change, View
    from ipsecwatch.config import TunnelSettings

GATHER: Final = 0.3
"""Seconds that news waits for more of its kind: what one poll saw comes as many signals."""
FLAPS: Final = 3
"""Losses within WINDOW that make a tunnel unstable."""
WINDOW: Final = 120.0
"""Seconds."""
CALM: Final = 60.0
"""Seconds for which an unstable tunnel has to be up before it counts as steady again."""
RECOUNT: Final = 20.0
"""Seconds between two counts of losses that are shown."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said to be wrong with a tunnel."""

    kind: Kind
    reason: Reason = Reason.NONE
    children: tuple[int, int] = (0, 0)
    """How many are up, and how many there are."""
    times: int = 1
    """How often it was lost within WINDOW, where it is unstable."""

    @property
    def rank(self) -> int:
        """How bad it is."""
        return RULES[self.kind].rank


@dataclass(slots=True)
class Context:
    """What else is so."""

    pluto: PlutoState | None = None
    unit: str = IPSEC
    """The systemd unit that runs pluto, or ran it last; "": none is known to."""
    has_managed: bool = False
    """NetworkManager has, or had, connections in this pluto."""
    hush: float = -math.inf
    """Before this time nothing worse than what was told is told."""

    @property
    def networkmanager_ended_pluto(self) -> bool:
        """Whether pluto went with the connection that its user disconnected in NetworkManager.

        NetworkManager-libreswan ends the pluto that it has started, which no unit runs then.
        """
        return self.has_managed and not self.unit and self.pluto is PlutoState.STOPPED


def level(state: TunnelState) -> int:
    """Return how much of a tunnel is up: 2 all, 1 a part, 0 nothing."""
    return {TunnelState.UP: 2, TunnelState.PARTIAL: 1}.get(state, 0)


class TunnelNotice:
    """One tunnel. Times are monotonic."""

    def __init__(self, view: View, settings: TunnelSettings, *, fresh: bool, closed: int) -> None:
        self.view = view
        self.settings = settings
        self.losses_only = False
        """Somebody else tells when it is connected, and when its user disconnects it."""
        self.gone = False
        self.told: Claim | None = None
        """What is said to be wrong with it now."""
        self.due: float | None = None
        """When look() will have something to do, if nothing happens before."""
        self.closed = closed
        """The rank of the notice of it that the user closed; -1: none."""
        self.over = False
        """It is gone, and that was told."""
        self._level = self._believed = level(self.known)
        """How much of it is up, and how much its user takes to be up."""
        self._fresh = fresh
        """It is listed, but no transition of it was heard yet."""
        self._why = Reason.NONE
        """Of the loss, or of the last transition."""
        self._sticks = False
        """Its missing child has been tried for too long."""
        self._lost_at: float | None = None
        """When it got worse than what was believed; until it is up again, or ended as meant."""
        self._since: float | None = None
        """Since when what is so now is so, where it is something else than what was told."""
        self._target: tuple[Claim | None, int] = None, 0
        self._worse_since: float | None = None
        """Since when something worse is so."""
        self._up_since = -math.inf
        self._losses: deque[float] = deque(maxlen=1000)
        self._falling = False
        """It was lost, and nothing got better since."""
        self._unstable = False
        self._counted = -math.inf, 0
        """When the losses that are told were counted, and how many there were."""

    @property
    def known(self) -> TunnelState:
        """The last known state."""
        if self.gone:
            return TunnelState.DOWN
        unknown = self.view.state is TunnelState.UNKNOWN
        return self.view.last_state if unknown else self.view.state

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows how it is now."""
        return self.view.state is TunnelState.UNKNOWN and not self.gone

    @property
    def contradicts_good_news(self) -> bool:
        """Whether it isn't up any more, though nothing was told of that yet."""
        return self._level < self._believed

    @property
    def shown(self) -> Claim | None:
        """What is to be seen of what is wrong with it: nothing, where the user closed that."""
        return self.told if self.told is not None and self.told.rank > self.closed else None

    def news(self, claim: Claim) -> News:
        """Return what is wrong with it as something to tell."""
        return News(claim.kind, self.view, claim.reason, times=claim.times, within=WINDOW)

    def close(self) -> None:
        """Take note that the user closed its notice."""
        if self.told is not None:
            self.closed = max(self.closed, self.told.rank)

    # --- What comes in ------------------------------------------------------------------------

    def see(self, view: View) -> None:
        """Take note of how it is."""
        if self.known is TunnelState.UNKNOWN:
            # What nothing was known of is believed as it turns out to be.
            self.view = view
            self._level = self._believed = level(self.known)
        self.view, self.gone = view, False
        self._sticks = self._sticks and self.known is TunnelState.PARTIAL

    def change(self, event: Change) -> None:
        """Take note of a transition, of which see() has seen the end."""
        # A tunnel that comes is first listed and then has its transition, or the other way round.
        if self._fresh and event.old is not TunnelState.UNKNOWN:
            self._level = self._believed = level(event.old)
        self._fresh = False
        self._sticks = event.new is TunnelState.PARTIAL and event.told == "stuck"
        if self._lost_at is None or self._why in (Reason.NONE, *OF_PLUTO):
            self._why = event.reason

    def is_listed(self) -> None:
        """Take note that a list shows it, and of what it is so by now."""
        self._fresh = False
        if self._lost_at is None:
            self._why = self.view.reason

    # --- What is true -------------------------------------------------------------------------

    def look(self, now: float, context: Context) -> News | None:
        """Have what is told catch up with what is true; return what is told in passing."""
        self.due = None
        if self.is_unknown:
            return None  # nobody knows; what was told stays as it is
        if self.gone and context.pluto not in (PlutoState.RUNNING, PlutoState.STOPPED):
            return None  # nobody can say yet what there is
        self._measure(now, context)
        claim = self._claim(now, context)
        if not self._differs(claim):
            self._since = self._worse_since = None
            self.due = self._recount_at(now)
            return None
        when = self._when(claim, now, context)
        if now < when:
            self.due = when
            return None
        news = self._news(claim, now, context)
        self._apply(claim)
        self.due = self._recount_at(now)
        return news

    def _measure(self, now: float, context: Context) -> None:
        """Take note of losses, and of when it came up."""
        now_up = level(self.known)
        if now_up < self._level and not self._falling:
            self._falling = True
            self._note_loss(now, context)
            if self._level == 2 and now >= context.hush and not self._unstable:
                self.closed = -1  # what was closed is over, and this is another one
        if now_up > self._level:
            self._falling = False
        if now_up == 2 and self._level < 2:
            self._up_since = now
        self._level = now_up
        if now_up < self._believed and self._lost_at is None:
            self._lost_at = now
            if self.gone and self._why is Reason.NONE:
                stopped = context.pluto is PlutoState.STOPPED
                self._why = Reason.PLUTO_STOPPED if stopped else Reason.UNLOADED
        self._unstable = self._unstable and not self._is_calm(now)

    def _note_loss(self, now: float, context: Context) -> None:
        meant = self.gone or self.view.reason in MEANT
        if meant:
            self._unstable = False
        elif now >= context.hush:
            self._losses.append(now)
            self._unstable = self._unstable or self._lost_lately(now) >= FLAPS

    def _lost_lately(self, now: float) -> int:
        return sum(now - at < WINDOW for at in self._losses)

    def _is_calm(self, now: float) -> bool:
        """Return whether an unstable tunnel is steady again, or gave up being so."""
        if self._level < 2:
            return self._level == 0 and self.view.reason in MEANT
        was_lasting = self.told is not None and self.told.rank > RULES[Kind.UNSTABLE].rank
        return now >= self._calm_at() or (was_lasting and self._lost_lately(now) < FLAPS)

    def _calm_at(self) -> float:
        return max(self._up_since, self._losses[-1] if self._losses else -math.inf) + CALM

    def _recount_at(self, now: float) -> float | None:
        """Return when an unstable tunnel has to be looked at again."""
        if not self._unstable:
            return None
        at, times = self._counted
        times_now = self._lost_lately(now)
        again = at + RECOUNT if times_now > times else math.inf
        due = min(again, self._calm_at() if self._level == 2 else math.inf)
        return due if due < math.inf else None

    def _reason(self, context: Context) -> Reason:
        """Return why it isn't up: what is so now, or of its loss, where nothing newer is known."""
        reason = self.view.reason
        if self.gone or reason is Reason.NONE:
            reason = self._why
        if reason in OF_PLUTO and context.pluto is PlutoState.RUNNING:
            return Reason.PLUTO_RESTARTED if reason is Reason.PLUTO_STOPPED else Reason.NONE
        return reason

    def _claim(self, now: float, context: Context) -> Claim | None:
        """Return what is wrong with it, as far as its user wants to know."""
        if self.losses_only and context.networkmanager_ended_pluto:
            return None
        if self.gone:
            stopped = context.pluto is PlutoState.STOPPED and self._why is Reason.PLUTO_STOPPED
            return Claim(Kind.DOWN, self._why) if stopped and self._lost_at is not None else None
        reason = self._reason(context)
        enough = 1 if self.known is TunnelState.PARTIAL else 0
        was_up = self._believed > enough or self._lost_at is not None or self._sticks
        kind = wrong(self.known, reason, was_up=was_up)
        if kind is Kind.DOWN and self._was_stuck() and reason in FAILURES:
            kind = Kind.STUCK  # it gave up, and works as little as was told
        if kind is Kind.STUCK and not self.settings.stuck:
            kind = Kind.RECONNECTING if was_up else None
        if self._unstable and (kind is None or RULES[kind].rank < RULES[Kind.DOWN].rank):
            return self._claim_unstable(now) if self.settings.down else None
        if kind is None or (RULES[kind].switch == "down" and not self.settings.down):
            return None
        children = (self.view.children_up, self.view.children) if kind is Kind.PARTIAL else (0, 0)
        return Claim(kind, reason, children)

    def _was_stuck(self) -> bool:
        return self.told is not None and self.told.kind is Kind.STUCK

    def _claim_unstable(self, now: float) -> Claim:
        at, times = self._counted
        if now - at >= RECOUNT:
            # A count that only shrinks, as time goes by, is no news.
            times = max(self._lost_lately(now), times if now - at < WINDOW else FLAPS)
            self._counted = now, times
        return Claim(Kind.UNSTABLE, times=times)

    # --- What is told, and when ---------------------------------------------------------------

    def _differs(self, claim: Claim | None) -> bool:
        is_blip = self._lost_at is not None and self._level == 2
        return (
            claim != self.told
            or self._level != self._believed
            or is_blip
            or (self.gone and claim is None)
        )

    def _when(self, claim: Claim | None, now: float, context: Context) -> float:
        """Return when what is so now is told, if it stays so."""
        if self._since is None or self._target != (claim, self._level):
            self._since = now
        self._target = claim, self._level
        rank, told = (c.rank if c is not None else 0 for c in (claim, self.told))
        if claim is not None and rank > told:
            if self._worse_since is None:
                self._worse_since = now
            return self._worse_at(claim, context)
        self._worse_since = None
        settle = self.settings.settle
        if claim is None and self._level < self._believed:  # it ended, and was meant to
            since = self._since if self._lost_at is None else self._lost_at
            return max(since + settle, since + GATHER, context.hush)
        if claim is None and self._level == 1 > self._believed:  # it comes up piece by piece
            return self._since + max(settle, GATHER)
        return self._since + GATHER

    def _worse_at(self, claim: Claim, context: Context) -> float:
        since = self._worse_since or 0.0
        if self._lost_at is not None and not self._unstable and self.told is None:
            since = min(since, self._lost_at)
        wait = self.settings.settle if RULES[claim.kind].settles else 0.0
        return max(since + max(wait, GATHER), context.hush)

    def _news(self, claim: Claim | None, now: float, context: Context) -> News | None:
        """Return what is told in passing: that it came up, or ended as it was meant to."""
        if claim is not None or self._unstable:
            return None
        if self.losses_only and not (self._level == 2 and self._was_lost()):
            return None
        if self._level == 2:
            return self._up(now, context) if self.settings.up else None
        if self._level == 1 and self._believed < 1 and self.settings.up:
            return News(Kind.IN_PART, self.view)
        if self._level == 0 and self._believed > 0 and self.settings.down:
            reason = self._reason(context)
            return None if reason in OF_PLUTO else News(Kind.ENDED, self.view, reason)
        return None

    def _was_lost(self) -> bool:
        """Return whether it was lost, as far as that can be told from an end that was meant."""
        if self._lost_at is None:
            return False
        return self.told is not None or self._why not in (Reason.NONE, *MEANT, *OF_PLUTO)

    def _up(self, now: float, context: Context) -> News | None:
        if self._lost_at is None:
            return News(Kind.CONNECTED, self.view) if self._believed < 2 else None
        is_blip = self._believed == 2 and self.told is None
        # After a resume, say, all is as it was, and nobody was told anything else.
        if is_blip and (self._lost_at < context.hush or not self.settings.down):
            return None
        return News(Kind.BACK, self.view, away=self._up_since - self._lost_at, quiet=is_blip)

    def _apply(self, claim: Claim | None) -> None:
        """Have the user believe how it is."""
        self.told = claim
        self._believed = self._level
        self._since = self._worse_since = None
        if self._level == 2 or claim is None:
            self._lost_at = None
        if self._level == 0 and self.view.reason in MEANT:
            self.closed = -1
        self.over = self.gone and claim is None
