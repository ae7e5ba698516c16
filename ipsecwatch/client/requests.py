# SPDX-License-Identifier: MIT
"""Ask the service once and return its answer. An error of the bus becomes a ClientError."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from ipsecwatch.client.views import ManagerView, Snapshot, manager_view, seconds, value, view, word
from ipsecwatch.dbus.connection import BUS, BUS_PATH, connect
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, NoReplyError
from ipsecwatch.dbus.messages import Variant, unpack_variants
from ipsecwatch.dbus.names import (
    MANAGER,
    OUR_ERROR,
    PROPERTIES,
    ROOT,
    STANDARD_ERROR,
    bus_name,
    instance_of,
    owner_rule,
    unit_name,
)
from ipsecwatch.reasons import IPSEC
from ipsecwatch.sanitize import clean
from ipsecwatch.states import PlutoState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Reply, Signal

PAGE: Final = 500
"""The number of tunnels whose details are requested in one call."""
BRIEF_PAGE: Final = 2500
"""The number of tunnels whose details are requested in one call with ``brief``."""
ASKING_LIMIT: Final = 130.0
"""Seconds that a reply may take, at least, if the user may be asked for a password."""

_ALLOW: Final = (
    "As delivered only root may ask an instance: try it as root, or see "
    "/usr/share/ipsecwatch/ask-instance.conf"
)
_NOBODY: Final = (STANDARD_ERROR + "ServiceUnknown", STANDARD_ERROR + "NameHasNoOwner")


class ClientError(Exception):
    """A request to the service failed.

    The text is one line, and ``hint`` says what to do or is "".
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ServiceUnavailableError(ClientError):
    """The bus can't be reached, the service isn't running, or it gives no usable answer in time."""


class NotAllowedError(ClientError):
    """The service or the bus doesn't allow this user to make the request."""


class NoSuchTunnelError(ClientError):
    """The service doesn't know a tunnel of that name."""


class RefusedForNowError(ClientError):
    """The service refused for its limits: this user sent too many requests, or read no answers."""


class PlutoUnavailableError(ClientError):
    """The service is running, but it couldn't get an answer from pluto."""


class ChangedHandsError(BusError):
    """Before the answer came, the service's bus name passed to another connection."""


def nobody_there(error: BusError) -> bool:
    """Return whether an error of the bus means that nobody owns the service's bus name.

    The service isn't running then.
    """
    return isinstance(error, ErrorReplyError) and error.name in _NOBODY


def client_error(error: BusError, instance: str = "") -> ClientError:
    """Return the ClientError for an error of the bus, with a text and a hint for people.

    The class tells a program what happened, such as NotAllowedError. ``instance`` is the one that
    was asked.
    """
    text, unit = clean(str(error)), unit_name(instance)
    look = f"Look at it with: systemctl status {unit}"
    if nobody_there(error):
        hint = f"Start it with: systemctl start {unit}"
        return ServiceUnavailableError(f"{unit} isn't running", hint)
    if isinstance(error, NoReplyError):
        return ServiceUnavailableError(f"{unit} doesn't answer", look)
    if not isinstance(error, ErrorReplyError):
        return ServiceUnavailableError(text, error.hint)
    if error.name in (
        STANDARD_ERROR + "AccessDenied",
        STANDARD_ERROR + "InteractiveAuthorizationRequired",
    ):
        return NotAllowedError(text, _ALLOW if instance else "Try it as root")
    if error.name == STANDARD_ERROR + "LimitsExceeded":
        hint = "Wait a few seconds, then try again. Does a program of yours not read its answers?"
        return RefusedForNowError(text, hint)
    if error.name == OUR_ERROR + "NoSuchTunnel":
        return NoSuchTunnelError(text, "List all names: ipsecwatch status")
    if error.name == OUR_ERROR + "PlutoUnavailable":
        return PlutoUnavailableError(text, "Is libreswan running? See: ipsecwatch status")
    return ServiceUnavailableError(f"{unit} can't answer: {text}", look)


