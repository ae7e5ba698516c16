# SPDX-License-Identifier: MIT
"""Which calls are answered, and when: bounded for each caller, for each user, and for all.

A call whose answer may be large, or take its time, is admitted first. Its caller's user has to be
known for that, which the bus is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import BusError, LostError, TooLargeError
from ipsecwatch.dbus.names import STANDARD_ERROR
from ipsecwatch.service.fair_lock import FairLock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 4096
"""Calls that may wait for their answer at a time, of all callers together but root's."""
MAX_WAITING_USER: Final = 128
"""The same for all callers of one user but root. So one user can't keep others out."""
MAX_WAITING_EACH: Final = 8
"""The same for one caller. The bus itself bounds how many connections one user has."""
MAX_UNKNOWN: Final = 1024
"""Callers whose user the bus may be asked for at a time; and how many of them are remembered."""
LONG: Final = 0.1
"""Seconds of waiting after which a caller may well have hung up."""


class Refusal(Exception):  # noqa: N818 - an answer like others
    """An error that a caller gets. The text is shown to people."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class CallerGoneError(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that was admitted, and whose it is."""

    connection: BusConnection
    call: Call
    uid: int
    held: AsyncExitStack
    """What is entered there is left when the answer is sent."""


Serve = Callable[[Request], Coroutine[Any, Any, None]]
"""What answers a request."""


@dataclass(frozen=True, slots=True)
class _UnknownCaller:
    """A caller whose user isn't known yet. Of those many may come, and be gone when it is."""

    lookup: asyncio.Task[int | None]
    calls: list[tuple[Call, Serve]] = field(default_factory=list)
    """With what answers each of them."""


class Admission:
    """Admits calls. Bus errors that it meets are the callers' loss, and nobody else's."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: Counter[str | int] = Counter()
        self._lock = FairLock()
        self._users: OrderedDict[str, int] = OrderedDict()
        self._unknown: dict[str, _UnknownCaller] = {}

    def submit(
        self,
        connection: BusConnection,
        call: Call,
        serve: Serve,
    ) -> None:
        """Have ``serve`` answer a call as soon as it is admitted. Raise Refusal."""
        sender = call.sender
        if self._waiting[sender] >= MAX_WAITING_EACH:
            raise too_many()
        if (uid := self._users.get(sender)) != 0 and len(self._tasks) >= MAX_WAITING:
            raise too_many()
        if uid is not None:
            self._waiting[sender] += 1
            self._begin(connection, call, serve, uid)
        elif sender in self._unknown or len(self._unknown) < MAX_UNKNOWN:
            self._waiting[sender] += 1
            self._look_up(connection, call, serve)
        else:
            raise too_many()

    def forget(self) -> None:
        """Give up what is being answered: the callers' bus is gone, and so are its names."""
        for task in (*self._tasks, *(c.lookup for c in self._unknown.values())):
            task.cancel()
        self._users.clear()

    async def wait_for_room(self, request: Request) -> None:
        """Wait for one's turn to make a large answer; it lasts until the answer is sent.

        Until there is room for it, or a few callers could fill our memory; and until others had
        their turn, or they could keep us busy with nothing else.
        """
        sender = request.call.sender
        began = time.monotonic()
        await request.held.enter_async_context(self._lock.hold(request.uid, sender))
        if time.monotonic() - began > LONG and await _user_of(request.connection, sender) is None:
            raise CallerGoneError
        await request.connection.room()
        await asyncio.sleep(0)

    def _look_up(
        self,
        connection: BusConnection,
        call: Call,
        serve: Serve,
    ) -> None:
        """Find out whose call it is; until then it is nothing but kept."""
        sender = call.sender
        if (caller := self._unknown.get(sender)) is None:
            lookup = asyncio.create_task(_user_of(connection, sender))
            caller = self._unknown[sender] = _UnknownCaller(lookup)
            lookup.add_done_callback(lambda _: self._looked_up(connection, sender))
        caller.calls.append((call, serve))

    def _looked_up(self, connection: BusConnection, sender: str) -> None:
        """Begin to answer a caller whose user is known now; nobody where there is no user."""
        caller = self._unknown.pop(sender)
        lookup = caller.lookup
        uid = None if lookup.cancelled() else lookup.result()
        if uid is not None:
            # A unique name is nobody else's as long as the bus lives.
            self._users[sender] = uid
            if len(self._users) > MAX_UNKNOWN:
                self._users.popitem(last=False)
        for call, serve in caller.calls:
            if uid is None:
                self._count_down(sender)
            else:
                self._begin(connection, call, serve, uid)

    def _begin(
        self,
        connection: BusConnection,
        call: Call,
        serve: Serve,
        uid: int,
    ) -> None:
        task = asyncio.create_task(self._serve(connection, call, serve, uid))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._served(task, call.sender))

    def _served(self, task: asyncio.Task[None], sender: str) -> None:
        self._tasks.discard(task)
        self._count_down(sender)

    def _count_down(self, who: str | int) -> None:
        self._waiting[who] -= 1
        if not self._waiting[who]:
            del self._waiting[who]

    async def _serve(
        self,
        connection: BusConnection,
        call: Call,
        serve: Serve,
        uid: int,
    ) -> None:
        with refusing(connection, call):
            try:
                async with self._admitted(connection, call, uid) as request:
                    await serve(request)
            except (LostError, CallerGoneError):
                logger.debug("the caller of %s is gone", call.member)

    @asynccontextmanager
    async def _admitted(
        self, connection: BusConnection, call: Call, uid: int
    ) -> AsyncGenerator[Request]:
        """Count a call among its user's. Raise Refusal."""
        if uid != 0 and self._waiting[uid] >= MAX_WAITING_USER:
            raise too_many()
        self._waiting[uid] += 1
        try:
            async with AsyncExitStack() as held:
                yield Request(connection, call, uid, held)
        finally:
            self._count_down(uid)


@contextmanager
def refusing(connection: BusConnection, call: Call) -> Iterator[None]:
    """Tell the caller what goes wrong in the context. No trace: those name paths and values."""
    try:
        yield
    except Refusal as e:
        connection.error(call, e.name, str(e))
    except TooLargeError:
        text = "the answer is too large for one message; ask for less, with offset and limit"
        connection.error(call, STANDARD_ERROR + "LimitsExceeded", text)
    except Exception:
        logger.exception("answering %s", call.member)
        text = "internal error; the service's log tells more"
        connection.error(call, STANDARD_ERROR + "Failed", text)


def too_many() -> Refusal:
    """Return what a caller is told who asks for more than is admitted."""
    text = "too many calls wait for their answer already; try again later"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


async def _user_of(connection: BusConnection, sender: str) -> int | None:
    """Ask the bus who somebody on it is; None: he isn't there any more."""
    try:
        reply = await connection.call_bus("GetConnectionUnixUser", "s", sender)
    except BusError:
        return None
    uid = reply.body[0]
    return uid if isinstance(uid, int) else None
