# SPDX-License-Identifier: MIT
"""Makes up the events that clients of the service get; and a fake screen for the agent's policy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipsecwatch.agent.machine import MachineEvent, Network, Sleep
from ipsecwatch.agent.policy import NotificationPolicy
from ipsecwatch.client.events import Change, Event, Lost, Pluto, Told, Update
from ipsecwatch.client.views import Snapshot, View
from ipsecwatch.config import AgentSettings
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from ipsecwatch.agent.notifications import Notification

WORDS = {state.value: state for state in TunnelState}
"""The tunnel states by value, such as "up", so that tables in tests are short."""


def path(name: str) -> str:
    return f"/org/ipsecwatch1/tunnel/{name}"


def view(name: str, state: str = "down", **more: object) -> View:
    """Return a tunnel's View: in this state for both its state and its last state, since time 0.

    ``more`` are other fields of the View.
    """
    known = WORDS[state]
    made = View(path(name), name, known, known, Reason.NONE, since=0.0, since_mono=0.0)
    return replace(made, **more)  # type: ignore[arg-type]


class Story:
    """A fake service: it has tunnels, and returns the events that ipsecwatch.client would yield."""

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.pluto = PlutoState.RUNNING
        self.serial = 0

    def look(self, run_id: str = "run-1", **states: str) -> Snapshot:
        """Replace all tunnels by ``states``: each tunnel's name and its state; return the Snapshot.

        Other values of a tunnel that was there before are kept.
        """
        old = self.views
        self.views = {
            name: replace(old.get(name, view(name)), state=WORDS[state], last_state=WORDS[state])
            for name, state in states.items()
        }
        return self.snapshot(run_id)

    def snapshot(self, run_id: str = "run-1") -> Snapshot:
        """Return the Snapshot of all tunnels as they are now."""
        tunnels = {v.path: v for v in self.views.values()}
        return Snapshot(run_id, self.serial, self.pluto, tunnels)

    def become(
        self, name: str, state: str, reason: str = "none", told: Told | None = None, **more: object
    ) -> Change:
        """Set a tunnel's state, and return the Change; ``more``: other fields of its View.

        A tunnel that isn't known yet is made; its state before is then "down". ``told`` is the
        Change's field of that name.
        """
        before = self.views.get(name, view(name))
        new = WORDS[state]
        last = before.last_state if new is TunnelState.UNKNOWN else new
        after = replace(before, state=new, last_state=last, reason=Reason(reason), **more)  # type: ignore[arg-type]
        self.views[name] = after
        self.serial += 1
        return Change(
            name, after.path, before.state, new, Reason(reason), self.serial, 0.0, told, after
        )

    def listed(self, name: str, state: str = "down", **more: object) -> Update:
        """Add or replace a tunnel, and return the Update; ``more``: other fields of its View."""
        self.views[name] = view(name, state, **more)
        return Update(path(name), self.views[name])

    def gone(self, name: str) -> Update:
        """Remove a tunnel, and return the Update."""
        del self.views[name]
        return Update(path(name), None)

    def pluto_is(self, state: str) -> Pluto:
        """Set pluto's state, such as "stopped", and return the event about it."""
        self.pluto = PlutoState(state)
        return Pluto(self.pluto)

    def lost(self) -> Lost:
        """Return the event that the service can't be reached."""
        return Lost("ipsecwatch isn't running", "Start it with: systemctl start ipsecwatch")


class Audience:
    """A fake screen with a clock, both for the agent's policy: it shows what the policy wants.

    Tests call its methods with rising times, in seconds. It logs each change of the screen.
    """

    def __init__(self, **settings: object) -> None:
        self.policy = NotificationPolicy(AgentSettings(**settings))  # type: ignore[arg-type]
        self.now = 0.0
        self.screen: dict[str, Notification] = {}
        self.log: list[tuple[float, str]] = []
        """The changes of the screen, as time and title. The title is prefixed with "-" if the
        notification went away, and with "=" if only its text changed."""
        self.most = 0
        """The highest number of notifications that were on the screen at once."""

    def hears(self, at: float, *events: Event | MachineEvent) -> None:
        """Advance the clock to ``at``, then pass these events to the policy."""
        self.waits(at)
        for event in events:
            self.policy.record(event, at)

    def waits(self, until: float) -> None:
        """Advance the clock to ``until``, and update the screen whenever the policy asks for it."""
        while (due := self.policy.due) is not None and due <= until:
            self.now = max(self.now, due)
            self._show(self.policy.wanted(self.now))
            again = self.policy.due
            assert again is None or again > self.now, "the policy would be asked for ever"
        self.now = max(self.now, until)

    def _show(self, wanted: dict[str, Notification]) -> None:
        """Set the screen to the wanted notifications, and log what changed."""
        before, self.screen = self.screen, dict(wanted)
        self.most = max(self.most, len(wanted))
        at = round(self.now, 1)
        self.log += [(at, f"-{n.title}") for k, n in before.items() if k not in wanted]
        for key, notification in wanted.items():
            old = before.get(key)
            if old is None or old.title != notification.title:
                self.log.append((at, notification.title))
            elif old.body != notification.body:
                self.log.append((at, f"={notification.title}"))

    def closes(self, at: float, title: str) -> None:
        """Advance the clock to ``at``, then tell the policy that the user closed a notification.

        ``title`` is its title; exactly one on the screen must have it.
        """
        self.waits(at)
        (key,) = [k for k, n in self.screen.items() if n.title == title]
        self.policy.close(key)

    def policy_hears_step(self, story: Story, what: str, *more: str) -> None:
        """Pass one step of a random test to the policy, at the present time.

        ``what`` is the kind of step, such as "become", and ``more`` its values. Most steps are
        events; with "close" the user closes the first notification on the screen, if there is one.
        """
        match what:
            case "become":
                name, state, reason = more
                self.hears(self.now, story.become(name, state, reason))
            case "gone":
                if more[0] in story.views:
                    self.hears(self.now, story.gone(more[0]))
            case "pluto":
                self.hears(self.now, story.pluto_is(more[0]))
            case "lost":
                self.hears(self.now, story.lost())
            case "look":
                self.hears(self.now, story.snapshot(f"run-{story.serial}"))
            case "sleep" | "wake":
                self.hears(self.now, Sleep(asleep=what == "sleep"))
            case "offline" | "online":
                self.hears(self.now, Network(online=what == "online"))
            case "close":
                for key in list(self.screen)[:1]:
                    self.policy.close(key)

    def titles(self, at: float) -> list[str]:
        """Advance the clock to ``at``; return the titles on the screen."""
        self.waits(at)
        return [n.title for n in self.screen.values()]

    def told(self, until: float = 1000.0) -> list[tuple[float, str]]:
        """Advance the clock to ``until``; return the time and title of all notifications that came.

        One whose title has changed counts as a new one.
        """
        self.waits(until)
        return [(at, what) for at, what in self.log if what[0] not in "-="]

    def body(self, at: float) -> str:
        """Advance the clock to ``at``; return the text of the only notification on the screen."""
        self.waits(at)
        (notification,) = self.screen.values()
        return notification.body
