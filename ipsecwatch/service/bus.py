# SPDX-License-Identifier: MIT
"""The service's connection to the system bus: owning org.ipsecwatch1, and sending signals.

The state is kept whether there is a bus or not. Signals aren't stored while the bus is away:
clients take a snapshot when the name is back.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import __version__
from ipsecwatch.backoff import Backoff
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import BusError, ErrorReplyError
from ipsecwatch.dbus.names import (
    bus_name,
    instance_of,
    owner_of_name,
    queue_for_name,
    release_name,
    request_name,
    socket_name,
)
from ipsecwatch.sanitize import clean
from ipsecwatch.service.incoming import LeftBehind, is_dbus_broker, overrun
from ipsecwatch.service.methods import Methods
from ipsecwatch.service.object_tree import Announcement, ObjectTree, Publication

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ipsecwatch.dbus.connection import BusConnection

__all__ = ["Bus", "Publication", "RefusedError", "SocketTakenError"]

logger = logging.getLogger(__name__)

RETRY: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to connect to the bus again; the last pause is repeated."""
PREDECESSOR: Final = (0.05, 0.2, 0.5, 1.0, 1.0)
"""Seconds between attempts to get a name while another connection owns it. After the last attempt
we give up."""
STALLED: Final = 5.0
"""Seconds. If the bus reads nothing of what we sent for longer, we open a new connection."""
STUCK: Final = 30.0
"""Seconds. If the bus reads nothing from the new connection for longer either, the fault may be
ours: see Bus.stuck."""
SPARE: Final = 1.0
"""Seconds until the next attempt to open a spare connection, after one has failed."""
PAUSE: Final = 0.05
"""Seconds between two checks of whether the bus has passed our name on to the connection in use."""
GLANCE: Final = 1.0
"""Seconds between two checks of whether the bus reads what we send."""
BATCH: Final = 100
"""Number of signals that are sent before other tasks of the event loop get their turn."""

_FIRST: Final = asyncio.FIRST_COMPLETED
_ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"


