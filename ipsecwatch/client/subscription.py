# SPDX-License-Identifier: MIT
"""Follows the service over the bus, through lost signals, restarts and lost connections.

The order of the steps matters: match rules first, then the snapshot, then the signals that came
after it. Only signals of the name's owner count, since any program can send one that looks the
same. The owner is the connection that answered us, from its answer on and until the bus says that
the name has another owner.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.backoff import Backoff
from ipsecwatch.client.events import Answer, Change, Log, Lost, Pluto, Update
from ipsecwatch.client.requests import (
    ChangedHandsError,
    NotAllowedError,
    RefusedForNowError,
    client_error,
    nobody_there,
    passed_on,
    take_snapshot,
)
from ipsecwatch.client.views import ManagerView, manager_view, reason, seconds, tunnel_state, view
from ipsecwatch.dbus.connection import BUS, connect
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, LostError, NoReplyError
from ipsecwatch.dbus.introspection import interfaces
from ipsecwatch.dbus.names import (
    MANAGER,
    OBJECT_MANAGER,
    PEER,
    PROPERTIES,
    ROOT,
    TUNNEL,
    bus_name,
    owner_rule,
)
from ipsecwatch.reasons import IPSEC
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.client.events import Event, Told
    from ipsecwatch.client.views import Snapshot, View
    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Reply, Signal

RETRY: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to find the bus and the service; the last one is repeated."""
REFUSED: Final = (1.0, 5.0)
"""Seconds to wait after the service refused for its limits: a random number between these."""
DENIED: Final = 300.0
"""Seconds before the next question to a service that refuses this user. Each refusal is logged by
dbus-daemon."""
MAX_UNREAD: Final = 10_000
"""Signals kept for a slow consumer; beyond that, a fresh snapshot is cheaper."""
ANSWER_LIMIT: Final = 10.0
"""Seconds that each of the two answers for a snapshot may take, or the answer to a Ping."""
LONGER: Final = 8.0
"""How many times ANSWER_LIMIT an answer for a snapshot may take at most. Each time that one doesn't
come in time, the next may take twice as long: on a bus that reads slowly from the service, each
question that is asked again makes the next answer later."""

_TOLD: Final[dict[str, Told]] = {"TunnelUp": "up", "TunnelDown": "down", "TunnelStuck": "stuck"}


async def follow(instance: str = "", *, ask_after: float | None = None) -> AsyncGenerator[Event]:
    """Follow the service for ever: yield a Snapshot or Lost first, then each event.

    ``instance``: follow ``ipsecwatch@INSTANCE.service`` instead.

    No event is silently left out: where signals were lost, or this consumer was too slow, a fresh
    Snapshot replaces them. A Lost that equals the event before it isn't yielded again. Close the
    generator (contextlib.aclosing) to end it.

    A service that hangs sends nothing, like one to which nothing happens. With ``ask_after``, a
    service that has sent nothing for that many seconds is asked whether it is alive, and is Lost if
    it doesn't answer within ANSWER_LIMIT. Without it, this process isn't woken while nothing
    happens; systemd ends a service that hangs for a minute.
    """
    said: Event | None = None
    async with aclosing(_through_all_buses(instance, ask_after)) as events:
        async for event in events:
            if not (isinstance(event, Lost) and event == said):
                yield event
            said = event


async def _through_all_buses(instance: str, ask_after: float | None) -> AsyncGenerator[Event]:
    """Yield events over one connection to the bus after another; Lost while there is none."""
    backoff = Backoff(RETRY)
    while True:
        try:
            connection = await connect("system")
        except BusError as e:
            yield Lost(clean(str(e)), e.hint)
        else:
            try:
                subscription = _Subscription(connection, instance, ask_after)
                async with aclosing(subscription.events()) as events:
                    async for event in events:
                        yield event
                        backoff.reset()
            except BusError as e:
                yield Lost(clean(str(e)), e.hint)
            finally:
                await connection.close()
        await asyncio.sleep(backoff.next())


def _rules(instance: str) -> tuple[str, ...]:
    """Return the match rules: the owner of the service's name, and the service's signals."""
    ours = f"type='signal',sender='{bus_name(instance)}'"
    return (
        owner_rule(instance),
        f"{ours},interface='{MANAGER}',path='{ROOT}'",
        f"{ours},interface='{OBJECT_MANAGER}',path='{ROOT}'",
        f"{ours},interface='{PROPERTIES}',path_namespace='{ROOT}'",
    )


class _Gap(Exception):  # noqa: N818 - nothing is wrong
    """Signals are missing, or the name has another owner: a fresh snapshot is needed."""


