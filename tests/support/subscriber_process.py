# SPDX-License-Identifier: MIT
"""A client that follows the service in a process of its own, which a test can stop and restart."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ipsecwatch.client import Change, Pluto, Snapshot, Update, View, follow, subscription
from tests.support.forked import ForkedProcess

if TYPE_CHECKING:
    from ipsecwatch.client import Event
    from ipsecwatch.report import PlutoState
    from ipsecwatch.tunnel import Reason, TunnelState
    from tests.support.forked import Requests

MAX_UNREAD = 30
"""How many unread signals the subscriber keeps: so few that it loses some when many come at
once."""
PAUSE = 0.003
"""How many seconds a slow subscriber pauses after each event."""


class Told(NamedTuple):
    """One transition that the subscriber received."""

    run_id: str
    serial: int
    name: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    heard: float
    """When it was received, in seconds since the epoch."""


@dataclass(slots=True)
class Knowledge:
    """What the subscriber knows from the events so far, and which contradictions it found."""

    run_id: str = ""
    serial: int = 0
    pluto: PlutoState | None = None
    tunnels: dict[str, View] = field(default_factory=dict)
    snapshots: int = 0
    """How many snapshots it received."""
    new: set[str] = field(default_factory=set)
    """The paths of tunnels that were listed, and of which no transition has come since."""
    told: list[Told] = field(default_factory=list)
    """All transitions that it received, oldest first."""
    wrong: list[str] = field(default_factory=list)
    """A description of each contradiction."""

    def learn(self, event: Event) -> None:
        """Record an event; if it contradicts what is known, add that to ``wrong``."""
        match event:
            case Snapshot():
                if event.run_id == self.run_id and event.serial < self.serial:
                    self.wrong.append(f"the snapshot goes back to {event.serial}")
                self.run_id, self.serial = event.run_id, event.serial
                self.tunnels, self.snapshots = dict(event.tunnels), self.snapshots + 1
                self.pluto = event.pluto_state
                self.new.clear()
            case Pluto():
                self.pluto = event.state
            case Change(path=path, view=view):
                if event.serial != self.serial + 1:
                    self.wrong.append(f"{event.serial} follows {self.serial}")
                self.serial = event.serial
                self.told.append(
                    Told(
                        self.run_id, event.serial, event.name, event.old, event.new, event.reason,
                        time.time(),
                    )
                )  # fmt: skip
                if path in self.tunnels:
                    if path not in self.new and event.old is not self.tunnels[path].state:
                        self.wrong.append(f"{event.name} was not {event.old}")
                    self.tunnels[path] = view
                self.new.discard(path)
            case Update(path=path, view=None):
                del self.tunnels[path]
            case Update(path=path, view=View() as view):
                if path not in self.tunnels:
                    self.new.add(path)
                self.tunnels[path] = view


class SubscriberProcess(ForkedProcess):
    """A process with the subscriber, which runs while its context lasts.

    It uses the bus that was the test's system bus when it started. ``slow``: it pauses after each
    event.
    """

    patience = 0.0  # it may have been stopped

    def __init__(self, *, slow: bool) -> None:
        self._slow = slow

    def stop(self) -> None:
        """Stop the subscriber with SIGSTOP, until go_on()."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """Kill the subscriber, and start another one, which knows nothing."""
        self.end()
        self.start()

    async def knowledge(self) -> Knowledge:
        """Return what the subscriber knows now."""
        known: Knowledge = await self.ask()
        return known

    def live(self, requests: Requests) -> None:
        subscription.MAX_UNREAD = MAX_UNREAD  # type: ignore[misc]
        asyncio.run(self._follow(requests))

    async def _follow(self, requests: Requests) -> None:
        known = Knowledge()
        async with asyncio.TaskGroup() as tasks:
            learning = tasks.create_task(self._learn(known))
            async for _ in requests:
                requests.answer(known)
            learning.cancel()

    async def _learn(self, known: Knowledge) -> None:
        async with aclosing(follow()) as events:
            async for event in events:
                known.learn(event)
                await asyncio.sleep(PAUSE if self._slow else 0)