class RefusedError(Exception):
    """We can't get one of our bus names: the bus denies it, or another program has it.

    The text is one line for people; ``hint`` says what they can do.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SocketTakenError(RefusedError):
    """Another instance of ipsecwatch watches the same pluto. Only a change of settings helps."""


class Bus:
    """Connects the service to the system bus under its name, and keeps it there.

    ``instance`` is the name of this service among several instances ("": it has none).
    ``control_socket`` is the path of its pluto's socket, which no other service may watch as well
    ("": others may). ``refresh`` is called for each call of the D-Bus method Refresh. It should
    return once a poll that began after the call has been published, and make calls that wait at the
    same time share one poll. A call of it may be cancelled.
    """

    def __init__(
        self,
        run_id: str,
        refresh: Callable[[], Awaitable[None]],
        instance: str = "",
        control_socket: str = "",
    ) -> None:
        self._name: Final = bus_name(instance)
        self._control_socket = control_socket
        self._names = [self._name]
        """The bus names that we own on a connection: first the one for our pluto's socket, if
        _own_socket() got it, then the service's."""
        self._objects = ObjectTree(__version__, run_id)
        self._methods = Methods(self._objects, refresh)
        self._connection: BusConnection | None = None
        self._spare: BusConnection | None = None
        """A second connection, to which our names are moved when calls wait too long on the one in
        use; None: there is none now. Nobody sends to it, so the bus answers quickly there."""
        self._brokered: bool | None = None
        """Whether the bus is dbus-broker; None: the bus hasn't been asked yet."""
        self._waiting = False
        """Whether the spare connection is in the bus's queue for our names, and so gets them when
        the connection in use releases them."""
        self._left = LeftBehind(self._methods.serves)
        self._named = False
        self._new = False
        """Whether the connection in use has replaced one from which the bus no longer read, and the
        bus hasn't been seen to read from the new one yet."""
        self.on_blocked: Callable[[int | None], None] = lambda _: None
        """Called when we have dropped a connection because the bus no longer read from it. The
        argument is the id of the user that probably doesn't read our answers; None: nobody is known
        to have unread answers."""
        self._said = ""
        """The text of the error that was logged last because we couldn't get on the bus, so that it
        isn't logged again at each attempt; "": none since the connection was last lost."""

    @property
    def connected(self) -> bool:
        """Whether we have an open connection to the bus, and own the service's name there."""
        return self._named and self._connection is not None and self._connection.alive

    async def start(self, first: Publication) -> None:
        """Set the service's first state, connect to the bus, and get our names there.

        Then send signals for all that ``first`` contains, as publish() does. If the bus can't be
        reached, log that and return without an error: keep() tries again. Raise RefusedError if the
        bus refuses a name, if another program has it, or if another service watches the same pluto.
        """
        announcements = self._objects.apply(first)
        try:
            await self._enter()
        except BusError as e:
            self._said = str(e)
            logger.warning("%s; trying again. %s", e, e.hint)
        else:
            await self._announce(announcements)

    async def stop(self) -> None:
        """Leave the bus: cancel all answers to callers, and close our connections.

        Before that, wait at most a second until the kernel has accepted all signals.
        """
        self._methods.forget()
        await self._drop_spare()
        await self._left.close()
        if self._connection is not None:
            await self._connection.flush(within=1.0)
            await self._connection.close()
            self._connection = None

    async def publish(self, news: Publication) -> None:
        """Use the new state for replies from now on, and send signals for what has changed.

        Return once all signals are queued on the connection. Without a connection, none are sent,
        and none are kept for later. Other tasks run after each BATCH of signals. The caller must
        wait for one call of publish() to return before the next.
        """
        await self._announce(self._objects.apply(news))

    async def _announce(self, announcements: Iterable[Announcement]) -> None:
        """Send signals. Skip all of them without a connection, and the rest if it is lost.

        Other tasks run after each BATCH of signals.
        """
        connection = self._connection
        if connection is None:
            return
        for n, a in enumerate(announcements, 1):
            if not connection.alive:
                return
            connection.signal(a.path, a.interface, a.member, a.signature, a.body)
            if n % BATCH == 0:
                await asyncio.sleep(0)

    async def _enter(self) -> None:
        await self._use(await connect("system", judge=self._methods.judge))

    def _set_callbacks(self, connection: BusConnection) -> None:
        """Make a connection pass its incoming calls, and the sizes of what it sends, to Methods."""
        connection.on_call = self._methods.called
        connection.on_sent = self._methods.sent

    async def _use(self, connection: BusConnection) -> None:
        """Use a connection from now on for calls and signals, and get our names on it.

        If that fails, close the connection, and raise RefusedError or BusError.
        """
        self._set_callbacks(connection)
        self._methods.use(connection)
        # Before the name is ours: a client that sees the name may take a snapshot at once, and must
        # get all signals after that.
        self._connection, self._named = connection, False
        try:
            self._names = [*await self._own_socket(connection), self._name]
            await _own_name(connection, self._name)
            self._named = True
        except BaseException:
            self._connection = None
            await connection.close()
            raise

    async def _own_socket(self, connection: BusConnection) -> list[str]:
        """Get the bus name for our pluto's socket, so that no other service watches the same pluto.

        Return a list with the name. The list is empty if Bus has no ``control_socket``, or if the
        bus doesn't allow such a name, because its policy is that of an earlier release. Raise
        RefusedError if another connection owns the name, and BusError if the bus can't be asked.
        """
        if not self._control_socket:
            return []
        name = socket_name(self._control_socket)
        try:
            if not await _gets_name(connection, name):
                raise await self._taken(connection, name)
        except ErrorReplyError as e:
            if e.name != _ACCESS_DENIED:
                raise
            logger.debug("whether others watch the same pluto isn't known: %s", e)
            return []
        return [name]

    async def _taken(self, connection: BusConnection, name: str) -> RefusedError:
        """Return the error to raise if another connection owns the name for our pluto's socket.

        If that connection also has our service's name, the error says that another program has it;
        else it is a SocketTakenError, which names the other service if that is known. Raise
        BusError if the bus can't be asked. ``name``: the name for the socket.
        """
        who = await _called(connection, await owner_of_name(connection, name))
        if who == self._name:
            return _somebody_else(who)
        socket = clean(self._control_socket)
        text = f"{who or 'another ipsecwatch'} watches the pluto at {socket} already"
        return SocketTakenError(text, "Set a different control_socket for each service")

    async def keep(self) -> None:
        """Keep the service on the bus after start(): connect again whenever the connection is lost.

        Errors are logged, and followed by another attempt (RETRY). Run until cancelled.
        """
        backoff = Backoff(RETRY)
        while True:
            if self._connection is not None:
                await self._until_lost(self._connection)
                self._said = ""
                backoff.reset()
                if self._connection is not None:
                    continue  # it is a new one already
            await asyncio.sleep(backoff.next())
            try:
                await self._enter()
            except (BusError, RefusedError) as e:
                if str(e) != self._said:
                    self._said = str(e)
                    logger.warning("%s; trying again. %s", e, e.hint)
            else:
                logger.info("on the bus again as %s", self._name)

    async def _until_lost(self, connection: BusConnection) -> None:
        """Wait until the connection in use is lost, or was replaced by another one.

        Meanwhile open a spare connection if the bus is dbus-broker, move our names to it when calls
        wait too long in the bus, and replace the connection when the bus no longer reads from it.
        If the connection is lost, cancel all answers to callers.
        """
        lost: asyncio.Future[str] = asyncio.ensure_future(connection.lost())
        behind = self._watched(connection)
        preparing = asyncio.ensure_future(self._prepare(connection))
        try:
            while not lost.done():
                ends: list[asyncio.Future[Any]] = [lost, behind]
                await asyncio.wait(ends, timeout=GLANCE, return_when=_FIRST)
                if behind.done() and not lost.done():
                    if self._moved(connection):
                        return
                    behind = asyncio.ensure_future(
                        overrun(connection, self._ready_spare, self._left)
                    )
                if not connection.stalled():
                    self._new = False
                elif connection.stalled() > STALLED and await self._replaced(connection):
                    return
        finally:
            lost.cancel()
            behind.cancel()
            preparing.cancel()
        logger.warning("%s; connecting again", await connection.lost())
        self._connection, self._new, self._brokered = None, False, None
        await self._drop_spare()
        self._methods.forget()

    async def _prepare(self, connection: BusConnection) -> None:
        """Ask whether the bus is dbus-broker. If it is, open a spare connection.

        After an error, try again every SPARE seconds. Return once that is done.
        """
        while True:
            try:
                if self._brokered is None:
                    self._brokered = await is_dbus_broker(connection)
                if self._brokered:
                    await self._open_spare(connection)
            except BusError as e:
                logger.debug("there is no spare connection: %s", e)
                await self._drop_spare()
                await asyncio.sleep(SPARE)
            else:
                return

    async def _open_spare(self, connection: BusConnection) -> None:
        """Open the spare connection, and queue it at the bus for our names.

        Then wait until ``connection``, the one in use, has the service's name: after a move the bus
        may still be passing it on from an older one. If yet another connection has the name, drop
        ``connection``, so that keep() begins again.
        """
        self._spare = spare = await connect("system", judge=self._methods.judge)
        self._set_callbacks(spare)
        self._methods.use(spare, connection)
        for name in self._names:
            await queue_for_name(spare, name)
        self._waiting = True
        while (owner := await owner_of_name(spare, self._name)) != connection.unique_name:
            if owner not in self._left.names:  # else the bus is still passing it on
                connection.drop("our name went to somebody else")
                return
            await asyncio.sleep(PAUSE)

    def _watched(self, connection: BusConnection) -> asyncio.Future[None]:
        return asyncio.ensure_future(overrun(connection, self._ready_spare, self._left))

    def _ready_spare(self) -> BusConnection | None:
        """Return the spare connection if it is open and in the queue for our names, else None."""
        spare = self._spare
        return spare if spare is not None and spare.alive and self._waiting else None

    async def _drop_spare(self) -> None:
        if self._spare is not None:
            await self._spare.close()
        self._spare, self._waiting = None, False

    def _moved(self, old: BusConnection) -> bool:
        """Move our names from the connection ``old`` to the spare connection, and use that one.

        No messages wait in the bus for the spare connection. Those that wait for ``old`` are read
        later (LeftBehind). Return False, and change nothing, if no spare connection is ready.
        """
        if (spare := self._ready_spare()) is None:
            return False
        for name in self._names:
            release_name(old, name)
        level = logging.DEBUG if self._left else logging.WARNING
        logger.log(
            level, "calls come faster than the bus delivers them; using a new connection now"
        )
        self._connection, self._spare, self._waiting = spare, None, False
        self._left.add(old)
        return True

    async def _replaced(self, old: BusConnection) -> bool:
        """Replace the connection ``old``, from which the bus no longer reads. Return True if done.

        dbus-daemon stops reading from us when others have left too much unread of what we sent
        them. A new connection mends that at once. Return False, and keep ``old``, if the bus
        accepts no new connection (it hangs), if it reads from ``old`` again, or if ``old`` itself
        replaced another one and is stalled for less than STUCK seconds. If the new connection can't
        get our names, it is closed, and keep() opens another one.
        """
        if self._new and old.stalled() < STUCK:
            return False
        try:
            connection = await connect("system", judge=self._methods.judge)
        except BusError:
            return False
        if not old.alive or not old.stalled():  # the bus reads again
            await connection.close()
            return False
        await self._drop_spare()
        uid = self._methods.worst_reader
        logger.warning("the system bus has read nothing for %.0f s; connecting again", STALLED)
        self._methods.forget(debts=False)
        self._connection, self._new = None, True
        old.drop("the bus read nothing any more")
        await old.lost()
        self.on_blocked(uid)
        try:
            await self._use(connection)
        except (BusError, RefusedError) as e:
            logger.warning("%s; trying again. %s", e, e.hint)
        return True

    @property
    def stuck(self) -> bool:
        """Whether the bus has read nothing for STUCK seconds from a new connection either.

        That is one that was opened because the bus no longer read from the connection before it.
        The fault may be ours then, so the service no longer counts as alive for systemd.
        """
        connection = self._connection
        return self._new and connection is not None and connection.stalled() > STUCK


