# SPDX-License-Identifier: MIT
"""What callers on the bus get: an answer, or the error that tells them what is wrong.

All calls come through one door rather than the library's ServiceInterface, whose every signal and
introspection walks through all exports, and which hides who is calling: with thousands of tunnels
that is no service. What there is to tell is in object_tree.py.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, OrderedDict
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import BusError, LostError, TooLargeError
from ipsecwatch.dbus.introspection import (
    INTROSPECTABLE,
    MANAGER,
    OBJECT_MANAGER,
    PROPERTIES,
    describe,
    interfaces,
)
from ipsecwatch.dbus.marshal import array, entry, joined, marshal
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.report import PlutoState
from ipsecwatch.sanitize import clean
from ipsecwatch.service import polkit
from ipsecwatch.service.details import details
from ipsecwatch.service.fair_lock import Turns
from ipsecwatch.service.polkit import Verdict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call
    from ipsecwatch.service.details import Entry
    from ipsecwatch.service.object_tree import Objects

logger = logging.getLogger(__name__)

MAX_WAITING: Final = 4096
"""Calls that may wait for their answer at a time, of all callers together but root's."""
MAX_WAITING_USER: Final = 128
"""The same for all callers of one user but root. So one user can't keep others out."""
MAX_WAITING_EACH: Final = 8
"""The same for one caller. The bus itself bounds how many connections one user has."""
MAX_STRANGERS: Final = 1024
"""Callers whose user the bus may be asked for at a time; and how many of them are remembered."""
REFRESH_LIMIT: Final = 90.0
"""Seconds that a Refresh may take, with thousands of tunnels or a pluto that is ill."""
LONG: Final = 0.1
"""Seconds of waiting after which a caller may well have hung up."""
BATCH: Final = 100
"""Tunnels that are made ready to be told, or told of, before others get their turn."""
DETAILED: Final = 20
"""The same with all details."""

_STANDARD: Final = "org.freedesktop.DBus.Error."
_OURS: Final = "org.ipsecwatch1.Error."


class _No(Exception):  # noqa: N818 - an answer like others
    """An error that a caller gets. The text is shown to people."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class _GoneError(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A call that takes its time to answer, and whose it is."""

    connection: BusConnection
    call: Call
    uid: int
    turn: AsyncExitStack
    """What is entered there is left when the answer is sent."""


@dataclass(frozen=True, slots=True)
class _Stranger:
    """A caller whose user isn't known yet. Of those many may come, and be gone when it is."""

    lookup: asyncio.Task[int | None]
    calls: list[tuple[Call, str]] = field(default_factory=list)
    """With the interface that each one means."""


_Body = list[Any] | bytes
"""What is answered, or that marshalled already."""


