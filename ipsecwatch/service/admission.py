# SPDX-License-Identifier: MIT
"""Limits on the calls that are answered: for each caller, for each user, and for all together.

A caller is one connection to the bus, and a user may have several. Each caller's user id is asked
of the bus first. Calls whose answer may be large, or take long, are answered in tasks, whose number
is limited.
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

from ipsecwatch.dbus.connection import BUS, BUS_PATH
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, LostError, TooLargeError
from ipsecwatch.dbus.names import PEER, STANDARD_ERROR
from ipsecwatch.dbus.send_queue import ROOM
from ipsecwatch.service.fair_lock import FairLock
from ipsecwatch.service.unread import MAX_REFUSALS, Unread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 4096
"""Calls that may wait for their answer in tasks at a time. Root's calls count, but this limit
doesn't apply to them."""
MAX_WAITING_USER: Final = 128
"""The same for all callers of one user except root, so that one user can't block others."""
MAX_WAITING_EACH: Final = 8
"""The same for one caller, also for one of root. The bus limits the connections of one user."""
MAX_UNKNOWN: Final = 1024
"""Callers whose user id may be asked for at a time; also the callers whose ids are remembered, of
which the one that was learnt first is forgotten first."""
MAX_KEPT: Final = 128
"""Calls of one caller that are kept until its user is known; dbus-daemon passes on no more calls of
one caller that wait for an answer."""
CALM: Final = 16 << 10
"""A large answer to another user than root is made only once the bus has at most so many bytes
unread from us: signals wait behind such answers, and a busy bus reads slowly from us."""
BUSY: Final = 64 << 10
"""No refusal is sent to another user than root while the bus has so many bytes unread from us."""
MAX_QUESTIONS: Final = 32
"""Users that may be pinged at a time to show that they read. The bus limits the answers that we
wait for (dbus-daemon: 128), and polkit's are among them."""
LOOKUP: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds that the bus has to name a caller's user before a newer connection of ours is asked as
well; the last repeats."""
_LOST: Final = -1
"""No user's id: the connection was lost that asked for it."""
_FIRST: Final = asyncio.FIRST_COMPLETED
LONG: Final = 0.1
"""If a call waited for its turn for more seconds than this, it is checked whether the caller is
still on the bus, before a large answer is made."""


class Refusal(Exception):  # noqa: N818 - an answer like others
    """An error that is sent to a caller: a D-Bus error name, and a text for people."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class CallerGoneError(Exception):
    """The caller has left the bus, or we have lost it: the answer isn't needed any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that was admitted, with its caller's user id."""

    connection: BusConnection
    call: Call
    uid: int
    held: AsyncExitStack
    """Contexts that are exited once the answer was sent: the lock of wait_for_room()."""


Serve = Callable[[Request], Coroutine[Any, Any, None]]
"""A coroutine function that answers a request."""


Answer = Callable[[int], None]
"""A function that answers a call, or starts to, for the user with this id."""


@dataclass(slots=True)
class _UnknownCaller:
    """A caller whose user id isn't known yet, with its calls, which wait for it."""

    lookup: asyncio.Task[int | None]
    calls: list[tuple[BusConnection, Call, Answer]] = field(default_factory=list)
    """Each call with the connection that it came from, and the function that answers it."""
    refused: int = 0
    """The number of further calls, which were refused because MAX_KEPT were kept."""


