# SPDX-License-Identifier: MIT
"""Which calls are answered, and when: bounded for each caller, for each user, and for all.

A call whose answer may be large, or take its time, is admitted first. Its caller's user has to be
known for that, which the bus is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import (
    BUS,
    BUS_PATH,
    ROOM,
    BusError,
    ErrorReplyError,
    LostError,
    NoReplyError,
    TooLargeError,
)
from ipsecwatch.dbus.introspection import PEER
from ipsecwatch.dbus.names import STANDARD_ERROR
from ipsecwatch.service.fair_lock import FairLock
from ipsecwatch.service.unread import MAX_REFUSALS, Unread

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
MAX_KEPT: Final = 128
"""Calls of one caller that are kept until his user is known; dbus-daemon passes no more of one."""
CALM: Final = 16 << 10
"""Bytes in flight up to which other users but root are sent large answers: signals come behind
them, and a bus that is kept busy reads slowly from us."""
BUSY: Final = 64 << 10
"""Bytes in flight past which other users but root are sent no refusals any more."""
MAX_QUESTIONS: Final = 32
"""Users that may be asked at a time to show that they read. The bus bounds how many answers we wait
for (dbus-daemon: 128), and polkit's are among them."""
LOOKUP: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds that the bus has to say whose call it is before it is asked again; the last for ever."""
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


Answer = Callable[[int], None]
"""What answers a call at once, or begins to, for the user with this id."""


@dataclass(slots=True)
class _UnknownCaller:
    """A caller whose user isn't known yet. Of those many may come, and be gone when it is."""

    lookup: asyncio.Task[int | None]
    calls: list[tuple[BusConnection, Call, Answer]] = field(default_factory=list)
    """With where each came in, and what answers it."""
    refused: int = 0
    """Calls that were too many."""


