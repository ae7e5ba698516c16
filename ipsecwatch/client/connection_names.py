# SPDX-License-Identifier: MIT
"""The names that NetworkManager's users gave to connections that pluto knows by a UUID.

NetworkManager-libreswan and NetworkManager-l2tp load a connection into pluto under its UUID, while
its user knows it by another name. NetworkManager is asked with this user's rights, over the system
bus, once for each UUID. Nothing waits for long for its answer: where it isn't running, or doesn't
answer, the UUID is shown. These names are for people; programs keep to the UUID. A name is a user's
text, and is cleaned here.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import BUS, connect
from ipsecwatch.dbus.errors import BusError, ErrorReplyError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Reply

logger = logging.getLogger(__name__)

LIBRESWAN: Final = "NetworkManager-libreswan"
L2TP: Final = "NetworkManager-l2tp"

BRIEF: Final = 0.15
"""Seconds that a caller who asks once waits for NetworkManager."""
PATIENT: Final = 10.0
"""Seconds that an answer may take where nothing waits for it."""
MAX_KNOWN: Final = 1000
"""UUIDs that are asked for and remembered, at most; a laptop has a few."""
MAX_LISTED: Final = 200
"""Connections of NetworkManager's that are searched for a name, at most."""

_SERVICE: Final = "org.freedesktop.NetworkManager"
_PATH: Final = "/org/freedesktop/NetworkManager/Settings"
_SETTINGS: Final = "org.freedesktop.NetworkManager.Settings"
_CONNECTION: Final = "org.freedesktop.NetworkManager.Settings.Connection"
_PLUGINS: Final = {
    "org.freedesktop.NetworkManager.libreswan": LIBRESWAN,
    "org.freedesktop.NetworkManager.openswan": LIBRESWAN,  # what it was called before
    "org.freedesktop.NetworkManager.l2tp": L2TP,
}
"""The plugins that use pluto, by vpn.service-type."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """What NetworkManager reports about one connection."""

    uuid: str
    name: str
    """The name that its user gave it, cleaned."""
    plugin: str
    """LIBRESWAN or L2TP; "" for a connection of neither plugin."""


def is_uuid(name: str) -> bool:
    """Return whether a name has the form of a UUID. NetworkManager itself isn't asked."""
    return _UUID.fullmatch(name) is not None


async def names_of(names: Iterable[str], within: float = BRIEF) -> dict[str, Known]:
    """Return what NetworkManager knows about the connections whose names are UUIDs, by that UUID.

    Return what it answered within ``within`` seconds in all; an empty dict where it isn't running.
    If no name is a UUID, it isn't asked.
    """
    uuids = [name for name in dict.fromkeys(names) if is_uuid(name)][:MAX_KNOWN]
    found: dict[str, Known] = {}
    if uuids:
        await _ask(lambda connection: _look_up(connection, uuids, found), within)
    return found


async def called(names: Collection[str], within: float = BRIEF) -> list[Known]:
    """Return the connections that have one of these names in NetworkManager, sorted by UUID.

    Only connections of the two plugins that use pluto are returned, and only what was found within
    ``within`` seconds in all; an empty list where NetworkManager isn't running.
    """
    found: list[Known] = []
    await _ask(lambda connection: _search(connection, names, found), within)
    return sorted(found, key=lambda known: known.uuid)


