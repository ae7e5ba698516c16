# SPDX-License-Identifier: MIT
"""What is reported about one tunnel, over time. Pure: views and the clock in, claims and news out.

It keeps the tunnel's state, what its user believes about it, what is reported to be wrong with it,
and what the user closed. ``look()`` updates what is reported, as far as that is due.
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
"""Seconds that news waits for more of its kind: one poll may cause many signals."""
FLAPS: Final = 3
"""Losses within WINDOW that make a tunnel unstable."""
WINDOW: Final = 120.0
"""Seconds."""
CALM: Final = 60.0
"""Seconds for which an unstable tunnel must be up before it counts as stable again."""
RECOUNT: Final = 20.0
"""Seconds between two updates of the number of losses that is shown."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is reported to be wrong with a tunnel."""

    kind: Kind
    reason: Reason = Reason.NONE
    children: tuple[int, int] = (0, 0)
    """The numbers of children that are up, and of all."""
    times: int = 1
    """How often it was lost within WINDOW, where it is unstable."""

    @property
    def rank(self) -> int:
        """How bad it is (rules.py)."""
        return RULES[self.kind].rank


@dataclass(slots=True)
class Context:
    """What decides about all tunnels alike."""

    pluto: PlutoState | None = None
    unit: str = IPSEC
    """The systemd unit that runs pluto, or ran it last; "": none is known to."""
    has_managed: bool = False
    """NetworkManager has, or had, connections in this pluto."""
    hush: float = -math.inf
    """Until this time nothing worse than what was reported is reported."""

    @property
    def networkmanager_ended_pluto(self) -> bool:
        """Whether pluto ended because its user disconnected in NetworkManager.

        NetworkManager-libreswan ends the pluto that it has started; no systemd unit runs that one.
        """
        return self.has_managed and not self.unit and self.pluto is PlutoState.STOPPED


def level(state: TunnelState) -> int:
    """Return how much of a tunnel is up: 2 all, 1 a part, 0 nothing."""
    return {TunnelState.UP: 2, TunnelState.PARTIAL: 1}.get(state, 0)