class Answers:
    """Answers calls of all interfaces but Peer.

    ``refresh`` is called for each call of Refresh. It returns when a poll that began after this
    call has been published; callers at the same time are to share one. It may be cancelled.
    """

    def __init__(self, objects: Objects, refresh: Callable[[], Awaitable[None]]) -> None:
        self._objects = objects
        self._refresh = refresh
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: Counter[str | int] = Counter()
        self._turns = Turns()
        self._users: OrderedDict[str, int] = OrderedDict()
        self._strangers: dict[str, _Stranger] = {}
        self._quick: dict[tuple[str, str], Callable[[Call], list[Any]]] = {
            (PROPERTIES, "Get"): self._get,
            (PROPERTIES, "Set"): self._set,
            (PROPERTIES, "GetAll"): self._get_all,
            (MANAGER, "GetTunnel"): self._get_tunnel,
        }
        # What may be large, or take its time. Answered in a task, which knows the caller's user.
        self._slow: dict[tuple[str, str], Callable[[_Asked], Coroutine[Any, Any, _Body]]] = {
            (INTROSPECTABLE, "Introspect"): self._introspect,
            (OBJECT_MANAGER, "GetManagedObjects"): self._get_managed_objects,
            (MANAGER, "GetSnapshot"): self._get_snapshot,
            (MANAGER, "GetDetails"): self._get_details,
            (MANAGER, "Refresh"): self._do_refresh,
        }

    def called(self, connection: BusConnection, call: Call) -> None:
        """Answer a call, or have it answered. Raises nothing."""
        if not call.wants_reply and call.member != "Refresh":
            return
        try:
            interface = self._interface_of(call)
            if (interface, call.member) in self._slow:
                self._spawn(connection, call, interface)
            else:
                answers = interfaces()[interface].methods[call.member].out_signature
                connection.reply(call, answers, self._quick[interface, call.member](call))
        except _No as e:
            connection.error(call, e.name, str(e))
        except Exception:
            logger.exception("answering %s", call.member)
            _internal_error(connection, call)

    def forget(self) -> None:
        """Give up what is being answered: the callers' bus is gone, and so are its names."""
        for task in (*self._tasks, *(s.lookup for s in self._strangers.values())):
            task.cancel()
        self._users.clear()

    def _interface_of(self, call: Call) -> str:
        """Find out which interface is meant, and check that the call fits it. Raises _No."""
        offered = self._objects.interfaces_of(call.path)
        if not offered:
            raise _No(_STANDARD + "UnknownObject", f"there is no object {clean(call.path)}")
        if call.interface is not None and call.interface not in offered:
            text = f"{clean(call.path)} has no interface {call.interface}"
            raise _No(_STANDARD + "UnknownInterface", text)
        for interface in (call.interface,) if call.interface else offered:
            if (method := interfaces()[interface].methods.get(call.member)) is None:
                continue
            if call.signature != method.in_signature:
                text = f"{call.member} takes ({method.in_signature}), not ({call.signature})"
                raise _No(_STANDARD + "InvalidArgs", text)
            return interface
        text = f"{call.interface or clean(call.path)} has no method {call.member}"
        raise _No(_STANDARD + "UnknownMethod", text)

    def _spawn(self, connection: BusConnection, call: Call, interface: str) -> None:
        sender = call.sender
        if self._waiting[sender] >= MAX_WAITING_EACH:
            raise _too_many()
        if (uid := self._users.get(sender)) != 0 and len(self._tasks) >= MAX_WAITING:
            raise _too_many()
        if uid is not None:
            self._waiting[sender] += 1
            self._begin(connection, call, interface, uid)
        elif sender in self._strangers or len(self._strangers) < MAX_STRANGERS:
            self._waiting[sender] += 1
            self._look_up(connection, call, interface)
        else:
            raise _too_many()

    def _look_up(self, connection: BusConnection, call: Call, interface: str) -> None:
        """Find out whose call it is; until then it is nothing but kept."""
        sender = call.sender
        if (stranger := self._strangers.get(sender)) is None:
            stranger = self._strangers[sender] = _Stranger(
                asyncio.create_task(_uid(connection, sender))
            )
            stranger.lookup.add_done_callback(lambda _: self._known(connection, sender))
        stranger.calls.append((call, interface))

    def _known(self, connection: BusConnection, sender: str) -> None:
        """Begin to answer a caller whose user is known now; nobody where there is no user."""
        stranger = self._strangers.pop(sender)
        lookup = stranger.lookup
        uid = None if lookup.cancelled() else lookup.result()
        if uid is not None:
            # A unique name is nobody else's as long as the bus lives.
            self._users[sender] = uid
            if len(self._users) > MAX_STRANGERS:
                self._users.popitem(last=False)
        for call, interface in stranger.calls:
            if uid is None:
                self._count_down(sender)
            else:
                self._begin(connection, call, interface, uid)

    def _begin(self, connection: BusConnection, call: Call, interface: str, uid: int) -> None:
        task = asyncio.create_task(self._serve(connection, call, interface, uid))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._served(task, call.sender))

    def _served(self, task: asyncio.Task[None], sender: str) -> None:
        self._tasks.discard(task)
        self._count_down(sender)

    def _count_down(self, who: str | int) -> None:
        self._waiting[who] -= 1
        if not self._waiting[who]:
            del self._waiting[who]

    async def _serve(self, connection: BusConnection, call: Call, interface: str, uid: int) -> None:
        try:
            # No await between making the answer and sending it: so a snapshot is in its place among
            # the signals.
            async with self._admitted(connection, call, uid) as asked:
                body = await self._slow[interface, call.member](asked)
                connection.reply(
                    call, interfaces()[interface].methods[call.member].out_signature, body
                )
        except _No as e:
            connection.error(call, e.name, str(e))
        except TooLargeError:
            text = "the answer is too large for one message; ask for less, with offset and limit"
            connection.error(call, _STANDARD + "LimitsExceeded", text)
        except (LostError, _GoneError):
            logger.debug("the caller of %s is gone", call.member)
        except Exception:
            logger.exception("answering %s", call.member)
            _internal_error(connection, call)

    @asynccontextmanager
    async def _admitted(
        self, connection: BusConnection, call: Call, uid: int
    ) -> AsyncGenerator[_Asked]:
        """Count a call among its user's. Raises _No."""
        if uid != 0 and self._waiting[uid] >= MAX_WAITING_USER:
            raise _too_many()
        self._waiting[uid] += 1
        try:
            async with AsyncExitStack() as turn:
                yield _Asked(connection, call, uid, turn)
        finally:
            self._count_down(uid)

    async def _room(self, asked: _Asked) -> None:
        """Wait for one's turn to make a large answer; it lasts until the answer is sent.

        Until there is room for it, or a few callers could fill our memory; and until others had
        their turn, or they could keep us busy with nothing else.
        """
        sender = asked.call.sender
        began = time.monotonic()
        await asked.turn.enter_async_context(self._turns.turn(asked.uid, sender))
        if time.monotonic() - began > LONG and await _uid(asked.connection, sender) is None:
            raise _GoneError
        await asked.connection.room()
        await asyncio.sleep(0)

    async def _ready(self, asked: _Asked) -> None:
        """Wait for one's turn, and until all tunnels are ready to be told."""
        await self._room(asked)
        while not self._objects.make(BATCH):  # noqa: ASYNC110 - it is we who make them
            await asyncio.sleep(0)

    # --- Standard interfaces ------------------------------------------------------------------

    async def _introspect(self, asked: _Asked) -> list[Any]:
        await self._room(asked)
        objects, path = self._objects, asked.call.path
        return [describe(objects.interfaces_of(path), objects.children_of(path))]

    async def _get_managed_objects(self, asked: _Asked) -> bytes:
        await self._ready(asked)
        return self._objects.managed()

    def _get(self, call: Call) -> list[Any]:
        interface, name = call.body
        return [self._property(call.path, interface, name)]

    def _set(self, call: Call) -> list[Any]:
        interface, name, _ = call.body
        self._property(call.path, interface, name)
        raise _No(_STANDARD + "PropertyReadOnly", f"{name} can't be set")

    def _get_all(self, call: Call) -> list[Any]:
        return [self._all_properties(call.path, call.body[0])]

    def _property(self, path: str, interface: str, name: str) -> Variant:
        found = self._all_properties(path, interface).get(name)
        if found is None:
            text = f"{clean(interface or path)} has no property {clean(name)}"
            raise _No(_STANDARD + "UnknownProperty", text)
        return found

    def _all_properties(self, path: str, interface: str) -> dict[str, Variant]:
        """Tell an interface's properties; those of all where none is named, as sd-bus has it."""
        offered = self._objects.interfaces_of(path)
        if interface and interface not in offered:
            text = f"{clean(path)} has no interface {clean(interface)}"
            raise _No(_STANDARD + "UnknownInterface", text)
        found: dict[str, Variant] = {}
        for each in (interface,) if interface else offered:
            found.update(self._objects.properties(path, each))
        return found

    # --- org.ipsecwatch1.Manager --------------------------------------------------------------

    def _get_tunnel(self, call: Call) -> list[Any]:
        return [self._path_of(call.body[0])]

    def _path_of(self, name: str) -> str:
        if (path := self._objects.path_of(name)) is None:
            raise _No(_OURS + "NoSuchTunnel", f"there is no tunnel {clean(name)}")
        return path

    async def _get_snapshot(self, asked: _Asked) -> bytes:
        await self._ready(asked)
        return self._objects.snapshot()

    async def _do_refresh(self, _asked: _Asked) -> list[Any]:
        try:
            async with asyncio.timeout(REFRESH_LIMIT):
                await self._refresh()
        except TimeoutError:
            text = f"pluto couldn't be asked within {REFRESH_LIMIT:g} s"
            raise _No(_OURS + "PlutoUnavailable", text) from None
        if self._objects.pluto in (PlutoState.STOPPED, PlutoState.UNREACHABLE):
            raise _No(_OURS + "PlutoUnavailable", f"pluto is {self._objects.pluto}")
        return [self._objects.serial]

    async def _get_details(self, asked: _Asked) -> bytes:
        names, options = asked.call.body
        offset, limit = _page(options)
        await _authorize(asked)
        await self._room(asked)
        tunnels = self._objects.tunnels
        paths = list(dict.fromkeys(map(self._path_of, names))) or sorted(
            tunnels, key=lambda p: tunnels[p].name
        )
        found: list[bytes] = []
        for path in paths[offset:][:limit]:
            found.append(array(marshal("o", path), _entries(details(tunnels[path]))))
            if len(found) % DETAILED == 0:
                await asyncio.sleep(0)
        return array(b"", joined(found))


