# SPDX-License-Identifier: MIT
"""Limits on the calls that are answered: for each caller, for each user, and for all together.

A caller is one connection to the bus; one user (a user id of the system) may have several. Before
the first call of a caller is answered, the bus is asked for the caller's user. Calls whose answer
may be large, or take long, are answered in tasks, whose number is limited.
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
"""Calls that may wait for their answers in tasks at a time, from all callers together. Root's calls
are counted, but never refused because of this limit."""
MAX_WAITING_USER: Final = 128
"""Calls of one user's callers that may wait in tasks at a time, so that one user can't block the
others. Root has no such limit."""
MAX_WAITING_EACH: Final = 8
"""Calls of one caller, root's included, that may wait in tasks at a time. The bus limits how many
callers a user may have."""
MAX_UNKNOWN: Final = 1024
"""Callers whose users may be asked for at a time. Also the number of callers whose users are
remembered: if there are more, the one that was learnt first is forgotten."""
MAX_KEPT: Final = 128
"""Calls of one caller that are kept until its user is known; further calls are refused. dbus-daemon
passes on no more than so many unanswered calls of one caller."""
CALM: Final = 16 << 10
"""A large answer for a user other than root is made only once the bus has at most so many bytes
unread from us: signals wait behind such answers, and a busy bus reads slowly from us."""
BUSY: Final = 64 << 10
"""While the bus has so many bytes or more unread from us, no refusal is sent to a caller whose user
is known and isn't root."""
MAX_QUESTIONS: Final = 32
"""Pings that may wait for an answer at a time; no user has more than one. A ping finds out whether
the user's programs read. The bus limits the answers that we wait for (dbus-daemon: 128), and
polkit's are among them."""
LOOKUP: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds after which, while the bus hasn't named a caller's user yet, it is asked also on a newer
connection of ours, if there is one by then. The last pause is repeated."""
_LOST: Final = -1
"""In the place of a user id: our connection was lost before the bus had named the user."""
_FIRST: Final = asyncio.FIRST_COMPLETED
LONG: Final = 0.1
"""Seconds. If a call had to wait longer than this for its large answer to be made, the bus is asked
first whether the caller is still there."""


class Refusal(Exception):  # noqa: N818 - an answer like others
    """Raised to refuse a call: the caller is sent an error with this D-Bus name and this text."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class CallerGoneError(Exception):
    """The caller has left the bus, or we have lost the bus: the answer isn't needed any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call that was admitted, the connection on which it came, and its caller's user id."""

    connection: BusConnection
    call: Call
    uid: int
    held: AsyncExitStack
    """Contexts that are exited once the answer was sent or given up. wait_for_room() adds its lock
    here, which is released by that."""


Serve = Callable[[Request], Coroutine[Any, Any, None]]
"""A coroutine function that answers a request."""


Answer = Callable[[int], None]
"""A function that is called with the caller's user id, and answers one call, or starts a task for
that. It may raise Refusal."""


@dataclass(slots=True)
class _UnknownCaller:
    """A caller whose user isn't known yet, and its calls, which wait until the user is known."""

    lookup: asyncio.Task[int | None]
    calls: list[tuple[BusConnection, Call, Answer]] = field(default_factory=list)
    """The calls that wait, each with our connection on which it came, and the function to answer
    it."""
    refused: int = 0
    """The number of further calls that were refused, because MAX_KEPT calls wait already."""