def watch_name(connection: BusConnection, instance: str = "") -> None:
    """Subscribe to the signals of the bus about the owner of the service's name, without waiting.

    passed_on() tells which of these signals matter.
    """
    connection.tell(BUS, BUS_PATH, BUS, "AddMatch", "s", [owner_rule(instance)])


def passed_on(signal: Signal, instance: str = "") -> bool:
    """Return whether a signal says that the service's bus name passed from one owner to another.

    Return False for other signals, and if the name had no owner before or has none now. A service
    passes its name to a new connection of its own if calls to it have waited in the bus for long.
    """
    if signal.sender != BUS or signal.member != "NameOwnerChanged":
        return False
    name, old, new = signal.body
    return bool(name == bus_name(instance) and old and new)


async def take_snapshot(
    connection: BusConnection,
    within: float,
    moved: asyncio.Event,
    began: Callable[[Reply], None] | None = None,
    ended: Callable[[Reply], None] | None = None,
    instance: str = "",
) -> Snapshot:
    """Ask the service for pluto's state, then for all tunnels; return both as one Snapshot.

    Each of the two replies may take ``within`` seconds. ``began`` is called with the first reply,
    and ``ended`` with the second one, at the moment at which it is received. The caller sets
    ``moved`` if the service's bus name passes to another connection. The requests are given up
    then, since it is faster to ask again: a service passes its name on if requests to its old
    connection have waited in the bus for long.

    Raise ChangedHandsError in that case, and BusError if a request fails.
    """
    asking = asyncio.ensure_future(_take_snapshot(connection, within, began, ended, instance))
    moving = asyncio.ensure_future(moved.wait())
    try:
        await asyncio.wait([asking, moving], return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            raise _changed_hands()
        return await asking
    finally:
        asking.cancel()
        moving.cancel()


async def _take_snapshot(
    connection: BusConnection,
    within: float,
    began: Callable[[Reply], None] | None,
    ended: Callable[[Reply], None] | None,
    instance: str,
) -> Snapshot:
    """Send the two requests of take_snapshot() one after the other, and return the Snapshot.

    Raise ChangedHandsError if the two replies are from different connections, and BusError if a
    request fails.
    """
    name = bus_name(instance)
    first = await connection.call(
        name, ROOT, PROPERTIES, "GetAll", "s", [MANAGER], within=within, arrived=began
    )
    reply = await connection.call(name, ROOT, MANAGER, "GetSnapshot", within=within, arrived=ended)
    if reply.sender != first.sender:
        raise _changed_hands()
    run_id, serial, tunnels = reply.body
    told = first.body[0]
    said = manager_view(told, ManagerView())
    views = {path: view(path, p) for path, p in tunnels.items()}
    return Snapshot(
        run_id,
        serial,
        said.pluto or PlutoState.UNREACHABLE,
        views,
        said.log,
        complete=value(told, "Complete", "b") is not False,
        unrecognised=value(told, "Unrecognised", "u") or 0,
        last_poll=seconds(value(told, "LastPoll", "t") or 0) or None,
        unit=IPSEC if said.unit is None else said.unit,
        version=word(told, "Version") or "",
        pluto_version=word(told, "PlutoVersion") or "",
        missed=value(told, "Missed", "t"),
    )


def _changed_hands() -> ChangedHandsError:
    return ChangedHandsError("ipsecwatch just changed its connection to the bus", "Ask again")


async def instances(within: float = 5.0) -> list[str]:
    """Return the names of the instances of the service that are on the bus, sorted.

    The service itself, ``ipsecwatch.service``, is among them as "". Raise ServiceUnavailableError
    if there is no bus.
    """
    async with _asking(within) as connection:
        [names] = (await connection.call_bus("ListNames", "")).body
        return sorted(i for name in names if (i := instance_of(name)) is not None)


async def snapshot(within: float = 5.0, *, instance: str = "") -> Snapshot:
    """Ask the service once for pluto's state and all tunnels, and return them.

    ``within`` is in seconds: so long may the connection to the bus take, and each of the two
    replies. Raise ServiceUnavailableError, NotAllowedError, or another ClientError.
    """
    async with _asking(within, instance) as connection:
        moved = asyncio.Event()
        connection.on_signal = lambda signal: moved.set() if passed_on(signal, instance) else None
        watch_name(connection, instance)
        now = asyncio.get_running_loop().time
        give_up = now() + within
        while True:
            moved.clear()
            try:
                return await take_snapshot(connection, within, moved, instance=instance)
            except ChangedHandsError:
                if (within := give_up - now()) <= 0:
                    raise


async def run_id(within: float = 5.0, *, instance: str = "") -> str:
    """Return the id of the service's present run, by which its journal entries can be found.

    Raise ServiceUnavailableError, NotAllowedError, or another ClientError.
    """
    async with _asking(within, instance) as connection:
        asked = [MANAGER, "RunId"]
        reply = await connection.call(
            bus_name(instance), ROOT, PROPERTIES, "Get", "ss", asked, within=within
        )
        return value({"RunId": reply.body[0]}, "RunId", "s") or ""


async def refresh(within: float = 60.0, *, instance: str = "") -> int:
    """Make the service poll pluto now, and wait until that poll's transitions have been announced.

    Return the serial of the last transition, whether it came by this poll or earlier. ``within`` is
    in seconds. Raise ServiceUnavailableError, NotAllowedError, PlutoUnavailableError or
    RefusedForNowError.
    """
    async with _asking(within, instance) as connection:
        name = bus_name(instance)
        reply = await connection.call(name, ROOT, MANAGER, "Refresh", within=within)
        serial: int = reply.body[0]
        return serial


async def details(
    names: Sequence[str] = (),
    within: float = 30.0,
    *,
    interactive: bool = False,
    brief: bool = False,
    instance: str = "",
) -> dict[str, dict[str, object]]:
    """Return the details of some tunnels, by the tunnels' names. Not every user may read them.

    Without ``names``, return those of all tunnels. Each detail has the name that it has in
    GetDetails in org.ipsecwatch1.Manager.xml. With ``brief``, only those are returned that have a
    star there. With ``interactive``, the user may be asked for a password.

    A large request is made in several calls. Each of them may take ``within`` seconds; with
    ``interactive`` at least ASKING_LIMIT. Raise ServiceUnavailableError, NotAllowedError,
    NoSuchTunnelError, or another ClientError.
    """
    found: dict[str, dict[str, object]] = {}
    limit = BRIEF_PAGE if brief else PAGE
    async with _asking(within, instance) as connection:
        for offset in count(0, limit):
            page = {"offset": Variant("u", offset), "limit": Variant("u", limit)}
            if brief:
                page["brief"] = Variant("b", value=True)
            body = [list(names), page]
            reply = await connection.call(
                bus_name(instance),
                ROOT,
                MANAGER,
                "GetDetails",
                "asa{sv}",
                body,
                within=max(within, ASKING_LIMIT) if interactive else within,
                interactive=interactive,
            )
            tunnels = unpack_variants(reply.body[0])
            found.update((tunnel["Name"], tunnel) for tunnel in tunnels.values())
            if len(tunnels) < limit:
                break
    return found


@asynccontextmanager
async def _asking(within: float, instance: str = "") -> AsyncGenerator[BusConnection]:
    """Connect to the system bus for the length of a ``with`` block, and yield the connection.

    A BusError in the block, or in connecting, is raised as the ClientError that stands for it.
    """
    connection: BusConnection | None = None
    try:
        connection = await connect("system", within=within)
        yield connection
    except BusError as e:
        raise client_error(e, instance) from e
    finally:
        if connection is not None:
            await connection.close()
