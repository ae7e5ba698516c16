# SPDX-License-Identifier: MIT
"""What NetworkManager calls the connections that its plugins name by their UUID.

NetworkManager-libreswan and NetworkManager-l2tp name a connection by its UUID in pluto, and its
user knows it by another name. NetworkManager is asked as this user, over the system bus, once for
each UUID, and never waited for: where it doesn't answer, or isn't there, a UUID stays one. Such
names are for people; programs keep to the UUID. They are a user's text, and are cleaned here.
"""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import BUS, BusError, ErrorReplyError, connect
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Reply

logger = logging.getLogger(__name__)

LIBRESWAN: Final = "NetworkManager-libreswan"
L2TP: Final = "NetworkManager-l2tp"

BRIEF: Final = 0.15
"""Seconds that somebody who asks once waits for NetworkManager."""
PATIENT: Final = 10.0
"""Seconds for an answer where nobody waits."""
MAX_KNOWN: Final = 1000
"""UUIDs that are asked for, or remembered; a laptop has some."""
MAX_LISTED: Final = 200
"""Connections of NetworkManager's that are looked through for a name."""

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
    """What NetworkManager says of a connection."""

    uuid: str
    name: str
    """As its user has called it, cleaned."""
    plugin: str
    """LIBRESWAN or L2TP; "" for a connection that is of neither."""


def is_uuid(name: str) -> bool:
    """Return whether a tunnel may be one of NetworkManager's, by its name."""
    return _UUID.fullmatch(name) is not None


async def names_of(names: Iterable[str], within: float = BRIEF) -> dict[str, Known]:
    """Ask once what NetworkManager calls those of these names that are UUIDs, by UUID.

    What it hasn't answered after ``within`` seconds in all is left out; so is all where it isn't
    there. Nothing is asked where none is a UUID.
    """
    uuids = [name for name in dict.fromkeys(names) if is_uuid(name)][:MAX_KNOWN]
    found: dict[str, Known] = {}
    if uuids:
        await _ask(lambda connection: _look_up(connection, uuids, found), within)
    return found


async def called(names: Collection[str], within: float = BRIEF) -> list[Known]:
    """Ask once which VPNs of its plugins NetworkManager calls by these names, in order of UUID.

    None where it isn't there, or slow.
    """
    found: list[Known] = []
    await _ask(lambda connection: _search(connection, names, found), within)
    return sorted(found, key=lambda known: known.uuid)


class ConnectionNames:
    """The names of connections that come and go, for who goes on for long.

    ``changed`` is called with what was found. Each UUID is asked for once, as long as it is kept.
    """

    def __init__(self, changed: Callable[[list[Known]], object]) -> None:
        self.known: dict[str, Known] = {}
        """By UUID."""
        self._changed = changed
        self._asked: set[str] = set()
        self._asking: set[asyncio.Task[None]] = set()

    def keep(self, names: Iterable[str]) -> None:
        """Take these for all that there are: ask for those that are new, forget the others.

        One that went and comes again is asked for again: it may be called something else by then.
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
        """Ask for nothing any more."""
        for task in self._asking:
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking)

    async def _ask(self, uuids: list[str]) -> None:
        found = await names_of(uuids, PATIENT)
        found = {uuid: known for uuid, known in found.items() if uuid in self._asked}
        self.known |= found
        if found:
            self._changed(list(found.values()))


async def _ask(ask: Callable[[BusConnection], Any], within: float) -> None:
    """Connect, and ask for ``within`` seconds at most. What goes wrong is nothing to tell."""
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
    """Ask for connections by UUID. Raise BusError where NetworkManager isn't there."""
    for uuid in uuids:
        try:
            reply = await _call(connection, _PATH, _SETTINGS, "GetConnectionByUuid", uuid)
            known = await _read(connection, reply.body[0]) if reply.signature == "o" else None
        except ErrorReplyError as e:
            if e.sender == BUS:  # nobody is there, or may be asked
                raise
            continue  # it knows none such, or this user may not see it
        # Whoever answers with another connection has none of this UUID.
        if known is not None and known.uuid.lower() == uuid.lower():
            found[uuid] = Known(uuid, known.name, known.plugin)


async def _search(connection: BusConnection, names: Collection[str], found: list[Known]) -> None:
    reply = await _call(connection, _PATH, _SETTINGS, "ListConnections")
    for path in reply.body[0][:MAX_LISTED] if reply.signature == "ao" else ():
        try:
            known = await _read(connection, path)
        except ErrorReplyError:  # it went meanwhile, or is another user's
            continue
        if known is not None and known.plugin and known.name in names:
            found.append(known)


async def _read(connection: BusConnection, path: str) -> Known | None:
    """Return what NetworkManager says of a connection; None: nothing that could be used."""
    reply = await _call(connection, path, _CONNECTION, "GetSettings")
    if reply.signature != "a{sa{sv}}":
        return None
    settings = reply.body[0]
    of_all, of_vpn = settings.get("connection", {}), settings.get("vpn", {})
    plugin = _PLUGINS.get(_text(of_vpn, "service-type"), "")
    uuid, name = _text(of_all, "uuid"), clean(_text(of_all, "id"))
    return Known(uuid, name, plugin) if name and is_uuid(uuid) else None


def _text(values: Mapping[str, Any], key: str) -> str:
    found = values.get(key)
    return found.value if found is not None and found.signature == "s" else ""


async def _call(
    connection: BusConnection, path: str, interface: str, member: str, *body: str
) -> Reply:
    signature = "s" * len(body)
    return await connection.call(_SERVICE, path, interface, member, signature, body, within=PATIENT)