async def _authorize(asked: _Asked) -> None:
    """Let root through, and whom polkit lets through. Raises _No.

    Root isn't asked about: so root is answered where there is no polkit, or one that hangs.
    """
    if asked.uid == 0:
        return
    call = asked.call
    verdict = await polkit.check(
        asked.connection, call.sender, polkit.READ_DETAILS, interactive=call.interactive
    )
    if verdict is Verdict.ASK:
        text = "details are for administrators; allow interactive authorization to be asked"
        raise _No(_STANDARD + "InteractiveAuthorizationRequired", text)
    if verdict is not Verdict.YES:
        raise _No(_STANDARD + "AccessDenied", "polkit doesn't let you read details of tunnels")


async def _uid(connection: BusConnection, sender: str) -> int | None:
    """Ask the bus whose connection that is. None where it doesn't say: nobody's any more."""
    try:
        reply = await connection.call_bus("GetConnectionUnixUser", "s", sender)
    except BusError:
        return None
    uid = reply.body[0]
    return uid if isinstance(uid, int) else None


def _page(options: dict[str, Variant]) -> tuple[int, int | None]:
    """Read the options of GetDetails: offset and limit. Raises _No."""
    for name, value in options.items():
        if name not in ("offset", "limit"):
            raise _No(_STANDARD + "InvalidArgs", f"unknown option {clean(name)}")
        if value.signature != "u":
            raise _No(_STANDARD + "InvalidArgs", f"{name} must be a u, not {value.signature}")
    offset, limit = options.get("offset"), options.get("limit")
    return offset.value if offset else 0, limit.value if limit else None


def _entries(found: Entry) -> bytes:
    """Marshal a tunnel's details, as entries of an a{sv}."""
    return joined([entry(v.signature, key, v.value) for key, v in _variants(found).items()])


def _variants(found: Entry) -> dict[str, Variant]:
    made = {}
    for key, (signature, value) in found.items():
        inner = value
        if signature == "aa{sv}":
            assert isinstance(value, list)
            inner = [_variants(each) for each in value]
        made[key] = Variant(signature, inner)
    return made


def _too_many() -> _No:
    text = "too many calls wait for their answer already; try again later"
    return _No(_STANDARD + "LimitsExceeded", text)


def _internal_error(connection: BusConnection, call: Call) -> None:
    """Tell the caller nothing: traces name paths and values."""
    connection.error(call, _STANDARD + "Failed", "internal error; the service's log tells more")
