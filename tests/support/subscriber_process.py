# SPDX-License-Identifier: MIT
"""A subscriber in a process of its own, which can be stopped, killed and started again."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from ipsecwatch.client import Change, Pluto, Snapshot, Update, View, follow, subscription

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ipsecwatch.client import Event
    from ipsecwatch.report import PlutoState

MAX_UNREAD = 30
"""Signals that it keeps: few, so that it loses some of a burst."""
PAUSE = 0.003
"""Seconds that a slow one takes for an event."""


@dataclass(slots=True)
class Knowledge:
    """What it knows from all events, and what was wrong with them."""

    run_id: str = ""
    serial: int = 0
    pluto: PlutoState | None = None
    tunnels: dict[str, View] = field(default_factory=dict)
    snapshots: int = 0
    new: set[str] = field(default_factory=set)
    """Objects that came, and how they came about is still to be told."""
    wrong: list[str] = field(default_factory=list)

    def learn(self, event: Event) -> None:
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


class Subscriber:
    """Follows the service while its context lasts, on what is the system bus when it starts."""

    def __init__(self, *, slow: bool) -> None:
        self._slow = slow
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self) -> None:
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        args = (self._pipe, theirs, self._slow)
        self._process = fork.Process(target=_live, args=args, daemon=True)
        self._process.start()
        theirs.close()

    def _end(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()

    def stop(self) -> None:
        """Stop it from doing anything (SIGSTOP)."""
        os.kill(self._process.pid or 0, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGCONT)

    def restart(self) -> None:
        """Kill it, and start another one in its place."""
        self._end()
        self._start()

    async def knowledge(self) -> Knowledge:
        self._pipe.send(None)
        known: Knowledge = await asyncio.to_thread(self._pipe.recv)
        return known


def _live(parents_end: Connection, pipe: Connection, slow: bool) -> None:
    parents_end.close()
    subscription.MAX_UNREAD = MAX_UNREAD  # type: ignore[misc]
    asyncio.run(_follow(pipe, slow=slow))


async def _follow(pipe: Connection, *, slow: bool) -> None:
    known = Knowledge()
    ended = asyncio.Event()

    def answer() -> None:
        try:
            pipe.recv()
            pipe.send(known)
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            ended.set()

    async def learn() -> None:
        async with aclosing(follow()) as events:
            async for event in events:
                known.learn(event)
                await asyncio.sleep(PAUSE if slow else 0)

    asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(learn()),
        asyncio.create_task(ended.wait()),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