class TunnelNotice:
    """What is reported about one tunnel. Times are monotonic, in seconds."""

    def __init__(self, view: View, settings: TunnelSettings, *, fresh: bool, closed: int) -> None:
        self.view = view
        self.settings = settings
        self.losses_only = False
        """NetworkManager itself reports when it is connected, and when its user disconnects it."""
        self.gone = False
        self.told: Claim | None = None
        """What is reported to be wrong with it now."""
        self.due: float | None = None
        """When look() must be called again, if no event comes before."""
        self.closed = closed
        """The rank of its notification that the user closed; -1: none."""
        self.over = False
        """It is gone, and that was reported."""
        self._level = self._believed = level(self.known)
        """How much of it is up, and how much its user believes to be up."""
        self._fresh = fresh
        """It is listed, but had no transition yet."""
        self._why = Reason.NONE
        """The reason of the loss, or of the last transition."""
        self._sticks = False
        """The service has reported that it is partial and stuck."""
        self._lost_at: float | None = None
        """When it became worse than what its user believes; None once it is up again, or ended as
        meant."""
        self._since: float | None = None
        """Since when the present state differs from what was reported."""
        self._target: tuple[Claim | None, int] = None, 0
        self._worse_since: float | None = None
        """Since when it has been worse than what was reported."""
        self._up_since = -math.inf
        self._losses: deque[float] = deque(maxlen=1000)
        self._falling = False
        """It was lost, and nothing has improved since."""
        self._unstable = False
        self._counted = -math.inf, 0
        """When the losses that are shown were counted, and their number."""

    @property
    def known(self) -> TunnelState:
        """The last known state."""
        if self.gone:
            return TunnelState.DOWN
        unknown = self.view.state is TunnelState.UNKNOWN
        return self.view.last_state if unknown else self.view.state

    @property
    def is_unknown(self) -> bool:
        """Whether the tunnel is listed, and its state isn't known now."""
        return self.view.state is TunnelState.UNKNOWN and not self.gone

    @property
    def contradicts_good_news(self) -> bool:
        """Whether less of it is up than its user was told."""
        return self._level < self._believed

    @property
    def shown(self) -> Claim | None:
        """What is reported to be wrong with it; None where the user closed that."""
        return self.told if self.told is not None and self.told.rank > self.closed else None

    def news(self, claim: Claim) -> News:
        """Return a claim as news."""
        return News(claim.kind, self.view, claim.reason, times=claim.times, within=WINDOW)

    def close(self) -> None:
        """Record that the user closed its notification."""
        if self.told is not None:
            self.closed = max(self.closed, self.told.rank)

    # --- What comes in ------------------------------------------------------------------------

    def see(self, view: View) -> None:
        """Record the tunnel's present state.

        The first known state of one that was unknown is believed, and causes no news.
        """
        if self.known is TunnelState.UNKNOWN:
            # The first known state is believed, without news.
            self.view = view
            self._level = self._believed = level(self.known)
        self.view, self.gone = view, False
        self._sticks = self._sticks and self.known is TunnelState.PARTIAL

    def change(self, event: Change) -> None:
        """Record a transition. see() must have been called with its end before."""
        # For a new tunnel, the listing and the transition may come in either order.
        if self._fresh and event.old is not TunnelState.UNKNOWN:
            self._level = self._believed = level(event.old)
        self._fresh = False
        self._sticks = event.new is TunnelState.PARTIAL and event.told == "stuck"
        if self._lost_at is None or self._why in (Reason.NONE, *OF_PLUTO):
            self._why = event.reason

    def is_listed(self) -> None:
        """Record that a Snapshot lists it; its reason is taken from there."""
        self._fresh = False
        if self._lost_at is None:
            self._why = self.view.reason

    # --- What is true -------------------------------------------------------------------------

    def look(self, now: float, context: Context) -> News | None:
        """Update what is reported; return news that is reported in passing, or None.

        While the state isn't known, nothing changes. ``due`` is set to when this must be called
        again.
        """
        self.due = None
        if self.is_unknown:
            return None  # not known: what was reported stays
        if self.gone and context.pluto not in (PlutoState.RUNNING, PlutoState.STOPPED):
            return None  # it isn't known yet which tunnels there are
        self._record_level(now, context)
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

    def _record_level(self, now: float, context: Context) -> None:
        """Record losses, and when the tunnel came up, from how much of it is up now."""
        now_up = level(self.known)
        if now_up < self._level and not self._falling:
            self._falling = True
            self._note_loss(now, context)
            if self._level == 2 and now >= context.hush and not self._unstable:
                self.closed = -1  # this is another loss than the closed one
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
        """Count a loss that nobody on this machine caused, once ``hush`` is over.

        With FLAPS of them within WINDOW the tunnel is unstable. A loss that was meant ends that.
        """
        meant = self.gone or self.view.reason in MEANT
        if meant:
            self._unstable = False
        elif now >= context.hush:
            self._losses.append(now)
            self._unstable = self._unstable or self._lost_lately(now) >= FLAPS

    def _lost_lately(self, now: float) -> int:
        """Return the number of losses within WINDOW."""
        return sum(now - at < WINDOW for at in self._losses)

    def _is_calm(self, now: float) -> bool:
        """Return whether an unstable tunnel isn't unstable any more.

        It was up for CALM seconds, or somebody took it down; or it is up after something worse than
        unstable was reported, with fewer than FLAPS losses lately.
        """
        if self._level < 2:
            return self._level == 0 and self.view.reason in MEANT
        was_lasting = self.told is not None and self.told.rank > RULES[Kind.UNSTABLE].rank
        return now >= self._calm_at() or (was_lasting and self._lost_lately(now) < FLAPS)

    def _calm_at(self) -> float:
        """Return when an unstable tunnel that is up will have been up for CALM seconds."""
        return max(self._up_since, self._losses[-1] if self._losses else -math.inf) + CALM

    def _recount_at(self, now: float) -> float | None:
        """Return when an unstable tunnel must be looked at again; None: at no time."""
        if not self._unstable:
            return None
        at, times = self._counted
        times_now = self._lost_lately(now)
        again = at + RECOUNT if times_now > times else math.inf
        due = min(again, self._calm_at() if self._level == 2 else math.inf)
        return due if due < math.inf else None

    def _reason(self, context: Context) -> Reason:
        """Return why it isn't up: its reason now, or else that of its loss.

        While pluto runs, "pluto stopped" is returned as "pluto restarted", and the other reasons
        that are pluto's own as NONE.
        """
        reason = self.view.reason
        if self.gone or reason is Reason.NONE:
            reason = self._why
        if reason in OF_PLUTO and context.pluto is PlutoState.RUNNING:
            return Reason.PLUTO_RESTARTED if reason is Reason.PLUTO_STOPPED else Reason.NONE
        return reason

    def _claim(self, now: float, context: Context) -> Claim | None:
        """Return what is wrong with it, as far as its user wants to know; None: nothing."""
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
            kind = Kind.STUCK  # it gave up; for the user nothing changes
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
        """Return that it is unstable, with a count of losses that is renewed every RECOUNT."""
        at, times = self._counted
        if now - at >= RECOUNT:
            # A number that only shrinks with time is no news.
            times = max(self._lost_lately(now), times if now - at < WINDOW else FLAPS)
            self._counted = now, times
        return Claim(Kind.UNSTABLE, times=times)

    # --- What is told, and when ---------------------------------------------------------------

    def _differs(self, claim: Claim | None) -> bool:
        """Return whether something is other than what was reported.

        A loss that was over at once differs, too, though all is as before it.
        """
        is_blip = self._lost_at is not None and self._level == 2
        return (
            claim != self.told
            or self._level != self._believed
            or is_blip
            or (self.gone and claim is None)
        )

    def _when(self, claim: Claim | None, now: float, context: Context) -> float:
        """Return when the present state is to be reported, if it stays as it is.

        Something worse waits as _worse_at() says; something better only GATHER seconds. An end that
        was meant, and a tunnel that is up in part, wait for ``settle``.
        """
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
        if claim is None and self._level < self._believed:  # an end that was meant
            since = self._since if self._lost_at is None else self._lost_at
            return max(since + settle, since + GATHER, context.hush)
        if claim is None and self._level == 1 > self._believed:  # it is coming up in parts
            return self._since + max(settle, GATHER)
        return self._since + GATHER

    def _worse_at(self, claim: Claim, context: Context) -> float:
        """Return when something worse is reported: after ``settle``, and when ``hush`` is over.

        The time counts from the loss where nothing was reported yet and it isn't unstable.
        """
        since = self._worse_since or 0.0
        if self._lost_at is not None and not self._unstable and self.told is None:
            since = min(since, self._lost_at)
        wait = self.settings.settle if RULES[claim.kind].settles else 0.0
        return max(since + max(wait, GATHER), context.hush)

    def _news(self, claim: Claim | None, now: float, context: Context) -> News | None:
        """Return what is reported in passing: that it came up, or ended as it was meant to."""
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
        """Return whether it was lost, and didn't end because somebody meant it to."""
        if self._lost_at is None:
            return False
        return self.told is not None or self._why not in (Reason.NONE, *MEANT, *OF_PLUTO)

    def _up(self, now: float, context: Context) -> News | None:
        """Return the news that it is up: connected, or back after a loss; None: no news.

        A short loss during ``hush`` isn't news, nor one where the user wants no losses reported.
        """
        if self._lost_at is None:
            return News(Kind.CONNECTED, self.view) if self._believed < 2 else None
        is_blip = self._believed == 2 and self.told is None
        # After a resume, for example: it is up as before, and nothing else was reported.
        if is_blip and (self._lost_at < context.hush or not self.settings.down):
            return None
        return News(Kind.BACK, self.view, away=self._up_since - self._lost_at, quiet=is_blip)

    def _apply(self, claim: Claim | None) -> None:
        """Record that the user was told the present state."""
        self.told = claim
        self._believed = self._level
        self._since = self._worse_since = None
        if self._level == 2 or claim is None:
            self._lost_at = None
        if self._level == 0 and self.view.reason in MEANT:
            self.closed = -1
        self.over = self.gone and claim is None
