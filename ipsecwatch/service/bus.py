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
"""Seconds between attempts to get our name while another connection owns it; then we give up."""
STALLED: Final = 5.0
"""If the bus reads nothing of what we sent for so many seconds, we open a new connection."""
STUCK: Final = 30.0
"""If the bus then reads nothing from the new connection for so many seconds either, the fault may
be ours: Bus.stuck."""
SPARE: Final = 1.0
"""Seconds between attempts to get a spare connection."""
PAUSE: Final = 0.05
"""Seconds between two checks whether the bus has passed our name on to the connection in use."""
GLANCE: Final = 1.0
"""Seconds between two checks whether the bus reads."""
BATCH: Final = 100
"""Signals that are sent before the event loop gets its turn."""

_FIRST: Final = asyncio.FIRST_COMPLETED
_ACCESS_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"


class RefusedError(Exception):
    """We can't own our names: the bus denies one, or another program has it.

    The text is one line; ``hint`` says what to do.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SocketTakenError(RefusedError):
    """Another ipsecwatch watches the same pluto. Only a change of settings helps."""


class Bus:
    """Connects the service to the system bus under its name, and keeps it there.

    ``instance`` is this service's name among several ("": it has none). ``control_socket`` is that
    of its pluto, which no other service may watch as well ("": others may). ``refresh`` is called
    for each call of the D-Bus method Refresh, and returns when a poll that began after it has been
    published; concurrent callers should share one poll. It may be cancelled.
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
        """The names that we own: the one of our pluto's socket, and the service's."""
        self._objects = ObjectTree(__version__, run_id)
        self._methods = Methods(self._objects, refresh)
        self._connection: BusConnection | None = None
        self._spare: BusConnection | None = None
        """The connection that gets our name next; None: there is none now. Nobody sends to it, so
        the bus is quick there."""
        self._brokered: bool | None = None
        """Whether the bus is dbus-broker; None: we haven't asked."""
        self._waiting = False
        """The spare connection is in the queue for our names."""
        self._left = LeftBehind(self._methods.serves)
        self._named = False
        self._new = False
        """The connection replaced one from which the bus no longer read, and the bus hasn't been
        seen to read from it yet."""
        self.on_blocked: Callable[[int | None], None] = lambda _: None
        """Called when a connection was dropped because the bus no longer read from it, with the
        user that probably doesn't read its answers; None: no user is known to owe any."""
        self._said = ""
        """The last error that was logged because we are not on the bus; "": none since we were."""

    @property
    def connected(self) -> bool:
        """Whether we are on the bus, under our name."""
        return self._named and self._connection is not None and self._connection.alive

    async def start(self, first: Publication) -> None:
        """Set the state ``first``, connect to the bus, and own our name.

        Then send signals for all that ``first`` has, as publish() does. If there is no bus, log
        that and return: keep() tries again. Raise RefusedError where the bus refuses the name, or
        another program has it, or another service watches the same pluto.
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
        """Wait at most a second until the kernel has accepted all signals, then leave the bus."""
        self._methods.forget()
        await self._drop_spare()
        await self._left.close()
        if self._connection is not None:
            await self._connection.flush(within=1.0)
            await self._connection.close()
            self._connection = None

    async def publish(self, news: Publication) -> None:
        """Use a new state in all answers from now on, and send signals for what has changed.

        Return once all signals were passed to the connection; without one, none are sent. Between
        batches of them other tasks run. The caller must wait for one call to return before the
        next.
        """
        await self._announce(self._objects.apply(news))

    async def _announce(self, announcements: Iterable[Announcement]) -> None:
        """Send signals while there is a connection. Yield to the event loop after each BATCH."""
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
        """Pass a connection's incoming calls, and the sizes of messages sent on it, to Methods."""
        connection.on_call = self._methods.called
        connection.on_sent = self._methods.sent

    async def _use(self, connection: BusConnection) -> None:
        """Use a connection from now on, and own our names on it. Raise RefusedError, BusError.

        It is closed if that fails.
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
        """Own the bus name of our pluto's socket, so that no other service watches it.

        Return the name in a list. The list is empty where there is no socket to reserve, or the bus
        has a policy of an earlier release, which doesn't allow such names. Raise RefusedError if
        another service owns it, and BusError.
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
        """Return the error for ``name``, that of our pluto's socket, which another program owns.

        It says whether that is another service, or one of our own name. Raise BusError.
        """
        who = await _called(connection, await owner_of_name(connection, name))
        if who == self._name:
            return _somebody_else(who)
        socket = clean(self._control_socket)
        text = f"{who or 'another ipsecwatch'} watches the pluto at {socket} already"
        return SocketTakenError(text, "Set a different control_socket for each service")

    async def keep(self) -> None:
        """Connect again whenever the connection is lost, until cancelled. Called after start()."""
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
        """Wait until a connection is lost, or was replaced by another one.

        Meanwhile keep a spare connection on dbus-broker, move our name to it when calls wait too
        long in the bus, and open a new connection when the bus stops reading.
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
        """Open a spare connection if the bus is dbus-broker, else return at once.

        Retry until that succeeds.
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
        """Open the spare connection, and queue it for our names.

        Drop ``connection`` if the bus gave our name to a connection that isn't ours.
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
        """Return the spare connection if it is alive and queued for our names, else None."""
        spare = self._spare
        return spare if spare is not None and spare.alive and self._waiting else None

    async def _drop_spare(self) -> None:
        if self._spare is not None:
            await self._spare.close()
        self._spare, self._waiting = None, False

    def _moved(self, old: BusConnection) -> bool:
        """Move our names to the spare connection, for which no messages wait in the bus.

        The calls to the old connection are read later. Return False if there is no spare one.
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
        """Replace a connection from which the bus no longer reads. Return whether it was dropped.

        dbus-daemon stops reading when others haven't read too much of what we sent. A new
        connection mends that at once. A bus that hangs accepts none: then the old one is kept; also
        if the bus reads again. If the new one can't own our names, keep() opens another one.
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

        Then the fault may be ours, and the service no longer counts as alive.
        """
        connection = self._connection
        return self._new and connection is not None and connection.stalled() > STUCK


async def _own_name(connection: BusConnection, name: str) -> None:
    """Own our name on the bus. Raise RefusedError if that is denied or taken, and BusError."""
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
    """Request a name, several times if it is taken. Return whether we own it. Raise BusError.

    The bus may not have noticed yet that the previous owner has disconnected.
    """
    for pause in (*PREDECESSOR, None):
        if await request_name(connection, name):
            return True
        if pause is not None:
            await asyncio.sleep(pause)
    return False


async def _called(connection: BusConnection, owner: str) -> str:
    """Return the ipsecwatch service's name that the connection ``owner`` has; "": it has none.

    Raise BusError.
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
