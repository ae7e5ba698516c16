# SPDX-License-Identifier: MIT
"""Reply to the calls on the bus: each method of each interface, and the errors for wrong calls.

The library's ServiceInterface isn't used: it walks through all exported objects for every signal
and introspection, which is too slow with thousands of tunnels, and it hides who is calling. The
data of the answers is in object_tree.py.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import BUS
from ipsecwatch.dbus.frames import METHOD_CALL, NO_REPLY_EXPECTED, SIGNAL, Handling
from ipsecwatch.dbus.introspection import describe, interfaces
from ipsecwatch.dbus.marshal import array, entry, joined, marshal
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.dbus.names import (
    INTROSPECTABLE,
    MANAGER,
    OBJECT_MANAGER,
    OUR_ERROR,
    PEER,
    PROPERTIES,
    STANDARD_ERROR,
    machine_id,
)
from ipsecwatch.report import PlutoState
from ipsecwatch.sanitize import clean
from ipsecwatch.service import polkit
from ipsecwatch.service.admission import Admission, Refusal, Request, too_many
from ipsecwatch.service.details import Context, brief_details, tunnel_details
from ipsecwatch.service.polkit import PendingChecks, TooManyChecksError, Verdict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.frames import Header
    from ipsecwatch.dbus.messages import Call
    from ipsecwatch.service.details import Entry
    from ipsecwatch.service.object_tree import ObjectTree

REFRESH_LIMIT: Final = 90.0
"""Seconds after which a call of Refresh fails. With thousands of tunnels, or a pluto that answers
badly, it may take long."""
BATCH: Final = 100
"""Number of tunnels that are marshalled before other tasks of the event loop get their turn."""
DETAILED: Final = 20
"""The same number for GetDetails if it returns all details, which takes longer for each tunnel."""

_Body = list[Any] | bytes
"""What a method returns to its caller: the list of values, or these marshalled already."""


_LIMITS: Final = {"": 0, "s": 4 << 10, "ss": 4 << 10, "ssv": 4 << 10, "asa{sv}": 16 << 10}
"""How many bytes the arguments of a call may have, by their signature. Larger arguments, and those
with any other signature, are removed before they are unpacked. The longest name has 1 KiB."""
_LARGEST_REPLY: Final = 1 << 20
"""How many bytes the body of an answer from the bus or from polkit may have. Larger ones are
removed."""


class Methods:
    """Answers the calls of all methods that the service has on the bus.

    ``objects`` has the data. ``refresh`` is called for each call of the D-Bus method Refresh. It
    should return once a poll that began after the call has been published, and make calls that
    wait at the same time share one poll. A call of it may be cancelled.
    """

    def __init__(self, objects: ObjectTree, refresh: Callable[[], Awaitable[None]]) -> None:
        self._objects = objects
        self._refresh = refresh
        self._admission = Admission()
        self._checks = PendingChecks()
        self._quick: dict[tuple[str, str], Callable[[Call], list[Any]]] = {
            (PROPERTIES, "Get"): self._get,
            (PROPERTIES, "Set"): self._set,
            (PROPERTIES, "GetAll"): self._get_all,
            (MANAGER, "GetTunnel"): self._get_tunnel,
            (PEER, "Ping"): lambda _: [],
            (PEER, "GetMachineId"): lambda _: [machine_id()],
        }
        # Answers that may be large, or take long: made in a task, which knows the caller's user.
        self._slow: dict[tuple[str, str], Callable[[Request], Coroutine[Any, Any, _Body]]] = {
            (INTROSPECTABLE, "Introspect"): self._introspect,
            (OBJECT_MANAGER, "GetManagedObjects"): self._get_managed_objects,
            (MANAGER, "GetSnapshot"): self._get_snapshot,
            (MANAGER, "GetDetails"): self._get_details,
            (MANAGER, "Refresh"): self._do_refresh,
        }

    def judge(self, header: Header) -> Handling:
        """Return what to do with an incoming message, by its header alone.

        Skipped are calls of which the caller wants no answer (except of Refresh), calls of callers
        that Admission.ignores(), and signals that the bus itself didn't send. The body is removed
        if it is too large (_LIMITS, _LARGEST_REPLY), or if a call's header isn't ``plain``.
        """
        if header.kind == METHOD_CALL:
            if header.flags & NO_REPLY_EXPECTED and header.member != "Refresh":
                return Handling.SKIP
            if self._admission.ignores(header.sender):
                return Handling.SKIP
            limit = _LIMITS.get(header.signature, -1) if header.plain else -1
            return Handling.PASS if header.body <= limit else Handling.WITHOUT_BODY
        if header.kind == SIGNAL:  # we listen to nobody but the bus
            return Handling.PASS if header.sender == BUS else Handling.SKIP
        return Handling.PASS if header.body <= _LARGEST_REPLY else Handling.WITHOUT_BODY

    def use(self, *connections: BusConnection) -> None:
        """Use these connections, from now on, to ask the bus for users, and to ping callers.

        For each question and each ping, the first of them that is open then is used. Pings that
        wait for an answer are cancelled.
        """
        self._admission.use(*connections)

    def serves(self, connection: BusConnection) -> bool:
        """Return whether any call that came in on this connection isn't answered yet."""
        return self._admission.serves(connection)

    def called(self, connection: BusConnection, call: Call) -> None:
        """Reply to a call, or refuse it, once its caller's user is known. Raise nothing.

        A call whose caller wants no answer is ignored, except a call of Refresh.
        """
        if not call.wants_reply and call.member != "Refresh":
            return
        self._admission.unread.snapshot = self._objects.snapshot_size
        self._admission.admit(connection, call, partial(self._answer, connection, call))

    def sent(self, to: str, size: int) -> None:
        """Count a message of ``size`` bytes, sent to the connection ``to``, as unread by its user.

        It counts until that connection shows that it has read, or leaves the bus, or until it is
        forgiven after some minutes (unread.py). One of the user's connections may be pinged now.
        Nothing is counted if the user is root, or isn't known.
        """
        self._admission.sent(to, size)

    def forget(self, *, debts: bool = True) -> None:
        """Cancel all answers, because our connection is lost or closed.

        How much each user hasn't read is forgotten, too, unless ``debts=False``.
        """
        self._admission.forget(debts=debts)

    @property
    def worst_reader(self) -> int | None:
        """The id of the user with most unread bytes, never root; None: no user has any."""
        return self._admission.unread.worst()

    def _answer(self, connection: BusConnection, call: Call, uid: int) -> None:
        """Reply to a call of the user ``uid`` at once, or start a task that does.

        Raise Refusal if the call is wrong, or if too many calls wait for tasks.
        """
        interface = self._interface_of(call)
        if (interface, call.member) in self._slow:
            self._admission.spawn(connection, call, partial(self._serve, interface), uid)
        else:
            body = self._quick[interface, call.member](call)
            connection.reply(call, _out_signature(interface, call), body)

    async def _serve(self, interface: str, request: Request) -> None:
        """Make and send the answer to a call, in a task, because it may be large or take long.

        Raise Refusal instead if the call can't be answered.
        """
        # No await between making the answer and sending it: so a snapshot includes exactly the
        # transitions whose signals were sent before it.
        call = request.call
        body = await self._slow[interface, call.member](request)
        request.connection.reply(call, _out_signature(interface, call), body)

    def _interface_of(self, call: Call) -> str:
        """Return the name of the interface to which the called method belongs.

        If the caller named none, it is the object's first interface that has a method of this name.
        Raise Refusal if there is no such object, interface or method, or if the arguments have
        another signature or were removed because they are too large. The interface Peer needs no
        object.
        """
        offered = self._objects.interfaces_of(call.path)
        if call.interface == PEER:  # it is about the connection, whatever the path
            offered = (PEER,)
        if not offered:
            raise Refusal(
                STANDARD_ERROR + "UnknownObject", f"there is no object {clean(call.path)}"
            )
        if call.interface is not None and call.interface not in offered:
            text = f"{clean(call.path)} has no interface {call.interface}"
            raise Refusal(STANDARD_ERROR + "UnknownInterface", text)
        for interface in (call.interface,) if call.interface else offered:
            if (method := interfaces()[interface].methods.get(call.member)) is None:
                continue
            if call.signature != method.in_signature:
                text = f"{call.member} takes ({method.in_signature}), not ({call.signature})"
                raise Refusal(STANDARD_ERROR + "InvalidArgs", text)
            if call.signature and not call.body:  # judge() had it left out
                raise Refusal(STANDARD_ERROR + "InvalidArgs", "the arguments are too large")
            return interface
        text = f"{call.interface or clean(call.path)} has no method {call.member}"
        raise Refusal(STANDARD_ERROR + "UnknownMethod", text)

    async def _ready(self, request: Request) -> None:
        """Wait for the request's turn, then marshal those properties of tunnels that aren't yet.

        Other tasks run after each BATCH of tunnels.
        """
        await self._admission.wait_for_room(request)
        while not self._objects.make(BATCH):  # noqa: ASYNC110 - it is we who make them
            await asyncio.sleep(0)

    # --- Standard interfaces ------------------------------------------------------------------

    async def _introspect(self, request: Request) -> list[Any]:
        await self._admission.wait_for_room(request)
        objects, path = self._objects, request.call.path
        return [describe(objects.interfaces_of(path), objects.children_of(path))]

    async def _get_managed_objects(self, request: Request) -> bytes:
        await self._ready(request)
        return self._objects.managed()

    def _get(self, call: Call) -> list[Any]:
        interface, name = call.body
        return [self._property(call.path, interface, name)]

    def _set(self, call: Call) -> list[Any]:
        interface, name, _ = call.body
        self._property(call.path, interface, name)
        raise Refusal(STANDARD_ERROR + "PropertyReadOnly", f"{name} can't be set")

    def _get_all(self, call: Call) -> list[Any]:
        return [self._all_properties(call.path, call.body[0])]

    def _property(self, path: str, interface: str, name: str) -> Variant:
        found = self._all_properties(path, interface).get(name)
        if found is None:
            text = f"{clean(interface or path)} has no property {clean(name)}"
            raise Refusal(STANDARD_ERROR + "UnknownProperty", text)
        return found

    def _all_properties(self, path: str, interface: str) -> dict[str, Variant]:
        """Return the properties of one of an object's interfaces, by name.

        ``interface`` "": those of all its interfaces, as sd-bus does it. Raise Refusal if the
        object doesn't have the interface.
        """
        offered = self._objects.interfaces_of(path)
        if interface and interface not in offered:
            text = f"{clean(path)} has no interface {clean(interface)}"
            raise Refusal(STANDARD_ERROR + "UnknownInterface", text)
        found: dict[str, Variant] = {}
        for each in (interface,) if interface else offered:
            found.update(self._objects.properties(path, each))
        return found

    # --- org.ipsecwatch1.Manager --------------------------------------------------------------

    def _get_tunnel(self, call: Call) -> list[Any]:
        return [self._path_of(call.body[0])]

    def _path_of(self, name: str) -> str:
        if (path := self._objects.path_of(name)) is None:
            raise Refusal(OUR_ERROR + "NoSuchTunnel", f"there is no tunnel {clean(name)}")
        return path

    async def _get_snapshot(self, request: Request) -> bytes:
        await self._ready(request)
        return self._objects.snapshot()

    async def _do_refresh(self, _request: Request) -> list[Any]:
        """Wait until a new poll of pluto is published. Return the answer to Refresh.

        That is the serial of the last transition. Raise Refusal if pluto is stopped or unreachable
        then, or if the poll isn't published after REFRESH_LIMIT seconds.
        """
        try:
            async with asyncio.timeout(REFRESH_LIMIT):
                await self._refresh()
        except TimeoutError:
            text = f"pluto couldn't be asked within {REFRESH_LIMIT:g} s"
            raise Refusal(OUR_ERROR + "PlutoUnavailable", text) from None
        if self._objects.pluto in (PlutoState.STOPPED, PlutoState.UNREACHABLE):
            raise Refusal(OUR_ERROR + "PlutoUnavailable", f"pluto is {self._objects.pluto}")
        return [self._objects.serial]

    async def _get_details(self, request: Request) -> bytes:
        """Return the marshalled answer to GetDetails. Other tasks run after some tunnels each.

        Raise Refusal if the options or names are wrong, or the caller may not read details.
        """
        names, options = request.call.body
        offset, limit, brief = _page(options)
        await self._authorize(request)
        await self._admission.wait_for_room(request)
        tunnels = self._objects.tunnels
        paths = list(dict.fromkeys(map(self._path_of, names))) or sorted(
            tunnels, key=lambda p: tunnels[p].name
        )
        found: list[bytes] = []
        for path in paths[offset:][:limit]:
            found.append(array(marshal("o", path), _entries(self._details(path, brief=brief))))
            if len(found) % (BATCH if brief else DETAILED) == 0:
                await asyncio.sleep(0)
        return array(b"", joined(found))

    def _details(self, path: str, *, brief: bool) -> Entry:
        """Return the details of the tunnel with the object path ``path``.

        ``brief``: only those of brief_details().
        """
        objects = self._objects
        tunnel, recent = objects.tunnels[path], objects.recent
        context = Context(
            objects.sa_times, recent.of(tunnel.name), recent.losses(tunnel.name, objects.last_poll)
        )
        return (brief_details if brief else tunnel_details)(tunnel, context)

    async def _authorize(self, request: Request) -> None:
        """Raise Refusal unless the caller may read details: it is root, or polkit allows it.

        polkit isn't asked about root, so that root is answered even if polkit hangs or isn't
        installed. polkit may ask a person for a password, if the caller allows that. Raise Refusal
        as well if too many checks wait for polkit already.
        """
        call, uid = request.call, request.uid
        if uid == 0:
            return
        try:
            with self._checks.one_more(uid):
                verdict = await polkit.check(
                    request.connection,
                    call.sender,
                    polkit.READ_DETAILS,
                    interactive=call.interactive,
                )
        except TooManyChecksError:
            raise too_many() from None
        if verdict is Verdict.ASK:
            text = "details need a password; allow interactive authorization to be asked for it"
            raise Refusal(STANDARD_ERROR + "InteractiveAuthorizationRequired", text)
        if verdict is not Verdict.YES:
            text = "polkit doesn't let you read details of tunnels"
            raise Refusal(STANDARD_ERROR + "AccessDenied", text)