class _Subscription:
    """Follows the service over one connection to the bus."""

    def __init__(self, connection: BusConnection, instance: str, ask_after: float | None) -> None:
        self._connection = connection
        self._instance = instance
        self._ask_after = ask_after
        self._name = bus_name(instance)
        self._owner: str | None = None
        """The bus's unique name of the connection that answered; None: none has answered yet, or
        the service's name has another owner since."""
        self._unread: deque[Signal] = deque()
        self._overflowed = False
        """Whether so many signals were unread that no more are kept, until the next snapshot."""
        self._wakeup = asyncio.Event()
        """Set when a signal was queued, the service's name changed its owner, or the bus is
        lost."""
        self._moved = asyncio.Event()
        """Set when the service's name passed from one owner to another."""
        self._tunnels: dict[str, View] = {}
        self._manager = ManagerView()
        self._ready: deque[Event] = deque()
        """Further events of a signal that caused several."""
        self._serial = 0
        """The number of the last transition that was read, or that the snapshot includes."""
        self._told: tuple[int, Told] | None = None
        """The last TunnelUp, TunnelDown or TunnelStuck: the transition's number, and which."""
        self._times = 1.0
        """How many times ANSWER_LIMIT each answer for the next snapshot may take."""
        connection.on_signal = self._on_signal

    async def events(self) -> AsyncGenerator[Event]:
        """Yield events until the bus is lost, which raises LostError. Raise BusError."""
        end = asyncio.ensure_future(self._connection.lost())
        end.add_done_callback(lambda _: self._wakeup.set())
        try:
            for rule in _rules(self._instance):
                await self._connection.call_bus("AddMatch", "s", rule)
            async with aclosing(self._through_all_owners()) as events:
                async for event in events:
                    yield event
        finally:
            end.cancel()

    async def _through_all_owners(self) -> AsyncGenerator[Event]:
        """Yield events, whichever process owns the service's name; Lost while none can be asked.

        After a refusal for its limits it waits for a random time, so that the clients that were
        refused together don't all come back at once. Raise LostError when the bus is lost.
        """
        backoff = Backoff(RETRY)
        while True:
            try:
                snapshot = await self._begin()
                self._times = 1.0
                yield snapshot
                backoff.reset()
                while True:
                    yield await self._next()
            except (_Gap, ChangedHandsError):
                continue
            except LostError:
                raise
            except BusError as e:
                if isinstance(e, NoReplyError):
                    self._times = min(2 * self._times, LONGER)
                error = client_error(e, self._instance)
                if isinstance(error, RefusedForNowError):
                    # Other clients were refused as well, and shouldn't all come back at once.
                    await self._pause(random.uniform(*REFUSED))  # noqa: S311 - no secret
                    continue
                denied = isinstance(error, NotAllowedError)
                yield Lost(str(error), error.hint, denied)
                again = DENIED if denied else backoff.next()
                await self._pause(None if nobody_there(e) else again)

    async def _pause(self, limit: float | None) -> None:
        """Wait until ``_wakeup`` is set, ``limit`` seconds at most; None: there is no limit.

        That is when the name gets another owner, or the bus is lost. Return at once if that has
        happened since the last snapshot was asked for.
        """
        try:
            async with asyncio.timeout(limit):
                await self._wakeup.wait()
        except TimeoutError:
            return

    async def _begin(self) -> Snapshot:
        """Ask the service for a Snapshot, set this object's state from it, and return it.

        Changes of pluto's state that were signalled between the two replies are already in it.
        Raise BusError.
        """
        self._owner = None
        self._wakeup.clear()
        self._moved.clear()
        snapshot = await take_snapshot(
            self._connection,
            self._times * ANSWER_LIMIT,
            self._moved,
            self._on_first_reply,
            self._on_second_reply,
            self._instance,
        )
        known = self._manager
        snapshot = replace(
            snapshot,
            pluto_state=known.pluto or snapshot.pluto_state,
            log=known.log or snapshot.log,
            unit=snapshot.unit if known.unit is None else known.unit,
            complete=snapshot.complete if known.complete is None else known.complete,
            unrecognised=(
                snapshot.unrecognised if known.unrecognised is None else known.unrecognised
            ),
        )
        self._manager = ManagerView(
            snapshot.pluto_state, snapshot.log, snapshot.unit, snapshot.complete,
            snapshot.unrecognised,
        )  # fmt: skip
        self._serial = snapshot.serial
        self._tunnels = dict(snapshot.tunnels)
        return snapshot

    def _on_first_reply(self, reply: Reply) -> None:
        """Set the owner to the sender of the first reply, and drop the signals before it."""
        self._owner = reply.sender
        self._manager, self._told = ManagerView(), None
        self._ready.clear()
        self._overflowed = False
        self._unread.clear()

    def _on_second_reply(self, _reply: Reply) -> None:
        """Drop the signals that came before the tunnels, but read pluto's state from them.

        The second reply has all tunnels, and includes these signals. It doesn't have pluto's state,
        which came with the first reply.
        """
        for signal in self._unread:
            if signal.path == ROOT and signal.member == "PropertiesChanged":
                self._manager = manager_view(signal.body[1], self._manager)
        self._unread.clear()

    def _on_signal(self, signal: Signal) -> None:
        """Queue a signal of the owner, or record a change of owner, without waiting.

        Once MAX_UNREAD signals are in the queue no more are kept, and _next() raises _Gap after it
        has returned what is in the queue.
        """
        if signal.sender == BUS:
            if signal.member == "NameOwnerChanged" and signal.body[0] == self._name:
                if signal.body[2] != self._owner:
                    self._owner = None
                if passed_on(signal, self._instance):
                    self._moved.set()
                self._wakeup.set()
        elif signal.sender == self._owner and not self._overflowed and _well_formed(signal):
            self._unread.append(signal)
            self._overflowed = len(self._unread) >= MAX_UNREAD
            self._wakeup.set()

    async def _next(self) -> Event:
        """Wait for the next event and return it.

        Raise _Gap; LostError for a lost bus; another BusError for a service that doesn't answer.
        """
        while True:
            while self._ready or self._unread:
                if self._ready:
                    return self._ready.popleft()
                if event := self._read(self._unread.popleft()):
                    return event
            if self._overflowed or self._owner is None:
                raise _Gap
            if not self._connection.alive:
                raise LostError(await self._connection.lost())
            self._wakeup.clear()
            await self._wait()

    async def _wait(self) -> None:
        """Wait until ``_wakeup`` is set. Ask a service that is silent for long if it is alive.

        Return also when it has answered. Raise BusError where it doesn't answer.
        """
        try:
            async with asyncio.timeout(self._ask_after):
                await self._wakeup.wait()
        except TimeoutError:
            await self._ping()

    async def _ping(self) -> None:
        """Send Ping to the service; wait until it answers, or until ``_wakeup`` is set.

        Raise BusError where it doesn't answer within ANSWER_LIMIT seconds.
        """
        call = self._connection.call(self._name, ROOT, PEER, "Ping", within=ANSWER_LIMIT)
        asking, waking = asyncio.ensure_future(call), asyncio.ensure_future(self._wakeup.wait())
        try:
            await asyncio.wait([asking, waking], return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                await asking
        except ErrorReplyError as e:
            if e.sender == BUS:  # else the service has answered
                raise
        finally:
            asking.cancel()
            waking.cancel()

    def _read(self, signal: Signal) -> Event | None:
        """Return the event that a signal reports; None where it reports none by itself.

        TunnelUp, TunnelDown and TunnelStuck are remembered, and become part of the Change that
        follows. Raise _Gap.
        """
        member, body = signal.member, signal.body
        if member == "PropertiesChanged":
            return self._properties(signal.path, body[0], body[1])
        if signal.path != ROOT:
            return None
        if member in _TOLD:
            self._told = body[-2], _TOLD[member]
        elif member == "TunnelStateChanged":
            return self._change(*body)
        elif member == "InterfacesAdded" and TUNNEL in body[1]:
            return self._update(body[0], view(body[0], body[1][TUNNEL]))
        elif member == "InterfacesRemoved" and TUNNEL in body[1]:
            return self._update(body[0], None)
        return None

    def _change(
        self,
        path: str,
        name: str,
        old: str,
        new: str,
        why: str,
        serial: int,
        at: int,
        properties: dict[str, Any],
    ) -> Change | None:
        """Return a transition; None if the snapshot includes it.

        Raise _Gap where a serial number is missing before it.
        """
        if serial <= self._serial:
            return None  # sent after the snapshot, which includes it
        if serial != self._serial + 1:
            raise _Gap
        self._serial = serial
        after = view(path, properties, self._tunnels.get(path))
        if path in self._tunnels:
            self._tunnels[path] = after
        told = self._told[1] if self._told and self._told[0] == serial else None
        states = tunnel_state(old), tunnel_state(new)
        return Change(name, path, *states, reason(why), serial, seconds(at), told, after)

    def _properties(self, path: str, interface: str, changed: dict[str, Any]) -> Update | None:
        """Return the event for changed properties of a tunnel.

        Return None where the tunnel isn't known, or is as it was. Where the properties are the
        Manager's, queue their events, and return None.
        """
        if path == ROOT and interface == MANAGER:
            self._note_manager(manager_view(changed, self._manager))
            return None
        if interface != TUNNEL or path not in self._tunnels:
            return None
        return self._update(path, view(path, changed, self._tunnels[path]))

    def _note_manager(self, now: ManagerView) -> None:
        """Keep what is known about pluto now, and queue an event for each change in it."""
        before, self._manager = self._manager, now
        if now.pluto and (now.pluto, now.unit) != (before.pluto, before.unit):
            self._ready.append(Pluto(now.pluto, IPSEC if now.unit is None else now.unit))
        if now.log and now.log is not before.log:
            self._ready.append(Log(now.log))
        answers = (now.complete, now.unrecognised)
        if None not in answers and answers != (before.complete, before.unrecognised):
            self._ready.append(Answer(now.complete is not False, now.unrecognised or 0))

    def _update(self, path: str, after: View | None) -> Update | None:
        """Keep a tunnel's view, or remove the tunnel where ``after`` is None; return the Update.

        Return None where the tunnel is as it was.
        """
        if after == self._tunnels.get(path):
            return None
        if after is None:
            del self._tunnels[path]
        else:
            self._tunnels[path] = after
        return Update(path, after)


def _well_formed(signal: Signal) -> bool:
    """Return whether one of the interfaces in our XML has this signal, with this signature."""
    interface = interfaces().get(signal.interface)
    return interface is not None and interface.signals.get(signal.member) == signal.signature
