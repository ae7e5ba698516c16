# SPDX-License-Identifier: MIT
"""Decide what is reported about one tunnel, and when. Pure: views, transitions and times come in.

Two sorts of things are reported. A claim says what is wrong with the tunnel; it stays on the screen
until that is over, or the user closes it. News is shown in passing: the tunnel came up, or it ended
as it was meant to.
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
    from ipsecwatch.client.events import Change
    from ipsecwatch.client.views import View
    from ipsecwatch.config import TunnelSettings

GATHER: Final = 0.3
"""Seconds that everything waits before it is reported, since one poll may cause many signals. What
they say is then reported together."""
FLAPS: Final = 3
"""The number of losses within WINDOW from which a tunnel is unstable."""
WINDOW: Final = 120.0
"""Seconds after which a loss doesn't count any more."""
CALM: Final = 60.0
"""Seconds for which an unstable tunnel must be up before it is no longer unstable."""
RECOUNT: Final = 20.0
"""Seconds for which the number of losses on the screen stays unchanged at least."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is wrong with a tunnel, as the user is told."""

    kind: Kind
    reason: Reason = Reason.NONE
    children: tuple[int, int] = (0, 0)
    """For the kind PARTIAL: how many of the tunnel's children are up, and how many it has. Zeros
    for other kinds."""
    times: int = 1
    """For the kind UNSTABLE: how often the tunnel was lost within WINDOW. 1 for other kinds."""

    @property
    def rank(self) -> int:
        """How bad it is: the rank that rules.py has for its kind."""
        return RULES[self.kind].rank


@dataclass(slots=True)
class Context:
    """What counts for the decisions about all tunnels: the state of pluto and of the machine."""

    pluto: PlutoState | None = None
    unit: str = IPSEC
    """The systemd unit that runs pluto, or that last ran it; "": none is known."""
    has_managed: bool = False
    """Whether NetworkManager has, or had, connections in the pluto that runs or ran last."""
    hush: float = -math.inf
    """The time until which nothing is reported that is worse than what was reported before."""

    @property
    def networkmanager_ended_pluto(self) -> bool:
        """Whether pluto has stopped because its user disconnected in NetworkManager.

        NetworkManager-libreswan ends the pluto that it has started. It is known by having no
        systemd unit.
        """
        return self.has_managed and not self.unit and self.pluto is PlutoState.STOPPED


def level(state: TunnelState) -> int:
    """Return how much of a tunnel in this state is up: 2 for all, 1 for a part, 0 for nothing."""
    return {TunnelState.UP: 2, TunnelState.PARTIAL: 1}.get(state, 0)


