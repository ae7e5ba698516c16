# SPDX-License-Identifier: MIT
"""What a service tells its followers, made up line by line; and a herald that hears it."""

from __future__ import annotations

from dataclasses import replace

from ipsecwatch.agent.notifications import Notification, Withdrawal
from ipsecwatch.agent.policy import NotificationPolicy
from ipsecwatch.client.events import Change, Event, Lost, Pluto, Snapshot, Told, Update, View
from ipsecwatch.config import AgentSettings
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState

WORDS = {state.value: state for state in TunnelState}
"""States by their word, which is shorter to write in a table."""


def path(name: str) -> str:
    return f"/org/ipsecwatch1/tunnel/{name}"


def view(name: str, state: str = "down", **more: object) -> View:
    known = WORDS[state]
    made = View(path(name), name, known, known, Reason.NONE, since=0.0, since_mono=0.0)
    return replace(made, **more)  # type: ignore[arg-type]


class Story:
    """The service's side: knows what it told last, and makes events as the client would."""

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        self.pluto = PlutoState.RUNNING
        self.serial = 0

    def look(self, run_id: str = "run-1", **states: str) -> Snapshot:
        """List all tunnels with their states."""
        old = self.views
        self.views = {
            name: replace(old.get(name, view(name)), state=WORDS[state], last_state=WORDS[state])
            for name, state in states.items()
        }
        return self.snapshot(run_id)

    def snapshot(self, run_id: str = "run-1") -> Snapshot:
        tunnels = {v.path: v for v in self.views.values()}
        return Snapshot(run_id, self.serial, self.pluto, tunnels)

    def become(
        self, name: str, state: str, reason: str = "none", told: Told | None = None, **more: object
    ) -> Change:
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
        self.views[name] = view(name, state, **more)
        return Update(path(name), self.views[name])

    def gone(self, name: str) -> Update:
        del self.views[name]
        return Update(path(name), None)

    def pluto_is(self, state: str) -> Pluto:
        self.pluto = PlutoState(state)
        return Pluto(self.pluto)

    def lost(self) -> Lost:
        return Lost("ipsecwatch isn't running", "Start it with: systemctl start ipsecwatch")


class Audience:
    """A herald, and what it said when, on a clock of the test's own."""

    def __init__(self, **settings: object) -> None:
        self.policy = NotificationPolicy(AgentSettings(**settings))  # type: ignore[arg-type]
        self.now = 0.0
        self.notices: list[tuple[float, Notification | Withdrawal]] = []

    def hears(self, at: float, *events: Event) -> None:
        """Let time pass, and the herald hear these then."""
        self.waits(at)
        for event in events:
            self.policy.hear(event, at)

    def waits(self, until: float) -> None:
        """Let time pass; what is due is said when it is due."""
        while (due := self.policy.due) is not None and due <= until:
            self.now = max(self.now, due)
            self.notices += [(self.now, n) for n in self.policy.tell(self.now)]
            again = self.policy.due
            assert again is None or again > self.now, "the herald would be asked for ever"
        self.now = until

    def said(self, until: float = 1000.0) -> list[str]:
        """What was said by then; ``-key`` for what was withdrawn."""
        self.waits(until)
        return [_said(n) for _, n in self.notices]

    def times(self, until: float = 1000.0) -> list[tuple[float, str]]:
        self.waits(until)
        return [(round(at, 1), _said(n)) for at, n in self.notices]

    def last(self) -> Notification:
        """The last notice, ten minutes on."""
        self.waits(self.now + 600)
        notice = self.notices[-1][1]
        assert isinstance(notice, Notification)
        return notice


def _said(what: Notification | Withdrawal) -> str:
    return what.title if isinstance(what, Notification) else f"-{what.key.rpartition('/')[2]}"
