# SPDX-License-Identifier: MIT
"""Decide which notifications should be on the screen. Pure: it gets events and the time.

``wanted()`` returns all notifications that should be on the screen at that time. The delivery shows
them, and removes all others. So no notification stays that is no longer true, a notification server
that starts late gets those that are true then, and nothing is reported twice.

When something is reported (rules.py says what, and how it looks):

* Something worse than what was reported before waits for ``settle``. So a loss that is over at once
  is only one quiet line. It also waits until GRACE is over after the first Snapshot, a resume, a
  new run of the service, and a new route out: everything looks down then. Something better is
  reported at once.
* A tunnel is unstable from its third loss within two minutes, until it has been up for a while.
  Meanwhile that is reported, or what is worse and certain: that it is down for good, or stuck.
* If the user closed a notification, it comes back only when something worse has happened, or after
  the tunnel was up again. A press of a button closes the notification, too. The button's answer
  stays for ANSWER_STAYS.
* Nothing is reported about a muted tunnel. When the mute ends, what is wrong with it is reported.
* There are never more than three notifications. If more tunnels have one than fit, or than
  ``burst``, one summary takes their place. If the tunnels' state isn't known, or pluto has stopped,
  or there is no network, one notification about that takes their place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import notifications
from ipsecwatch.agent.machine import MachineEvent, Network, Sleep, UnitState
from ipsecwatch.agent.notifications import PASSING, News, Notification
from ipsecwatch.agent.rules import RULES, Button, Kind
from ipsecwatch.agent.selection import Selection
from ipsecwatch.agent.service_notification import ServiceNotification
from ipsecwatch.agent.template_notification import TemplateNotification, template_of
from ipsecwatch.agent.tunnel_notification import Context, TunnelNotification
from ipsecwatch.client.events import Answer, Change, Event, Log, Lost, Pluto, Update
from ipsecwatch.client.views import Snapshot, View
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ipsecwatch.config import AgentSettings

    _Subject = TunnelNotification | TemplateNotification

GRACE: Final = 15.0
"""Seconds for which no problems are reported after the first Snapshot, a new run of the service, a
resume, and the end of an outage of the network or of a stop of pluto that was reported."""
ASLEEP: Final = 60.0
"""Seconds for which no new problems are reported after the machine announced that it goes to
sleep."""
NO_ROUTE: Final = 3.0
"""Seconds without any route to other machines after which this machine counts as offline. Roaming
takes some of them."""
HOLD: Final = 2.0
"""Seconds for which a summary stays unchanged at least."""
ANSWER_STAYS: Final = 60.0
"""Seconds for which the answer to a pressed button stays on the screen."""
MAX_NOTIFICATIONS: Final = 3
"""The number of notifications on the screen at most. GNOME removes a program's oldest one, unseen,
if there are more."""


class NotificationPolicy:
    """Decides which notifications should be on the screen. Times are monotonic, in seconds."""

    def __init__(self, settings: AgentSettings, now: float = 0.0) -> None:
        self._selection = Selection(settings)
        self._mistake = ""
        """The mistake that the settings file has now, in one line; "": none."""
        self._tunnels: dict[str, TunnelNotification] = {}
        self._templates: dict[str, TemplateNotification] = {}
        self._service = ServiceNotification()
        self._context = Context(hush=now + GRACE)
        self._passing: dict[str, tuple[News, float]] = {}
        """For each tunnel or template with news that is shown in passing: the news, and until when
        it is shown. By path."""
        self._run_id = ""
        self._no_route_since: float | None = None
        self._hidden_until = -math.inf
        """The time until which no problems of tunnels are shown, because a route or pluto has just
        come back."""
        self._summing = False
        self._summed_at = -math.inf
        self._composed: dict[str, Notification] = {}
        self._closed: dict[str, int] = {}
        """The ranks of the notifications that the user closed, by key, except those about
        tunnels."""
        self._restored: dict[str, int] = {}
        """The ranks of the notifications about tunnels that the user closed under an earlier agent,
        by path, for tunnels that aren't known here yet."""
        self._held: frozenset[str] = frozenset()
        """The keys of notifications that an earlier agent left on the screen, and that stay for
        now."""
        self._ignored: dict[str, View] = {}
        """The views of tunnels without notifications, by path, since new settings may include
        them."""
        self._answer: tuple[Notification, float] | None = None
        """The answer to a pressed button, and until when it is shown; None: there is none."""
        self._next = -math.inf

    # --- What comes in ------------------------------------------------------------------------

    def record(self, event: Event | MachineEvent, now: float) -> None:
        """Record an event. The result of wanted() changes as soon as the event's effect is due."""
        match event:
            case Change() | Update():
                self._on_tunnel(event, now)
                return  # _decide_at() has set the time of the next decision
            case Snapshot():
                self._on_snapshot(event, now)
            case Pluto():
                self._on_pluto(event, now)
            case Log() | Answer():
                return  # reasons and states already reflect it
            case Lost():
                self._service.record_lost(event, now)
            case UnitState():
                self._service.record_unit(event)
            case Network():
                self._on_network(event, now)
            case Sleep():
                self._context.hush = now + (ASLEEP if event.asleep else GRACE)
        self._next = -math.inf

    def configure(self, settings: AgentSettings, now: float, mistake: str = "") -> None:
        """Use these settings from now on.

        ``mistake`` is the mistake that the settings file has now, in one line; "": none.
        """
        if mistake != self._mistake:
            self._closed.pop(notifications.SETTINGS, None)
        self._selection.settings, self._mistake = settings, mistake
        self._apply_selection(now)

    def mute(self, muted: Mapping[str, float], now: float) -> None:
        """Mute these tunnels, and no others any more.

        ``muted`` has the time at which each mute ends, by the tunnel's name; infinity: it doesn't
        end.
        """
        if muted != self._selection.muted:
            self._selection.muted = muted
            self._apply_selection(now)

    def _apply_selection(self, now: float) -> None:
        """Apply new settings and mutes to all tunnels and templates.

        Tunnels that are left out now are removed, and those that were left out before are added.
        """
        subjects: list[_Subject] = [*self._tunnels.values(), *self._templates.values()]
        views, self._ignored = list(self._ignored.values()), {}
        for view in [*views, *(subject.view for subject in subjects)]:
            if self._selection.leaves_out(view):
                self._ignored[view.path] = view
                self._forget(view.path)
            elif view.path not in self._templates:
                self._record_view(view, fresh=False, now=now)
        for subject in subjects:
            subject.settings = self._selection.settings.of(*subject.view.names)
            if isinstance(subject, TunnelNotification):
                subject.losses_only = self._selection.only_losses(subject.view)
        for tunnel in list(self._tunnels.values()):
            self._update(tunnel, now)
        self._next = -math.inf

    def press(self, key: str, button: Button) -> Notification | None:
        """Record that the user pressed a button of the notification with this key.

        That closes the notification. Return it; or None if it shouldn't be on the screen, or has no
        such button.
        """
        notification = self._composed.get(key)
        if notification is None or button not in notification.buttons:
            return None
        self.close(key)
        return notification

    def answer(self, notification: Notification, now: float) -> None:
        """Show the answer to a pressed button for ANSWER_STAYS seconds.

        It replaces an earlier answer.
        """
        self._answer = notification, now + ANSWER_STAYS
        self._next = -math.inf

    def close(self, key: str) -> None:
        """Record that the user closed the notification with this key.

        Then only a worse one with this key is shown, until its problem is over. If it was a
        summary, the notifications about all tunnels count as closed.
        """
        if key == notifications.ANSWER:
            self._answer = None
        self._next = self._summed_at = -math.inf
        if key in self._held and key not in self._tunnels:
            self._restored[key] = RULES[Kind.DOWN].rank  # the earlier agent knew its real rank
        self._held -= {key}
        self._passing.pop(key, None)
        if key == notifications.SUMMARY:
            self._passing.clear()
            for tunnel in self._tunnels.values():
                tunnel.close()
        elif (closed := self._tunnels.get(key)) is not None:
            closed.close()
        elif (notification := self._composed.get(key)) is not None and notification.lasting:
            self._closed[key] = notification.rank

    def closed(self) -> dict[str, int]:
        """Return the notifications that the user closed: their ranks, by key.

        They are saved, and the next agent passes them to restore().
        """
        tunnels = {path: t.closed for path, t in self._tunnels.items() if t.closed >= 0}
        return self._restored | self._closed | tunnels

    def restore(self, closed: Mapping[str, int], on_screen: Iterable[str]) -> None:
        """Restore what an earlier agent has saved.

        ``closed`` are the ranks of the notifications that the user closed, by key. ``on_screen``
        are the keys of those that are still on the screen; they become ``held``.
        """
        ours = (notifications.SERVICE, notifications.OFFLINE, notifications.SETTINGS)
        self._closed = {key: rank for key, rank in closed.items() if key in ours}
        self._restored = {key: rank for key, rank in closed.items() if key not in ours}
        self._held = frozenset(on_screen)

    def _on_snapshot(self, event: Snapshot, now: float) -> None:
        """Record a Snapshot: the state of pluto and of all tunnels, and which tunnels are gone.

        If it is the first Snapshot of a run of the service, ``hush`` lasts for at least GRACE from
        now.
        """
        if event.run_id != self._run_id:  # another run of the service, or the first Snapshot
            self._context.hush = max(self._context.hush, now + GRACE)
        self._run_id = event.run_id
        self._note_pluto(event.pluto_state, event.unit, now)
        self._ignored.clear()
        for template in self._templates.values():
            template.forget_all()
        for path, tunnel in self._tunnels.items():
            tunnel.gone = path not in event.tunnels
        for view in event.tunnels.values():
            tunnel_ = self._record_view(view, fresh=False, now=None)
            if tunnel_ is not None:
                tunnel_.record_listing()
        for tunnel in list(self._tunnels.values()):
            self._update(tunnel, now)

    def _on_tunnel(self, event: Change | Update, now: float) -> None:
        """Record a transition of one tunnel, or that it was listed, changed or removed."""
        tunnel = self._tunnels.get(event.path)
        if event.view is not None:
            tunnel = self._record_view(event.view, fresh=True, now=now)
        elif tunnel is not None:
            tunnel.gone = True
        else:
            self._instance_gone(event.path, now)
        if tunnel is not None:
            if isinstance(event, Change):
                tunnel.record_change(event)
            self._update(tunnel, now)

    def _instance_gone(self, path: str, now: float) -> None:
        """Record that a tunnel without a notification of its own is no longer listed.

        That is a tunnel that is left out, or an instance of a template.
        """
        self._ignored.pop(path, None)
        for template in self._templates.values():
            if template.has(path):
                template.record(path, TunnelState.DOWN, now)
                self._decide_at(template.due)

    def _on_pluto(self, event: Pluto, now: float) -> None:
        self._note_pluto(event.state, event.unit, now)
        for tunnel in list(self._tunnels.values()):
            self._update(tunnel, now)

    def _note_pluto(self, state: PlutoState, unit: str, now: float) -> None:
        """Record pluto's state, and the systemd unit that runs it.

        If pluto was stopped, and that was on the screen, and it is back now, no problems of tunnels
        are shown for GRACE seconds. A pluto that NetworkManager started has no unit (""), and that
        must still be known after it has stopped. So if pluto has NetworkManager's connections, the
        unit is recorded only while pluto runs.
        """
        came = self._context.pluto is PlutoState.STOPPED and state is not PlutoState.STOPPED
        if came and notifications.SERVICE in self._composed:
            self._hidden_until = now + GRACE
        self._service.record_pluto(state, now)
        if came:  # it is another pluto, with other connections
            self._context.has_managed = self._lists_managed()
        if state is PlutoState.RUNNING or not self._context.has_managed:
            self._context.unit = unit  # else NetworkManager's pluto stopped, without a unit
        self._context.pluto = state

    def _lists_managed(self) -> bool:
        """Return whether any listed tunnel is NetworkManager's, with or without notifications."""
        listed = [t.view for t in self._tunnels.values() if not t.gone]
        return any(view.managed for view in [*listed, *self._ignored.values()])

    def _on_network(self, event: Network, now: float) -> None:
        """Record whether there is a route to other machines.

        If there is one again after the machine counted as offline, no problems of tunnels are shown
        for GRACE seconds.
        """
        if not event.online:
            self._no_route_since = now if self._no_route_since is None else self._no_route_since
        elif self._no_route_since is not None:
            if self._is_offline(now):
                self._hidden_until = now + GRACE
            self._no_route_since = None
            self._closed.pop(notifications.OFFLINE, None)

    def _is_offline(self, now: float) -> bool:
        """Return whether there has been no route to other machines for NO_ROUTE seconds."""
        return self._no_route_since is not None and now >= self._no_route_since + NO_ROUTE

    def _record_view(
        self, view: View, *, fresh: bool, now: float | None
    ) -> TunnelNotification | None:
        """Record a tunnel's view. Return its TunnelNotification, or None if it has none.

        It has none if it is left out by the settings or a mute, or if it is an instance of a
        template. ``fresh`` says that a signal has brought the view, so that a tunnel that isn't
        known here yet was listed just now. ``now`` is None for a view in a Snapshot: instances of a
        template are counted then, by their last known states, without a notification about their
        number.
        """
        self._context.has_managed = self._context.has_managed or bool(view.managed)
        if self._selection.leaves_out(view):
            self._ignored[view.path] = view
            self._forget(view.path)
            return None
        name = template_of(view)
        if name is not None:
            template = self._template(name)
            unknown = now is None and view.state is TunnelState.UNKNOWN
            template.record(view.path, view.last_state if unknown else view.state, now)
            self._decide_at(template.due)
            return None
        tunnel = self._tunnels.get(view.path)
        if tunnel is None:
            closed = self._restored.pop(view.path, -1)
            wanted = self._selection.settings.of(*view.names)
            tunnel = TunnelNotification(view, wanted, fresh=fresh, closed=closed)
            self._tunnels[view.path] = tunnel
        elif tunnel.view.names != view.names:  # NetworkManager's name for it was found
            tunnel.settings = self._selection.settings.of(*view.names)
        tunnel.losses_only = self._selection.only_losses(view)
        tunnel.record_view(view)
        return tunnel

    def _template(self, name: str) -> TemplateNotification:
        """Return the TemplateNotification of a template. Make it if there is none yet."""
        template = TemplateNotification(name, self._selection.settings.of(name))
        return self._templates.setdefault(template.view.path, template)

    def _forget(self, path: str) -> None:
        """Forget the tunnel or template with this path, and the news in passing about it."""
        self._tunnels.pop(path, None)
        self._templates.pop(path, None)
        self._passing.pop(path, None)

    def _update(self, tunnel: TunnelNotification, now: float) -> None:
        """Update what is reported about a tunnel, as far as changes are due.

        If the tunnel is gone, and nothing is left to report about it, remove it here.
        """
        before, path = tunnel.reported, tunnel.view.path
        news = tunnel.update(now, self._context)
        if news is not None:
            self._passing[path] = news, now + PASSING
            self._next = -math.inf
        elif tunnel.reported != before:
            self._passing.pop(path, None)
            self._next = -math.inf
        elif tunnel.contradicts_good_news and self._passing.pop(path, None) is not None:
            self._next = -math.inf
        if tunnel.known.carries:
            self._held -= {path}
        self._decide_at(tunnel.due)
        if tunnel.over:
            del self._tunnels[path]

    def _decide_at(self, at: float | None) -> None:
        """Make sure that wanted() decides anew at this time at the latest; None: do nothing."""
        self._next = self._next if at is None else min(self._next, at)

    # --- What should be on the screen ---------------------------------------------------------

    @property
    def due(self) -> float | None:
        """When the result of wanted() may change without any event; None: not by time alone.

        It is in the past if wanted() must be called at once.
        """
        return None if self._next == math.inf else self._next

    @property
    def held(self) -> frozenset[str]:
        """The keys of an earlier agent's notifications that stay on the screen for now.

        Each stays until ``hush`` is over, its tunnel is UP or PARTIAL, or the user closes it.
        """
        return self._held

    def wanted(self, now: float) -> dict[str, Notification]:
        """Return the notifications that should be on the screen now, by key."""
        if now < self._next:
            return self._composed
        if any(until <= now for until in self._selection.muted.values()):
            self.mute({name: at for name, at in self._selection.muted.items() if at > now}, now)
        for tunnel in list(self._tunnels.values()):
            # All tunnels that are due by now are reported together.
            if tunnel.due is not None and tunnel.due <= now:
                self._update(tunnel, now)
        for template in self._templates.values():
            if (news := template.update(now)) is not None:
                self._passing[template.view.path] = news, now + PASSING
        self._expire(now)
        self._service.update(
            now,
            unknown=any(t.is_unknown for t in self._tunnels.values()),
            lost_tunnels=any(_with_pluto(t) for t in self._tunnels.values()),
            matters=self._wants_service(),
            meant=self._context.networkmanager_ended_pluto,
        )
        if now >= self._context.hush:
            self._held = frozenset()
        self._composed = {n.key: n for n in self._compose(now)}
        self._next = min([math.inf, *(at for at in self._times(now) if at > now)])
        return self._composed

    def _expire(self, now: float) -> None:
        """Drop the news in passing, and the answer to a pressed button, if their time is over."""
        self._passing = {k: (n, until) for k, (n, until) in self._passing.items() if until > now}
        if self._answer is not None and self._answer[1] <= now:
            self._answer = None

    def _wants_service(self) -> bool:
        """Return whether the user wants notifications about pluto and the service.

        That is so if the settings ask for problems of any tunnel. But if tunnels are listed, and
        all of them are left out, it isn't.
        """
        return self._selection.wants_trouble and (bool(self._tunnels) or not self._ignored)

    def _times(self, now: float) -> Iterator[float]:
        """Yield the times at which the result of wanted() may change without an event.

        Some of them may be in the past.
        """
        subjects: list[_Subject] = [*self._tunnels.values(), *self._templates.values()]
        for subject in subjects:
            if subject.due is not None:
                yield subject.due
        for _, until in self._passing.values():
            yield until
        yield from self._service.times(self._context.hush)
        yield self._context.hush
        yield self._hidden_until
        yield from self._selection.muted.values()
        if self._answer is not None:
            yield self._answer[1]
        if self._no_route_since is not None:
            yield self._no_route_since + NO_ROUTE
        if self._summing:
            yield self._summed_at + HOLD

    def _compose(self, now: float) -> Iterator[Notification]:
        """Yield the notifications that should be on the screen.

        If there is one about pluto or the service, those about tunnels are left out, even if the
        user has closed it.
        """
        if self._mistake and notifications.SETTINGS not in self._closed:
            yield notifications.bad_settings(self._mistake)
        if self._answer is not None:
            yield self._answer[0]
        service = self._compose_service(now)
        if service is None:
            yield from self._compose_tunnels(now)
        elif service.rank > self._closed.get(service.key, -1):
            yield service

    def _compose_service(self, now: float) -> Notification | None:
        """Return the notification about pluto or the service; None if there is nothing to report.

        If there is nothing, and ``hush`` is over, a notification of this kind that the user closed
        may be shown again the next time.
        """
        hush = self._context.hush
        if (why := self._service.unknown(now, hush)) is not None:
            return notifications.unknown(why, self._service.details(self._context.unit))
        if self._service.stopped(now, hush):
            lost = [
                t.news(t.reported) for t in self._tunnels.values() if t.reported and _with_pluto(t)
            ]
            return notifications.stopped(lost, self._context.unit)
        if now >= hush:
            self._closed.pop(notifications.SERVICE, None)
        return None

    def _compose_tunnels(self, now: float) -> Iterator[Notification]:
        """Yield the notifications about tunnels, or one summary of them.

        There is a summary if there are more than ``burst``, or more than there is room for. It
        stays until it would be about one tunnel at most. While the machine is offline, one
        notification about that takes the place of those about problems. Until ``_hidden_until``,
        those about problems are left out.
        """
        wrong = [t.news(t.shown) for t in self._tunnels.values() if t.shown]
        room = MAX_NOTIFICATIONS - bool(self._mistake) - (self._answer is not None)
        if self._is_offline(now):
            if wrong and notifications.OFFLINE not in self._closed:
                yield notifications.offline()
                room -= 1
            wrong = []
        elif now < self._hidden_until:
            wrong = []
        passing = [news for news, _ in self._passing.values()]
        many = [*wrong, *passing] if room > 0 else []
        enough = min(self._selection.settings.burst, room)
        self._summing = len(many) > (1 if self._summing else enough)
        if self._summing:
            yield self._sum_up(many, now)
        else:
            yield from (notifications.single(news, self._context.unit) for news in many)

    def _sum_up(self, many: list[News], now: float) -> Notification:
        """Return a summary of these news; the one on the screen again if that is younger than HOLD.

        From now on all news in passing ends at the same time, so that the summary changes only once
        for that.
        """
        # All passing news ends together; otherwise each end would change the summary.
        until = max((until for _, until in self._passing.values()), default=now)
        self._passing = {key: (news, until) for key, (news, _) in self._passing.items()}
        before = self._composed.get(notifications.SUMMARY)
        if before is not None and now < self._summed_at + HOLD:
            return before
        summary = notifications.summary(many, self._context.unit)
        if summary != before:
            self._summed_at = now
        return summary


def _with_pluto(tunnel: TunnelNotification) -> bool:
    """Return whether it is reported that this tunnel was lost because pluto stopped."""
    return tunnel.reported is not None and tunnel.reported.reason is Reason.PLUTO_STOPPED