class Admission:
    """Admits or refuses calls, by the limits above and by what the user hasn't read (unread.py).

    If the bus reports an error about one caller, the calls of others aren't affected.
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
        """Use these connections, from now on, to ask the bus for users (lookups) and to send pings.

        Each lookup and each ping uses the first of them that is open when it begins. Pings that
        wait for an answer are cancelled. Lookups go on, and may soon ask on one of these
        connections as well.
        """
        self._asking = connections
        for question in self._questions:
            question.cancel()

    def _asking_connection(self) -> BusConnection | None:
        """Return the first connection given to use() that is open now; None: none is open."""
        return next((c for c in self._asking if c.alive), None)

    def serves(self, connection: BusConnection) -> bool:
        """Return whether any call that came in on this connection isn't answered yet.

        Such a call waits until the bus names its user, or is being answered in a task.
        """
        unknown = (c for caller in self._unknown.values() for c, _, _ in caller.calls)
        return any(c is connection for c in (*self._tasks.values(), *unknown))

    def admit(self, connection: BusConnection, call: Call, answer: Answer) -> None:
        """Call ``answer`` with the id of the caller's user once that is known, perhaps at once.

        Calls of one caller keep their order. The caller gets an error instead if its user (except
        root) has too much unread, or if too many calls wait for users to be known. It also gets an
        error if ``answer`` raises. If the caller has left the bus before its user is known, its
        calls are dropped.
        """
        uid = self._users.get(call.sender)
        if uid is not None and call.sender not in self._unknown:
            self._admit(connection, call, answer, uid)
        else:
            self._look_up(connection, call, answer)

    def ignores(self, sender: str) -> bool:
        """Return whether a caller's calls are skipped at present, without an answer or an error.

        If its user is known and isn't root, they are skipped for SILENT seconds after each refusal
        that wasn't sent because the user had been sent MAX_REFUSALS of them (unread.py). While its
        user isn't known, they are skipped once MAX_REFUSALS calls of this caller were refused. This
        is the first check of each call, and must be fast: some users call 50,000 times a second.
        """
        if uid := self._users.get(sender):
            return self.unread.silent(uid, _now())
        caller = self._unknown.get(sender)
        return caller is not None and caller.refused >= MAX_REFUSALS

    def spawn(self, connection: BusConnection, call: Call, serve: Serve, uid: int) -> None:
        """Start a task in which ``serve`` answers a call of the user ``uid``.

        Raise Refusal if MAX_WAITING_EACH calls of this caller wait already, or, unless the user is
        root, MAX_WAITING calls in all. The limit of the user is checked in the task.
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
        """Count a message of ``size`` bytes, sent to the caller ``to``, as unread by its user.

        If the user has much unread now (Unread.to_ask()), ping the one of its connections that has
        most unread, to find out whether it reads. Do nothing if the user is root, or isn't known.
        """
        if uid := self._users.get(to):  # neither unknown, nor root
            self.unread.sent(uid, to, size, _now())
            self._ask_to_read(uid)

    def forget(self, *, debts: bool = True) -> None:
        """Cancel all answers, lookups and pings, and forget the users of all callers.

        Called when our connection is lost or closed. Also forget how much each user hasn't read,
        unless ``debts=False``: that is for a new connection to the same bus, which still holds what
        is unread.
        """
        lookups = (c.lookup for c in self._unknown.values())
        for task in (*self._tasks, *lookups, *self._questions):
            task.cancel()
        self._users.clear()
        if debts:
            self.unread.clear()

    async def wait_for_room(self, request: Request) -> None:
        """Wait until a large answer may be made for a request. Only one is made at a time.

        That is, wait until the bus has read enough of what was sent before, so that a few callers
        can't fill our memory; and wait for a lock, which users and callers get in turn, so that
        none of them can keep us busy alone. The lock is held until the answer was sent or given up.

        Raise Refusal if the user, except root, has too much unread by then, CallerGoneError if the
        caller left the bus during a long wait, and LostError if our connection is lost.
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
        """Reply to a call of the user ``uid``, or refuse it if the user has too much unread.

        Calls of root are never refused for that.
        """
        if uid == 0 or self.unread.may_answer(uid, _now()):
            with self._refusing(connection, call, uid):
                answer(uid)
        else:
            self._refuse(connection, call, uid, owes_too_much())

    @contextmanager
    def _refusing(self, connection: BusConnection, call: Call, uid: int) -> Iterator[None]:
        """Catch any exception that the context raises, and send the caller an error for it.

        A Refusal is sent as it is. An unexpected exception is logged, and sent as "internal error",
        since its text and traceback could reveal paths and values. Nothing is sent for LostError
        (our connection is gone) and CallerGoneError.
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
        """Send a caller the error ``refusal``. Then ping its user if that has much unread.

        Root is always sent the error. Another user isn't sent it if it was sent MAX_REFUSALS of
        them since it last showed that it reads, or while the bus has BUSY bytes unread from us.
        """
        if uid == 0 or (self.unread.may_refuse(uid, _now()) and connection.in_flight < BUSY):
            connection.error(call, refusal.name, str(refusal))
        self._ask_to_read(uid)

    def _look_up(self, connection: BusConnection, call: Call, answer: Answer) -> None:
        """Ask the bus for a caller's user, and keep the call until the user is known.

        If the bus is being asked already, only keep the call. Refuse the call at once if MAX_KEPT
        calls of this caller are kept, or MAX_UNKNOWN other callers are asked for, already.
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
        """Remember the user that the bus has named for a caller, and admit the calls that waited.

        If the caller is gone, or the question was cancelled, drop these calls.
        """
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
        """Return the user id of the connection ``sender``, as the bus knows it.

        None: the connection has left the bus, or we have lost the bus. The bus's answer may be
        late, because messages from others come before it. Then the bus is asked on a newer
        connection of ours as well, as soon as we have one. The bus isn't asked twice on the same
        connection: questions about many callers would keep it from reading our signals.
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
        """Ping the user's connection that Unread.to_ask() names, to find out whether it reads.

        Do nothing if to_ask() names none, if MAX_QUESTIONS pings wait for an answer, or if we have
        no open connection.
        """
        connection = self._asking_connection()
        if connection is None or len(self._questions) >= MAX_QUESTIONS:
            return
        if (to := self.unread.to_ask(uid)) is not None:
            task = asyncio.create_task(self._ping(connection, to, uid), name=f"ping {to}")
            self._questions.add(task)
            task.add_done_callback(self._questions.discard)

    async def _ping(self, connection: BusConnection, to: str, uid: int) -> None:
        """Ping ``to``, a connection of the user ``uid``, and record in ``unread`` what comes back.

        Any answer of ``to`` shows that it has read what was sent before. An error from the bus
        shows that ``to`` is gone; but if the bus doesn't allow the ping, nothing is recorded. If we
        lose our ``connection``, or the ping is cancelled, record that there was no ping. There is
        no time limit: after one, the bus would still count the call as open.
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
        """Make ``serve`` reply to a call, in the task that spawn() started.

        Send an error instead if too many calls of the user wait, or if ``serve`` raises.
        """
        with self._refusing(connection, call, uid):
            async with self._admitted(connection, call, uid) as request:
                await serve(request)

    @asynccontextmanager
    async def _admitted(
        self, connection: BusConnection, call: Call, uid: int
    ) -> AsyncGenerator[Request]:
        """Yield the Request for a call. The call counts as waiting until the context ends.

        Raise Refusal if MAX_WAITING_USER calls of the user ``uid`` wait already, unless the user is
        root.
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
    """Return the Refusal of a call for which too many calls wait for their answers already."""
    text = "too many calls are waiting for an answer; try again later"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


def owes_too_much() -> Refusal:
    """Return the Refusal of a call whose user has left too much unread of what it was sent."""
    text = "your programs have not read earlier answers; wait 1 to 5 s, then try again"
    return Refusal(STANDARD_ERROR + "LimitsExceeded", text)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _named_user(connection: BusConnection, sender: str) -> int | None:
    """Ask the bus, on our ``connection``, for the user id of the connection ``sender``; return it.

    None: ``sender`` has left the bus. _LOST: our connection was lost. There is no time limit.
    """
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
