# SPDX-License-Identifier: MIT
"""Asking the service once.

Nothing here starts the service: a watcher that was stopped stays stopped.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from ipsecwatch.client.asking import client_error, take_snapshot
from ipsecwatch.dbus.connection import BusError, connect
from ipsecwatch.dbus.introspection import MANAGER
from ipsecwatch.dbus.messages import Variant, unpack_variants
from ipsecwatch.dbus.names import NAME, ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ipsecwatch.client.events import Snapshot
    from ipsecwatch.dbus.connection import BusConnection

PAGE: Final = 500
"""Tunnels whose details are asked for at a time."""
ASKING_LIMIT: Final = 130.0
"""Seconds that an answer may take for which a person is asked for a password."""


async def snapshot(within: float = 5.0) -> Snapshot:
    """Ask how things are. Raises ServiceUnavailableError, NotAllowedError."""
    async with _asking(within) as connection:
        return await take_snapshot(connection, within)


async def refresh(within: float = 60.0) -> int:
    """Have pluto asked now; answers the serial afterwards.

    Raises ServiceUnavailableError, NotAllowedError, PlutoUnavailableError.
    """
    async with _asking(within) as connection:
        reply = await connection.call(NAME, ROOT, MANAGER, "Refresh", within=within)
        serial: int = reply.body[0]
        return serial


async def details(
    names: Sequence[str] = (), within: float = 30.0, *, interactive: bool = False
) -> dict[str, dict[str, object]]:
    """Ask for what not everybody may know, by tunnel name; no names: of all.

    The keys are those of GetDetails in org.ipsecwatch1.Manager.xml. ``within`` is for each page.
    ``interactive``: a person is here who may be asked for a password, and has ASKING_LIMIT for it.
    Raises ServiceUnavailableError, NotAllowedError, NoSuchTunnelError.
    """
    found: dict[str, dict[str, object]] = {}
    async with _asking(within) as connection:
        for offset in count(0, PAGE):
            page = {"offset": Variant("u", offset), "limit": Variant("u", PAGE)}
            body = [list(names), page]
            reply = await connection.call(
                NAME,
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
            if len(tunnels) < PAGE:
                break
    return found


@asynccontextmanager
async def _asking(within: float) -> AsyncGenerator[BusConnection]:
    """Connect for one question; what goes wrong becomes a ClientError."""
    connection: BusConnection | None = None
    try:
        connection = await connect("system", within=within)
        yield connection
    except BusError as e:
        raise client_error(e) from e
    finally:
        if connection is not None:
            await connection.close()
