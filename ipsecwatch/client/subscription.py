# SPDX-License-Identifier: MIT
"""Follow the service over the bus, in spite of lost signals, restarts and lost connections.

The order of the steps matters: first the match rules, then the snapshot, then the signals that came
after it. Any program can send a signal that looks like the service's, so only those from the owner
of the service's bus name count. The owner is the connection that answered our request, until the
bus says that the name has another owner.
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
"""Seconds between attempts to reach the bus and the service. The last one is repeated."""
REFUSED: Final = (1.0, 5.0)
"""If the service refuses because of its limits, it is asked again after a random number of seconds
between these two."""
DENIED: Final = 300.0
"""If this user isn't allowed to ask the service, it is asked again after so many seconds. That is
rare on purpose: dbus-daemon logs each refusal."""
MAX_UNREAD: Final = 10_000
"""The number of signals that are kept for a slow consumer. If there are more, a fresh snapshot
costs less than reading them."""
ANSWER_LIMIT: Final = 10.0
"""Seconds that each of the two replies for a snapshot may take at first, and the reply to a
Ping."""
LONGER: Final = 8.0
"""The limit for the replies for a snapshot grows up to so many times ANSWER_LIMIT. It is doubled
after each reply that didn't come in time: if the bus reads slowly from the service, each further
request delays the next reply."""

_TOLD: Final[dict[str, Told]] = {"TunnelUp": "up", "TunnelDown": "down", "TunnelStuck": "stuck"}


async def follow(instance: str = "", *, ask_after: float | None = None) -> AsyncGenerator[Event]:
    """Follow the service for ever: yield a Snapshot or a Lost first, and then each event.

    With ``instance``, follow ``ipsecwatch@INSTANCE.service`` instead.

    No event is left out silently: if signals were lost, or this consumer was too slow, a fresh
    Snapshot takes their place. A Lost that equals the event before it isn't yielded again. Close
    the generator (contextlib.aclosing) to end it.

    A service that hangs sends nothing, and neither does one to which nothing happens. To tell them
    apart, set ``ask_after``: if the service has sent nothing for so many seconds, it is asked
    whether it is alive. If it doesn't answer within ANSWER_LIMIT, a Lost comes. Without
    ``ask_after``, this process sleeps while nothing happens, and notices a service that hangs only
    when systemd ends it, after a minute.
    """
    said: Event | None = None
    async with aclosing(_through_all_buses(instance, ask_after)) as events:
        async for event in events:
            if not (isinstance(event, Lost) and event == said):
                yield event
            said = event


async def _through_all_buses(instance: str, ask_after: float | None) -> AsyncGenerator[Event]:
    """Yield events for follow(), and connect to the bus again whenever the connection is lost.

    Yield a Lost when the connection is lost, and after each failed attempt to connect, also the
    first one. Equal ones may follow each other. The arguments are those of follow().
    """
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
    """Return the match rules for the owner of the bus name and for the signals of the service."""
    ours = f"type='signal',sender='{bus_name(instance)}'"
    return (
        owner_rule(instance),
        f"{ours},interface='{MANAGER}',path='{ROOT}'",
        f"{ours},interface='{OBJECT_MANAGER}',path='{ROOT}'",
        f"{ours},interface='{PROPERTIES}',path_namespace='{ROOT}'",
    )


class _Gap(Exception):  # noqa: N818 - nothing is wrong
    """A fresh snapshot is needed: signals are missing, or the bus name has another owner."""


class _Subscription:
    """Follows the service over one connection to the bus, until that is lost."""

    def __init__(self, connection: BusConnection, instance: str, ask_after: float | None) -> None:
        self._connection = connection
        self._instance = instance
        self._ask_after = ask_after
        self._name = bus_name(instance)
        self._owner: str | None = None
        """The unique bus name of the connection that answered the last request for a snapshot.
        None: none has answered yet, or the service's bus name has got another owner since."""
        self._unread: deque[Signal] = deque()
        self._overflowed = False
        """Whether MAX_UNREAD signals were in the queue. Until the next snapshot no more are
        queued."""
        self._wakeup = asyncio.Event()
        """Set when a signal was queued, when the service's bus name changed its owner, and when the
        connection is lost."""
        self._moved = asyncio.Event()
        """Set when the service's bus name passed from one connection to another, for
        take_snapshot()."""
        self._tunnels: dict[str, View] = {}
        self._manager = ManagerView()
        self._ready: deque[Event] = deque()
        """Events that were read from a signal, and not returned yet. One signal can mean
        several."""
        self._serial = 0
        """The serial of the last transition that was read from a signal or is included in the
        snapshot."""
        self._told: tuple[int, Told] | None = None
        """The last TunnelUp, TunnelDown or TunnelStuck: the serial in it, and which of the three it
        was."""
        self._times = 1.0
        """How many times ANSWER_LIMIT each reply for the next snapshot may take."""
        connection.on_signal = self._on_signal

    async def events(self) -> AsyncGenerator[Event]:
        """Yield events until the connection to the bus is lost; then raise LostError.

        Raise another BusError if the bus refuses to send us the signals.
        """
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
        """Yield events, with a fresh snapshot whenever the bus name has another owner.

        Yield a Lost if the service can't be asked. If it refuses because of its limits, yield
        nothing, and wait for a random time: otherwise all clients that were refused together would
        come back together. Raise LostError when the connection to the bus is lost.
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
        """Wait for ``limit`` seconds (None: for ever), or until the bus name has another owner.

        Return early also if the connection is lost. Return at once if any of that has happened
        since the last snapshot was asked for.
        """
        try:
            async with asyncio.timeout(limit):
                await self._wakeup.wait()
        except TimeoutError:
            return

    async def _begin(self) -> Snapshot:
        """Ask the service for a Snapshot, set this object's state from it, and return it.

        If pluto's state changed between the two replies, the Snapshot has the newer one, from the
        signals. Raise ChangedHandsError or another BusError, as take_snapshot() does.
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
        """Set the owner to the sender of the first reply, and drop the signals that came before."""
        self._owner = reply.sender
        self._manager, self._told = ManagerView(), None
        self._ready.clear()
        self._overflowed = False
        self._unread.clear()

    def _on_second_reply(self, _reply: Reply) -> None:
        """Drop the signals that came before the second reply, but take pluto's state from them.

        The second reply has the tunnels as they are after these signals. But pluto's state is only
        in the first reply, so a change of it after that is only in a signal.
        """
        for signal in self._unread:
            if signal.path == ROOT and signal.member == "PropertiesChanged":
                self._manager = manager_view(signal.body[1], self._manager)
        self._unread.clear()

    def _on_signal(self, signal: Signal) -> None:
        """Queue a signal of the owner. If the bus says that the owner changed, record that.

        Signals of other senders are ignored. Once MAX_UNREAD signals are in the queue, no more are
        queued, and _next() raises _Gap after it has returned the queued ones.
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

        Raise _Gap if a fresh snapshot is needed, LostError if the connection to the bus is lost,
        and another BusError if the service doesn't answer a Ping.
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
        """Wait until ``_wakeup`` is set. If that takes ``ask_after`` seconds, send a Ping.

        Return also when the service has answered the Ping. Raise BusError if it doesn't.
        """
        try:
            async with asyncio.timeout(self._ask_after):
                await self._wakeup.wait()
        except TimeoutError:
            await self._ping()

    async def _ping(self) -> None:
        """Send a Ping to the service, and wait until it answers, or until ``_wakeup`` is set.

        An error as the answer of the service counts as an answer. Raise BusError if none comes
        within ANSWER_LIMIT seconds, or if the bus says that the service isn't there.
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
        """Return the event that a signal means; None if there is none, or its events were queued.

        TunnelUp, TunnelDown and TunnelStuck are only remembered: they become Change.told of the
        TunnelStateChanged that follows. Raise _Gap if transitions are missing before this one.
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
        """Return the Change for a TunnelStateChanged; None if the snapshot includes it already.

        Keep the view of the tunnel that is in it. Raise _Gap if ``serial`` shows that transitions
        are missing before it.
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
        """Keep a tunnel's changed properties, and return the Update.

        Return None if the tunnel isn't listed, or nothing in its view has changed. If the
        properties are the Manager's, queue the events for them, and return None.
        """
        if path == ROOT and interface == MANAGER:
            self._note_manager(manager_view(changed, self._manager))
            return None
        if interface != TUNNEL or path not in self._tunnels:
            return None
        return self._update(path, view(path, changed, self._tunnels[path]))

    def _note_manager(self, now: ManagerView) -> None:
        """Keep the Manager's properties; queue a Pluto, Log or Answer for those that changed."""
        before, self._manager = self._manager, now
        if now.pluto and (now.pluto, now.unit) != (before.pluto, before.unit):
            self._ready.append(Pluto(now.pluto, IPSEC if now.unit is None else now.unit))
        if now.log and now.log is not before.log:
            self._ready.append(Log(now.log))
        answers = (now.complete, now.unrecognised)
        if None not in answers and answers != (before.complete, before.unrecognised):
            self._ready.append(Answer(now.complete is not False, now.unrecognised or 0))

    def _update(self, path: str, after: View | None) -> Update | None:
        """Keep a tunnel's new view, or forget the tunnel if ``after`` is None. Return the Update.

        Return None if the view is the same as before, or if a tunnel is removed that wasn't there.
        """
        if after == self._tunnels.get(path):
            return None
        if after is None:
            del self._tunnels[path]
        else:
            self._tunnels[path] = after
        return Update(path, after)


def _well_formed(signal: Signal) -> bool:
    """Return whether our interface files (XML) have a signal of this name with these types."""
    interface = interfaces().get(signal.interface)
    return interface is not None and interface.signals.get(signal.member) == signal.signature
