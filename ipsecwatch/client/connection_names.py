# SPDX-License-Identifier: MIT
"""The names that users gave to their connections in NetworkManager, which pluto knows by UUIDs.

NetworkManager-libreswan and NetworkManager-l2tp load a connection into pluto under its UUID, while
its user knows it by another name. NetworkManager is asked for that name over the system bus, with
the rights of the user who runs this process. If NetworkManager isn't running, or doesn't answer
within a short time, the UUID is shown. The names are only for people; programs use the UUID. A name
may be any text, so it is cleaned here.
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
"""Seconds that a command which runs only for a moment waits for NetworkManager."""
PATIENT: Final = 10.0
"""Seconds that a long-running program waits for NetworkManager; it does so in the background."""
MAX_KNOWN: Final = 1000
"""The number of UUIDs that are asked for and remembered at most. A laptop has a few."""
MAX_LISTED: Final = 200
"""The number of connections of NetworkManager that are read at most when one is looked for by
name."""

_SERVICE: Final = "org.freedesktop.NetworkManager"
_PATH: Final = "/org/freedesktop/NetworkManager/Settings"
_SETTINGS: Final = "org.freedesktop.NetworkManager.Settings"
_CONNECTION: Final = "org.freedesktop.NetworkManager.Settings.Connection"
_PLUGINS: Final = {
    "org.freedesktop.NetworkManager.libreswan": LIBRESWAN,
    "org.freedesktop.NetworkManager.openswan": LIBRESWAN,  # what it was called before
    "org.freedesktop.NetworkManager.l2tp": L2TP,
}
"""NetworkManager's plugins that load connections into pluto, by the ``service-type`` in a
connection's VPN settings."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Known:
    """What NetworkManager knows of one connection."""

    uuid: str
    name: str
    """The name that its user gave it, cleaned."""
    plugin: str
    """The plugin that loads it into pluto: LIBRESWAN or L2TP; "" if it is a connection of another
    kind."""


def is_uuid(name: str) -> bool:
    """Return whether a text has the form of a UUID.

    NetworkManager isn't asked whether it knows it.
    """
    return _UUID.fullmatch(name) is not None


async def names_of(names: Iterable[str], within: float = BRIEF) -> dict[str, Known]:
    """Return what NetworkManager knows of the connections that have UUIDs as names, by these UUIDs.

    Other names are ignored, and if none is a UUID, NetworkManager isn't asked. What it doesn't know
    or doesn't answer within ``within`` seconds (for all together) is left out. No error is raised.
    """
    uuids = [name for name in dict.fromkeys(names) if is_uuid(name)][:MAX_KNOWN]
    found: dict[str, Known] = {}
    if uuids:
        await _ask(lambda connection: _look_up(connection, uuids, found), within)
    return found


async def called(names: Collection[str], within: float = BRIEF) -> list[Known]:
    """Return the connections to which their users gave one of these names, sorted by UUID.

    Only connections of NetworkManager-libreswan and NetworkManager-l2tp are returned. What
    NetworkManager doesn't answer within ``within`` seconds (for all together) is left out. No error
    is raised.
    """
    found: list[Known] = []
    await _ask(lambda connection: _search(connection, names, found), within)
    return sorted(found, key=lambda known: known.uuid)


class ConnectionNames:
    """Looks up NetworkManager's names for a set of connections, for a long-running program.

    The set changes with keep(). ``changed`` is called in the background with each list of
    connections that were found. A UUID is asked for only once while it is in the set.
    """

    def __init__(self, changed: Callable[[list[Known]], object]) -> None:
        self.known: dict[str, Known] = {}
        """What NetworkManager answered, by UUID."""
        self._changed = changed
        self._asked: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()

    def keep(self, names: Iterable[str]) -> None:
        """Replace the set of connections by those with these names, of which only UUIDs are used.

        UUIDs that are new in the set are asked for in the background; what is known of those that
        left the set is forgotten. So a UUID that comes back is asked for again, since its user may
        have renamed it.
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
        """Cancel the questions that NetworkManager hasn't answered, and wait for their end."""
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    async def _ask(self, uuids: list[str]) -> None:
        """Ask for these UUIDs; call ``changed`` with what was found and is still in the set."""
        found = await names_of(uuids, PATIENT)
        found = {uuid: known for uuid, known in found.items() if uuid in self._asked}
        self.known |= found
        if found:
            self._changed(list(found.values()))


async def _ask(ask: Callable[[BusConnection], Any], within: float) -> None:
    """Connect to the system bus, await ``ask(connection)``, and close the connection.

    All of it takes at most ``within`` seconds. When they are over, or at an error of the bus,
    ``ask`` is cut short; that is only logged for debugging.
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
    """Ask NetworkManager for each of these UUIDs, and add the connections to ``found``.

    A UUID that NetworkManager doesn't know, or doesn't show to this user, is left out. Raise
    BusError if NetworkManager isn't running, or can't be asked.
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
    """Add to ``found`` the connections of the two plugins that have one of these names.

    Only the first MAX_LISTED connections of NetworkManager are read. Raise BusError.
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
    """Ask NetworkManager for a connection by its object path, and return what it answers.

    Return None if the answer has no name or no valid UUID. Raise ErrorReplyError if the connection
    was deleted or belongs to another user, and BusError if the bus fails.
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
    """Return one setting of a connection; "" if it is missing or isn't a string."""
    found = values.get(key)
    return found.value if found is not None and found.signature == "s" else ""


async def _call(
    connection: BusConnection, path: str, interface: str, member: str, *body: str
) -> Reply:
    """Call a method of NetworkManager with strings as arguments, and return the reply.

    Raise BusError.
    """
    signature = "s" * len(body)
    return await connection.call(_SERVICE, path, interface, member, signature, body, within=PATIENT)