async def _own_name(connection: BusConnection, name: str) -> None:
    """Get the bus name ``name`` for a connection.

    Raise RefusedError if the bus denies the name or another connection keeps it, and BusError if
    the bus can't be asked.
    """
    try:
        if not await _gets_name(connection, name):
            raise _somebody_else(name)
    except ErrorReplyError as e:
        if e.name != _ACCESS_DENIED:
            raise
        raise RefusedError(
            f"the system bus refuses the name {name} to this service",
            "Only root may have it, with org.ipsecwatch1.conf in /usr/share/dbus-1/system.d",
        ) from e


async def _gets_name(connection: BusConnection, name: str) -> bool:
    """Request a name from the bus, and again after pauses (PREDECESSOR) while another one has it.

    The bus may not have noticed yet that the previous owner has disconnected. Return whether we own
    the name now. Raise BusError if the bus denies the name or can't be asked.
    """
    for pause in (*PREDECESSOR, None):
        if await request_name(connection, name):
            return True
        if pause is not None:
            await asyncio.sleep(pause)
    return False


async def _called(connection: BusConnection, owner: str) -> str:
    """Return the bus name of an ipsecwatch service that belongs to the connection ``owner``.

    ``owner`` is a unique name. "": the connection has no such name. Raise BusError if the bus can't
    be asked.
    """
    [names] = (await connection.call_bus("ListNames", "")).body
    for name in names:
        with suppress(ErrorReplyError):  # the name has no owner any more
            if instance_of(name) is not None and await owner_of_name(connection, name) == owner:
                return str(name)
    return ""


def _somebody_else(name: str) -> RefusedError:
    hint = f"Is another ipsecwatch running? busctl status {name}"
    return RefusedError(f"another program has the name {name} on the system bus", hint)