_OPTIONS: Final = {"offset": "u", "limit": "u", "brief": "b"}


def _page(options: dict[str, Variant]) -> tuple[int, int | None, bool]:
    """Return the options of GetDetails as a tuple: offset, limit and brief.

    Options that aren't given are 0, None (no limit) and False. Raise Refusal for any other option,
    or for a value of another type.
    """
    for name, value in options.items():
        if name not in _OPTIONS:
            raise Refusal(STANDARD_ERROR + "InvalidArgs", f"unknown option {clean(name)}")
        if value.signature != _OPTIONS[name]:
            text = f"{name} must be a {_OPTIONS[name]}, not {value.signature}"
            raise Refusal(STANDARD_ERROR + "InvalidArgs", text)
    offset, limit, brief = (options.get(name) for name in _OPTIONS)
    return (
        offset.value if offset else 0,
        limit.value if limit else None,
        bool(brief and brief.value),
    )


def _entries(found: Entry) -> bytes:
    """Return a tunnel's details as marshalled entries of an a{sv}, without the array's length."""
    return joined([entry(v.signature, key, v.value) for key, v in _variants(found).items()])


def _variants(found: Entry) -> dict[str, Variant]:
    """Return a tunnel's details with a Variant for each Typed, also for those inside lists.

    dbus-fast's marshaller needs them so.
    """
    made = {}
    for key, (signature, value) in found.items():
        inner = value
        if signature == "aa{sv}":
            assert isinstance(value, list)
            inner = [_variants(each) for each in value]
        made[key] = Variant(signature, inner)
    return made


def _out_signature(interface: str, call: Call) -> str:
    """Return the D-Bus signature of the values that the called method returns."""
    return interfaces()[interface].methods[call.member].out_signature