class Admission:
    """Admits calls. Bus errors that it meets are the callers' loss, and nobody else's."""

    def __init__(self) -> None:
        self.unread = Unread()
        self._asking: tuple[BusConnection, ...] = ()
        self._tasks: dict[asyncio.Task[None], BusConnection] = {}
        self._waiting: Counter[str | int] = Counter()
        self._lock = FairLock()
        self._users: OrderedDict[str, int] = OrderedDict()
        self._unknown: dict[str, _UnknownCaller] = {}
        self._questions: set[asyncio.Task[None]] = set()

    def use(self, *connections: BusConnection) -> None:
        """Ask the bus, and those who owe, through the first of these that is there still."""
        self._asking = connections
        for question in self._questions:
            question.cancel()

    def _to_ask_through(self) -> BusConnection | None:
        return next((c for c in self._asking if c.alive), None)

    def serves(self, connection: BusConnection) -> bool:
        """Return whether somebody waits for an answer on this connection."""
        unknown = (c for caller in self._unknown.values() for c, _, _ in caller.calls)
        return any(c is connection for c in (*self._tasks.values(), *unknown))

    def admit(self, connection: BusConnection, call: Call, answer: Answer) -> None:
        """Have ``answer`` called once the caller's user is known, if he may be answered.

        Calls of one caller keep their order. What goes wrong in ``answer`` is told to the caller.
        """
        uid = self._users.get(call.sender)
        if uid is not None and call.sender not in self._unknown:
            self._admit(connection, call, answer, uid)
        else:
            self._look_up(connection, call, answer)

    def ignores(self, sender: str) -> bool:
        """Return whether a call would be left without an answer, so that it needn't be read.

        It comes first of all that is done about a call: some users call 50,000 times a second.
        """
        if uid := self._users.get(sender):
            return self.unread.silent(uid, _now())
        caller = self._unknown.get(sender)
        return caller is not None and caller.refused >= MAX_REFUSALS

    def spawn(self, connection: BusConnection, call: Call, serve: Serve, uid: int) -> None:
        """Have ``serve`` answer a call in a task of its own. Raise Refusal."""
        sender = call.sender
        if self._waiting[sender] >= MAX_WAITING_EACH:
            raise too_many()
        if uid != 0 and len(self._tasks) >= MAX_WAITING:
            raise too_many()
        self._waiting[sender] += 1
        task = asyncio.create_task(self._serve(connection, call, serve, uid))
        self._tasks[task] = connection
        task.add_done_callback(lambda task: self._served(task, sender))

    def sent(self, to: str, size: int) -> None:
        """Take note of an answer that was sent, and see to it that its receiver reads."""
        if uid := self._users.get(to):  # neither unknown, nor root
            self.unread.sent(uid, to, size, _now())
            self._ask_to_read(uid)

    def forget(self, *, debts: bool = True) -> None:
        """Give up what is being answered: the callers' bus is gone, and so are its names.

        Without ``debts`` what was sent stays counted: it is the same bus, and we are new on it.
        """
        lookups = (c.lookup for c in self._unknown.values())
        for task in (*self._tasks, *lookups, *self._questions):
            task.cancel()
        self._users.clear()
        if debts:
            self.unread.clear()

    async def wait_for_room(self, request: Request) -> None:
        """Wait for one's turn to make a large answer; it lasts until the answer is sent.

        Until there is room for it, or a few callers could fill our memory; and until others had
        their turn, or they could keep us busy with nothing else. Raise Refusal, CallerGoneError.
        """
        connection, uid = request.connection, request.uid
        most = ROOM if uid == 0 else CALM
        began = _now()
        while True:
            # Not with the lock in hand: root must not wait for room that others have to have.
            await connection.room(most)
            await request.held.enter_async_context(self._lock.hold(uid, request.call.sender))
            if connection.in_flight <= most:
                break
            await request.held.aclose()
        if _now() - began > LONG and await self._user_of(request.call.sender) is None:
            raise CallerGoneError
        if uid != 0 and not self.unread.may_answer(uid, _now()):
            raise owes_too_much()  # by now: it had several answers made at once
        await asyncio.sleep(0)

    def _admit(self, connection: BusConnection, call: Call, answer: Answer, uid: int) -> None:
        if uid == 0 or self.unread.may_answer(uid, _now()):
            with self._refusing(connection, call, uid):
                answer(uid)
        else:
            self._refuse(connection, call, uid, owes_too_much())

    @contextmanager
    def _refusing(self, connection: BusConnection, call: Call, uid: int) -> Iterator[None]:
        """Tell the caller what goes wrong in the context. No trace: those name paths and values."""
        try:
            yield
        except Refusal as e:
            self._refuse(connection, call, uid, e)
        except TooLargeError:
            text = "the answer is too large for one message; ask for less, with offset and limit"
            self._refuse(connection, call, uid, Refusal(STANDARD_ERROR + "LimitsExceeded", text))
        except (LostError, CallerGoneError):
            logger.debug("the caller of %s is gone", call.member)
        except Exception:
            logger.exception("answering %s", call.member)
            text = "internal error; the service's log tells more"
            self._refuse(connection, call, uid, Refusal(STANDARD_ERROR + "Failed", text))

    def _refuse(self, connection: BusConnection, call: Call, uid: int, refusal: Refusal) -> None:
        """Tell a caller of a refusal, unless he had enough of them, or the bus is far behind."""
        if uid == 0 or (self.unread.may_refuse(uid, _now()) and connection.in_flight < BUSY):
            connection.error(call, refusal.name, str(refusal))
        self._ask_to_read(uid)

    def _look_up(self, connection: BusConnection, call: Call, answer: Answer) -> None:
        """Find out whose call it is; until then it is kept, or refused where there are too many."""
        sender = call.sender
        caller = self._unknown.get(sender)
        if caller is None and len(self._unknown) < MAX_UNKNOWN:
            lookup = asyncio.create_task(self._user_of(sender))
            caller = self._unknown[sender] = _UnknownCaller(lookup)
            lookup.add_done_callback(lambda _: self._looked_up(sender))
        if caller is not None and len(caller.calls) < MAX_KEPT:
            caller.calls.append((connection, call, answer))
            return
        if caller is not None:
            caller.refused += 1
        error = too_many()
        connection.error(call, error.name, str(error))

    def _looked_up(self, sender: str) -> None:
        """Begin to answer a caller whose user is known now; nobody where there is no user."""
        caller = self._unknown.pop(sender)
        uid = None if caller.lookup.cancelled() else caller.lookup.result()
        if uid is None:
            return
        # A unique name is nobody else's as long as the bus lives.
        self._users[sender] = uid
        if len(self._users) > MAX_UNKNOWN:
            self._users.popitem(last=False)
        for connection, call, answer in caller.calls:
            self._admit(connection, call, answer, uid)

    async def _user_of(self, sender: str) -> int | None:
        """Ask the bus who somebody on it is; None: he isn't there any more, or the bus isn't.

        An answer may come late, behind what others sent us; who asked isn't given up for that.
        """
        for within in chain(LOOKUP, repeat(LOOKUP[-1])):
            if (connection := self._to_ask_through()) is None:
                return None
            try:
                reply = await connection.call(
                    BUS, BUS_PATH, BUS, "GetConnectionUnixUser", "s", [sender], within=within
                )
            except NoReplyError:
                continue
            except BusError:
                return None
            uid = reply.body[0]
            return uid if isinstance(uid, int) else None
        raise AssertionError

    # --- unread answers -------------------------------------------------------------------

    def _ask_to_read(self, uid: int) -> None:
        """Have a connection of a user's show that it reads, if he owes enough."""
        connection = self._to_ask_through()
        if connection is None or len(self._questions) >= MAX_QUESTIONS:
            return
        if (to := self.unread.to_ask(uid)) is not None:
            task = asyncio.create_task(self._ping(connection, to, uid), name=f"ping {to}")
            self._questions.add(task)
            task.add_done_callback(self._questions.discard)

    async def _ping(self, connection: BusConnection, to: str, uid: int) -> None:
        """Wait for an answer, for as long as it takes: the bus counts the question that long."""
        try:
            await connection.call(to, "/", PEER, "Ping", within=None)
        except ErrorReplyError as e:
            if e.sender != BUS:
                self.unread.answered(uid)  # an answer, too
            elif e.name == STANDARD_ERROR + "AccessDenied":
                logger.debug("the bus lets us ask nobody whether he reads: %s", e)
                # It stays asked; what is owed is forgiven in time.
            else:
                self.unread.answered(uid, gone=True)
        except (BusError, asyncio.CancelledError):
            self.unread.not_asked(uid)
        else:
            self.unread.answered(uid)

    def _served(self, task: asyncio.Task[None], sender: str) -> None:
        del self._tasks[task]
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
        with self._refusing(connection, call, uid):
            async with self._admitted(connection, call, uid) as request:
                await serve(request)

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


def too_many() -> Refusal:
    """Return what a caller is told who asks for more than is admitted."""
    text = "too many calls wait for their answer already; try again later"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


def owes_too_much() -> Refusal:
    """Return what a caller is told whose user doesn't read what he is sent."""
    text = "you have not read what you were sent; wait 1 to 5 s, then try again"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


def _now() -> float:
    return asyncio.get_running_loop().time()