class TunnelNotification:
    """The claim and the news about one tunnel, decided over time.

    Times are monotonic, in seconds.
    """

    def __init__(self, view: View, settings: TunnelSettings, *, fresh: bool, closed: int) -> None:
        self.view = view
        self.settings = settings
        self.losses_only = False
        """Whether only losses are reported, because NetworkManager itself reports when its user
        connects or disconnects the tunnel."""
        self.gone = False
        """Whether the service no longer lists the tunnel."""
        self.reported: Claim | None = None
        """What the user was told is wrong with the tunnel, even if that was closed. None: nothing
        is."""
        self.due: float | None = None
        """When update() must be called again if no event comes before; None: not by time alone."""
        self.closed = closed
        """The rank that the tunnel's notification had when the user closed it; -1: it wasn't
        closed."""
        self.over = False
        """Whether the tunnel is gone, and nothing is left to report about it."""
        self._level = self._believed = level(self.known)
        """How much of the tunnel is up, and how much of it the user believes to be up (_believed).
        Both are numbers as level() returns them."""
        self._fresh = fresh
        """Whether the tunnel was listed while the agent ran, and has had no transition since."""
        self._why = Reason.NONE
        """The reason of the present loss; if the tunnel isn't lost, the reason of its last
        transition."""
        self._sticks = False
        """Whether the tunnel is PARTIAL, and the service has sent TunnelStuck because its missing
        children have been tried for long."""
        self._lost_at: float | None = None
        """When the present loss began, that is, when less of the tunnel was up than the user
        believed. It stays set until the user was told that the tunnel is up again, or that nothing
        is wrong with it; then it is None."""
        self._since: float | None = None
        """Since when ``_target`` has been waiting to be reported; None: nothing waits."""
        self._target: tuple[Claim | None, int] = None, 0
        """The claim and the level that wait to be reported."""
        self._worse_since: float | None = None
        """Since when the tunnel has been worse than what was reported; None: it isn't worse."""
        self._up_since = -math.inf
        self._losses: deque[float] = deque(maxlen=1000)
        self._falling = False
        """Whether the level fell, and hasn't risen since. A further fall then belongs to the same
        loss."""
        self._unstable = False
        self._counted = -math.inf, 0
        """When the losses that the user was told of were counted, and how many they were."""

    @property
    def known(self) -> TunnelState:
        """The tunnel's last known state; UNKNOWN if none was ever known; DOWN if it is gone."""
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
        """Whether less of the tunnel is up than the user believes by what was reported."""
        return self._level < self._believed

    @property
    def shown(self) -> Claim | None:
        """The claim that should be on the screen; None: there is none.

        That is ``reported``, unless the user has closed a notification that was as bad or worse.
        """
        return (
            self.reported
            if self.reported is not None and self.reported.rank > self.closed
            else None
        )

    def news(self, claim: Claim) -> News:
        """Return a claim about this tunnel as News, from which a notification can be made."""
        return News(claim.kind, self.view, claim.reason, times=claim.times, within=WINDOW)

    def close(self) -> None:
        """Record that the user closed the tunnel's notification.

        Until the tunnel was up and is lost again, only a worse one is shown.
        """
        if self.reported is not None:
            self.closed = max(self.closed, self.reported.rank)

    # --- What comes in ------------------------------------------------------------------------

    def record_view(self, view: View) -> None:
        """Record the tunnel's view, as the service has just sent it.

        The first known state of the tunnel is no news: the user is taken to know it.
        """
        if self.known is TunnelState.UNKNOWN:
            # The user is taken to know the first known state.
            self.view = view
            self._level = self._believed = level(self.known)
        self.view, self.gone = view, False
        self._sticks = self._sticks and self.known is TunnelState.PARTIAL

    def record_change(self, event: Change) -> None:
        """Record a transition of the tunnel.

        record_view() must have been called before, with the tunnel's view after the transition.
        """
        # For a new tunnel, the listing and the transition may come in either order.
        if self._fresh and event.old is not TunnelState.UNKNOWN:
            self._level = self._believed = level(event.old)
        self._fresh = False
        self._sticks = event.new is TunnelState.PARTIAL and event.told == "stuck"
        if self._lost_at is None or self._why in (Reason.NONE, *OF_PLUTO):
            self._why = event.reason

    def record_listing(self) -> None:
        """Record that a Snapshot lists the tunnel, after record_view() was called with its view.

        The reason in the view becomes the reason of the tunnel's state. But if the tunnel is lost,
        the reason that is known for the loss stays.
        """
        self._fresh = False
        if self._lost_at is None:
            self._why = self.view.reason

    # --- What is true -------------------------------------------------------------------------

    def update(self, now: float, context: Context) -> News | None:
        """Update the claim if a change of it is due. Return news if some is due; otherwise None.

        ``due`` becomes the time at which this must be called again. Nothing changes while the
        tunnel's state isn't known, and while the tunnel is gone and pluto is neither RUNNING nor
        STOPPED.
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
        news = self._news(claim, context)
        self._apply(claim)
        self.due = self._recount_at(now)
        return news

    def _record_level(self, now: float, context: Context) -> None:
        """Compare how much of the tunnel is up with before. Record a loss, or that it came up."""
        now_up = level(self.known)
        if now_up < self._level and not self._falling:
            self._falling = True
            self._count_loss(now, context)
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

    def _count_loss(self, now: float, context: Context) -> None:
        """Count a loss that happens now, unless it is expected or meant.

        A loss before ``hush`` is over isn't counted. Nor is one that somebody on this machine
        caused, also by removing the tunnel; after that the tunnel is no longer unstable. With FLAPS
        counted losses within WINDOW the tunnel becomes unstable.
        """
        meant = self.gone or self.view.reason in MEANT
        if meant:
            self._unstable = False
        elif now >= context.hush:
            self._losses.append(now)
            self._unstable = self._unstable or self._lost_lately(now) >= FLAPS

    def _lost_lately(self, now: float) -> int:
        """Return how many losses were counted in the last WINDOW seconds."""
        return sum(now - at < WINDOW for at in self._losses)

    def _is_calm(self, now: float) -> bool:
        """Return whether an unstable tunnel is no longer unstable.

        There are three cases. It has been up for CALM seconds. Or somebody on this machine took it
        down. Or it is up, something worse than that it is unstable was reported, and there were
        fewer than FLAPS losses within WINDOW.
        """
        if self._level < 2:
            return self._level == 0 and self.view.reason in MEANT
        was_lasting = self.reported is not None and self.reported.rank > RULES[Kind.UNSTABLE].rank
        return now >= self._calm_at() or (was_lasting and self._lost_lately(now) < FLAPS)

    def _calm_at(self) -> float:
        """Return when a tunnel that is up will have been up for CALM seconds without a loss."""
        return max(self._up_since, self._losses[-1] if self._losses else -math.inf) + CALM

    def _recount_at(self, now: float) -> float | None:
        """Return when the claim that the tunnel is unstable may change without an event.

        Return None if the tunnel isn't unstable, or if time alone doesn't change that claim.
        """
        if not self._unstable:
            return None
        at, times = self._counted
        times_now = self._lost_lately(now)
        again = at + RECOUNT if times_now > times else math.inf
        due = min(again, self._calm_at() if self._level == 2 else math.inf)
        return due if due < math.inf else None

    def _reason(self, context: Context) -> Reason:
        """Return why the tunnel isn't up: the reason in its view, or else that of the present loss.

        Reasons that are about pluto no longer hold while pluto runs. PLUTO_STOPPED becomes
        PLUTO_RESTARTED then, and the others become NONE.
        """
        reason = self.view.reason
        if self.gone or reason is Reason.NONE:
            reason = self._why
        if reason in OF_PLUTO and context.pluto is PlutoState.RUNNING:
            return Reason.PLUTO_RESTARTED if reason is Reason.PLUTO_STOPPED else Reason.NONE
        return reason

    def _claim(self, now: float, context: Context) -> Claim | None:
        """Return what is wrong with the tunnel: by the table in rules.py, or that it is unstable.

        Return None if nothing is wrong, or if the settings ask for no such notification. For a
        tunnel that is gone, there is a claim only if it was lost because pluto stopped.
        """
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
        if kind is None or (kind is not Kind.STUCK and not self.settings.down):
            return None
        children = (self.view.children_up, self.view.children) if kind is Kind.PARTIAL else (0, 0)
        return Claim(kind, reason, children)

    def _was_stuck(self) -> bool:
        return self.reported is not None and self.reported.kind is Kind.STUCK

    def _claim_unstable(self, now: float) -> Claim:
        """Return the claim that the tunnel is unstable, with the number of its losses.

        For RECOUNT seconds the number stays the same. It doesn't fall before WINDOW is over.
        """
        at, times = self._counted
        if now - at >= RECOUNT:
            # A number that only gets smaller as time passes isn't reported.
            times = max(self._lost_lately(now), times if now - at < WINDOW else FLAPS)
            self._counted = now, times
        return Claim(Kind.UNSTABLE, times=times)

    # --- What is reported, and when -----------------------------------------------------------

    def _differs(self, claim: Claim | None) -> bool:
        """Return whether there is something to report: the present state isn't what was reported.

        ``claim`` is what is wrong now. The result is also True if the tunnel was lost and is up
        again, as if nothing had happened, and if it is gone and has no claim.
        """
        is_blip = self._lost_at is not None and self._level == 2
        return (
            claim != self.reported
            or self._level != self._believed
            or is_blip
            or (self.gone and claim is None)
        )

    def _when(self, claim: Claim | None, now: float, context: Context) -> float:
        """Return when the present state is to be reported, if it doesn't change before.

        For a claim that is worse than what was reported, that is _worse_at(). Something else waits
        only for GATHER. There are two exceptions, which wait for ``settle``: an end that was meant,
        which also waits until ``hush`` is over; and a tunnel of which a part comes up.
        """
        if self._since is None or self._target != (claim, self._level):
            self._since = now
        self._target = claim, self._level
        rank, reported = (c.rank if c is not None else 0 for c in (claim, self.reported))
        if claim is not None and rank > reported:
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
        """Return when a claim is to be reported that is worse than what was reported before.

        Some kinds wait for ``settle`` (Rule.settles), and all wait until ``hush`` is over. The
        waiting begins when the tunnel became worse. But if nothing was reported to be wrong with
        it, and it isn't unstable, the waiting begins with the loss.
        """
        since = self._worse_since or 0.0
        if self._lost_at is not None and not self._unstable and self.reported is None:
            since = min(since, self._lost_at)
        wait = self.settings.settle if RULES[claim.kind].settles else 0.0
        return max(since + max(wait, GATHER), context.hush)

    def _news(self, claim: Claim | None, context: Context) -> News | None:
        """Return the news that the tunnel came up, or ended as it was meant to; None: no news.

        There is none if something is wrong (``claim``), while the tunnel is unstable, or if the
        settings ask for no such notification.
        """
        if claim is not None or self._unstable:
            return None
        if self.losses_only and not (self._level == 2 and self._was_lost()):
            return None
        if self._level == 2:
            return self._up(context) if self.settings.up else None
        if self._level == 1 and self._believed < 1 and self.settings.up:
            return News(Kind.IN_PART, self.view)
        if self._level == 0 and self._believed > 0 and self.settings.down:
            reason = self._reason(context)
            return None if reason in OF_PLUTO else News(Kind.ENDED, self.view, reason)
        return None

    def _was_lost(self) -> bool:
        """Return whether the tunnel was lost, but not on purpose and not because pluto stopped.

        That is so if it was reported that something is wrong with it, or if the reason of the loss
        is known, and is in neither MEANT nor OF_PLUTO.
        """
        if self._lost_at is None:
            return False
        return self.reported is not None or self._why not in (Reason.NONE, *MEANT, *OF_PLUTO)

    def _up(self, context: Context) -> News | None:
        """Return the news that the tunnel is up: CONNECTED, or BACK after a loss; None: no news.

        A loss may be over before it was reported. It is no news if it began before ``hush``, or if
        the settings ask for no losses.
        """
        if self._lost_at is None:
            return News(Kind.CONNECTED, self.view) if self._believed < 2 else None
        is_blip = self._believed == 2 and self.reported is None
        # After a resume, for example: it is up as before, and nothing else was reported.
        if is_blip and (self._lost_at < context.hush or not self.settings.down):
            return None
        return News(Kind.BACK, self.view, away=self._up_since - self._lost_at, quiet=is_blip)

    def _apply(self, claim: Claim | None) -> None:
        """Record that the present state has been reported, with this claim."""
        self.reported = claim
        self._believed = self._level
        self._since = self._worse_since = None
        if self._level == 2 or claim is None:
            self._lost_at = None
        if self._level == 0 and self.view.reason in MEANT:
            self.closed = -1
        self.over = self.gone and claim is None