class ConnectionNames:
    """Looks up and keeps the names of a changing set of connections, for a long-running program.

    ``changed`` is called with the connections whose names were found. Each UUID is asked for once,
    as long as it stays in the set.
    """

    def __init__(self, changed: Callable[[list[Known]], object]) -> None:
        self.known: dict[str, Known] = {}
        """What was found, by UUID."""
        self._changed = changed
        self._asked: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()

    def keep(self, names: Iterable[str]) -> None:
        """Replace the set of connections: ask for the new UUIDs, and forget those that are gone.

        A UUID that left the set and comes back is asked for again: its user may have renamed it.
        """
        uuids = {name for name in names if is_uuid(name)}
        if uuids == self._asked:
            return
        new = sorted(uuids - self._asked)[: MAX_KNOWN - len(self._asked & uuids)]
        self._asked &= uuids
        self.known = {uuid: known for uuid, known in self.known.items() if uuid in uuids}
        if new:
            self._asked.update(new)
            task = asyncio.ensure_future(self._ask(new))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def aclose(self) -> None:
        """Cancel the requests to NetworkManager that aren't answered yet."""
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    async def _ask(self, uuids: list[str]) -> None:
        """Ask for the names of these UUIDs; keep and report those that are still in the set."""
        found = await names_of(uuids, PATIENT)
        found = {uuid: known for uuid, known in found.items() if uuid in self._asked}
        self.known |= found
        if found:
            self._changed(list(found.values()))


async def _ask(ask: Callable[[BusConnection], Any], within: float) -> None:
    """Connect to the system bus and run ``ask``, for ``within`` seconds at most in all.

    Errors of the bus and a timeout are logged for debugging only.
    """
    connection: BusConnection | None = None
    try:
        async with asyncio.timeout(within):
            connection = await connect("system", within=within)
            await ask(connection)
    except (BusError, TimeoutError) as e:
        logger.debug("NetworkManager isn't asked for names: %s", e)
    finally:
        if connection is not None:
            await connection.close()


async def _look_up(
    connection: BusConnection, uuids: Iterable[str], found: dict[str, Known]
) -> None:
    """Add the connections with these UUIDs to ``found``.

    Raise BusError where NetworkManager isn't running.

    A UUID that NetworkManager doesn't know, or doesn't show to this user, is left out.
    """
    for uuid in uuids:
        try:
            reply = await _call(connection, _PATH, _SETTINGS, "GetConnectionByUuid", uuid)
            known = await _read(connection, reply.body[0]) if reply.signature == "o" else None
        except ErrorReplyError as e:
            if e.sender == BUS:  # NetworkManager isn't running, or may not be asked
                raise
            continue  # it isn't known, or not for this user
        # Only a connection with this very UUID counts.
        if known is not None and known.uuid.lower() == uuid.lower():
            found[uuid] = Known(uuid, known.name, known.plugin)


async def _search(connection: BusConnection, names: Collection[str], found: list[Known]) -> None:
    """Add the connections of a known plugin that have one of these names to ``found``.

    Look through the first MAX_LISTED connections only. Raise BusError.
    """
    reply = await _call(connection, _PATH, _SETTINGS, "ListConnections")
    for path in reply.body[0][:MAX_LISTED] if reply.signature == "ao" else ():
        try:
            known = await _read(connection, path)
        except ErrorReplyError:  # it was deleted just now, or is another user's
            continue
        if known is not None and known.plugin and known.name in names:
            found.append(known)


async def _read(connection: BusConnection, path: str) -> Known | None:
    """Return one connection by its object path; None where its name or UUID is missing or wrong.

    Raise ErrorReplyError where it is gone, or belongs to another user.
    """
    reply = await _call(connection, path, _CONNECTION, "GetSettings")
    if reply.signature != "a{sa{sv}}":
        return None
    settings = reply.body[0]
    of_all, of_vpn = settings.get("connection", {}), settings.get("vpn", {})
    plugin = _PLUGINS.get(_text(of_vpn, "service-type"), "")
    uuid, name = _text(of_all, "uuid"), clean(_text(of_all, "id"))
    return Known(uuid, name, plugin) if name and is_uuid(uuid) else None


def _text(values: Mapping[str, Any], key: str) -> str:
    """Return a setting that is a string; "" where it is missing, or of another type."""
    found = values.get(key)
    return found.value if found is not None and found.signature == "s" else ""


async def _call(
    connection: BusConnection, path: str, interface: str, member: str, *body: str
) -> Reply:
    """Call a method of NetworkManager's, with strings as arguments; return the reply.

    Raise BusError.
    """
    signature = "s" * len(body)
    return await connection.call(_SERVICE, path, interface, member, signature, body, within=PATIENT)