class Admission:
    """Admits or refuses calls, by the limits above and by what the user hasn't read (unread.py).

    A bus error meanwhile affects only the caller concerned.
    """

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
        """Use these connections for lookups and pings from now on.

        Each lookup and each ping uses the first one that is alive when it begins. Pings that are
        under way are cancelled; lookups go on, and may ask a newer connection as well.
        """
        self._asking = connections
        for question in self._questions:
            question.cancel()

    def _asking_connection(self) -> BusConnection | None:
        """Return the first connection given to use() that is alive now; None: none is."""
        return next((c for c in self._asking if c.alive), None)

    def serves(self, connection: BusConnection) -> bool:
        """Return whether a call on this connection waits for its caller's user or its answer."""
        unknown = (c for caller in self._unknown.values() for c, _, _ in caller.calls)
        return any(c is connection for c in (*self._tasks.values(), *unknown))

    def admit(self, connection: BusConnection, call: Call, answer: Answer) -> None:
        """Call ``answer`` once the caller's user is known. Calls of one caller keep their order.

        Instead, the caller gets an error if its user has too much unread, or if too many calls wait
        for the user to be known; it also gets one if ``answer`` raises. If the caller has left the
        bus by then, its calls are dropped.
        """
        uid = self._users.get(call.sender)
        if uid is not None and call.sender not in self._unknown:
            self._admit(connection, call, answer, uid)
        else:
            self._look_up(connection, call, answer)

    def ignores(self, sender: str) -> bool:
        """Return whether a caller would get no answer at present, so that its call can be skipped.

        That is so for SILENT seconds after a refusal that its user was not even sent (unread.py),
        which never happens to root; and, while its user isn't known, after MAX_REFUSALS refusals of
        this caller. This is the first check of each call, and must be fast: some users call 50,000
        times a second.
        """
        if uid := self._users.get(sender):
            return self.unread.silent(uid, _now())
        caller = self._unknown.get(sender)
        return caller is not None and caller.refused >= MAX_REFUSALS

    def spawn(self, connection: BusConnection, call: Call, serve: Serve, uid: int) -> None:
        """Start a task in which ``serve`` answers a call.

        Raise Refusal if too many calls wait: of this caller, or, except for root, in all.
        """
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
        """Count a message of ``size`` bytes, sent to the connection ``to``, as unread by its user.

        Then ping the user's connection with most unread bytes, if the user has much unread. Nothing
        is done for root, nor for a connection whose user isn't known.
        """
        if uid := self._users.get(to):  # neither unknown, nor root
            self.unread.sent(uid, to, size, _now())
            self._ask_to_read(uid)

    def forget(self, *, debts: bool = True) -> None:
        """Cancel all answers, lookups and pings, and forget the callers: our connection is lost.

        The count of what each user hasn't read is forgotten too, unless ``debts=False``: that is
        for a new connection to the same bus, which still holds what is unread.
        """
        lookups = (c.lookup for c in self._unknown.values())
        for task in (*self._tasks, *lookups, *self._questions):
            task.cancel()
        self._users.clear()
        if debts:
            self.unread.clear()

    async def wait_for_room(self, request: Request) -> None:
        """Wait until a large answer may be made for a request, and hold the lock until it was sent.

        Wait until the bus has read enough of what was sent before, so that a few callers can't fill
        our memory; and for the lock, which users and callers get in turn, so that none of them can
        keep us busy alone. Raise Refusal if the user has too much unread by then, and
        CallerGoneError if the caller left the bus during a long wait.
        """
        connection, uid = request.connection, request.uid
        most = ROOM if uid == 0 else CALM
        began = _now()
        while True:
            # Without holding the lock: root must not wait for the room that others need.
            await connection.room(most)
            await request.held.enter_async_context(self._lock.hold(uid, request.call.sender))
            if connection.in_flight <= most:
                break
            await request.held.aclose()
        if _now() - began > LONG and await self._user_of(request.call.sender) is None:
            raise CallerGoneError
        if uid != 0 and not self.unread.may_answer(uid, _now()):
            raise owes_too_much()  # since it was admitted: several of its calls waited at once
        await asyncio.sleep(0)

    def _admit(self, connection: BusConnection, call: Call, answer: Answer, uid: int) -> None:
        """Answer a call of a known user, or refuse it if the user has too much unread."""
        if uid == 0 or self.unread.may_answer(uid, _now()):
            with self._refusing(connection, call, uid):
                answer(uid)
        else:
            self._refuse(connection, call, uid, owes_too_much())

    @contextmanager
    def _refusing(self, connection: BusConnection, call: Call, uid: int) -> Iterator[None]:
        """Catch any exception in the context, and send the caller an error instead.

        An unexpected error is logged, and sent as "internal error": its text and traceback could
        reveal paths and values. Nothing is sent if the caller, or our connection,
        is gone.
        """
        try:
            yield
        except Refusal as e:
            self._refuse(connection, call, uid, e)
        except TooLargeError:
            text = (
                "the answer is too large for one message; ask for fewer tunnels: offset and limit"
            )
            self._refuse(connection, call, uid, Refusal(STANDARD_ERROR + "LimitsExceeded", text))
        except (LostError, CallerGoneError):
            logger.debug("the caller of %s is gone", call.member)
        except Exception:
            logger.exception("answering %s", call.member)
            text = "internal error; see the service's log"
            self._refuse(connection, call, uid, Refusal(STANDARD_ERROR + "Failed", text))

    def _refuse(self, connection: BusConnection, call: Call, uid: int, refusal: Refusal) -> None:
        """Send a refusal. Then ping a connection of the user if it has much unread.

        A user other than root is sent no refusal after MAX_REFUSALS of them, until it shows that it
        reads; nor while the bus has BUSY bytes unread from us.
        """
        if uid == 0 or (self.unread.may_refuse(uid, _now()) and connection.in_flight < BUSY):
            connection.error(call, refusal.name, str(refusal))
        self._ask_to_read(uid)

    def _look_up(self, connection: BusConnection, call: Call, answer: Answer) -> None:
        """Ask the bus for a caller's user, and keep the call until then.

        Refuse it at once where too many callers, or calls of this caller, wait for that already.
        """
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
        """Answer the calls that waited for the caller's user. Drop them if the caller is gone."""
        caller = self._unknown.pop(sender)
        uid = None if caller.lookup.cancelled() else caller.lookup.result()
        if uid is None:
            return
        # A bus never gives a unique name to another connection.
        self._users[sender] = uid
        if len(self._users) > MAX_UNKNOWN:
            self._users.popitem(last=False)
        for connection, call, answer in caller.calls:
            self._admit(connection, call, answer, uid)

    async def _user_of(self, sender: str) -> int | None:
        """Return the user id of a connection, as the bus knows it.

        None: the connection has left the bus, or we have lost the bus. The bus's answer may be
        late, because messages from others come before it. Then another connection of ours is asked
        as well, if we have one by then. None is asked twice: the bus answers in order, and
        questions about many callers would keep it from reading our signals.
        """
        asked: dict[BusConnection, asyncio.Task[int | None]] = {}
        try:
            for within in chain(LOOKUP, repeat(LOOKUP[-1])):
                if (connection := self._asking_connection()) is None:
                    return None
                if connection not in asked:
                    asked[connection] = asyncio.create_task(_named_user(connection, sender))
                waiting = [task for task in asked.values() if not task.done()]
                if not waiting:
                    return None
                done, _ = await asyncio.wait(waiting, timeout=within, return_when=_FIRST)
                for task in done:
                    if (uid := task.result()) != _LOST:
                        return uid
        finally:
            for task in asked.values():
                task.cancel()
        raise AssertionError

    # --- unread answers -------------------------------------------------------------------

    def _ask_to_read(self, uid: int) -> None:
        """Ping the user's connection that Unread.to_ask() names: an answer shows that it has read.

        Do nothing if it names none, or if MAX_QUESTIONS pings are under way.
        """
        connection = self._asking_connection()
        if connection is None or len(self._questions) >= MAX_QUESTIONS:
            return
        if (to := self.unread.to_ask(uid)) is not None:
            task = asyncio.create_task(self._ping(connection, to, uid), name=f"ping {to}")
            self._questions.add(task)
            task.add_done_callback(self._questions.discard)

    async def _ping(self, connection: BusConnection, to: str, uid: int) -> None:
        """Ping ``to`` over our ``connection``. Record in ``unread`` that it answered or is gone.

        If we lose our connection, or the ping is cancelled, record that it wasn't delivered. There
        is no time limit: after one, the bus would still count the call as open.
        """
        try:
            await connection.call(to, "/", PEER, "Ping", within=None)
        except ErrorReplyError as e:
            if e.sender != BUS:
                self.unread.answered(uid)  # an answer, too
            elif e.name == STANDARD_ERROR + "AccessDenied":
                logger.debug("the bus lets us ask nobody whether he reads: %s", e)
                # It stays marked as asked; its unread bytes are forgiven after some time.
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
        """Answer a call with ``serve``; with an error if too many wait, or if ``serve`` raises."""
        with self._refusing(connection, call, uid):
            async with self._admitted(connection, call, uid) as request:
                await serve(request)

    @asynccontextmanager
    async def _admitted(
        self, connection: BusConnection, call: Call, uid: int
    ) -> AsyncGenerator[Request]:
        """Yield the Request for a call, which counts as waiting until the context ends.

        Raise Refusal if MAX_WAITING_USER calls of the user wait already, unless it is root.
        """
        if uid != 0 and self._waiting[uid] >= MAX_WAITING_USER:
            raise too_many()
        self._waiting[uid] += 1
        try:
            async with AsyncExitStack() as held:
                yield Request(connection, call, uid, held)
        finally:
            self._count_down(uid)


def too_many() -> Refusal:
    """Return the error for a call that is refused because too many calls wait already."""
    text = "too many calls are waiting for an answer; try again later"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


def owes_too_much() -> Refusal:
    """Return the error for a caller whose user has too much unread."""
    text = "your programs have not read earlier answers; wait 1 to 5 s, then try again"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _named_user(connection: BusConnection, sender: str) -> int | None:
    """Return the user id of a connection; None: it has left the bus; _LOST: ours was lost."""
    try:
        reply = await connection.call(
            BUS, BUS_PATH, BUS, "GetConnectionUnixUser", "s", [sender], within=None
        )
    except LostError:
        return _LOST
    except BusError:
        return None
    uid = reply.body[0]
    return uid if isinstance(uid, int) else None
