# SPDX-License-Identifier: MIT
"""Names on the bus: what the service is called, and how a program gets a name."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch.dbus.connection import BUS, BUS_PATH

if TYPE_CHECKING:
    from ipsecwatch.dbus.connection import BusConnection

NAME: Final = "org.ipsecwatch1"
ROOT: Final = "/org/ipsecwatch1"
STANDARD_ERROR: Final = "org.freedesktop.DBus.Error."
OUR_ERROR: Final = "org.ipsecwatch1.Error."
"""What names of errors begin with."""

OWNER_RULE: Final = (
    f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged',arg0='{NAME}'"
)
"""The match rule for who has the service's name."""

# D-Bus specification, "org.freedesktop.DBus.RequestName"
_DO_NOT_QUEUE: Final = 4
_WAIT_FOR_IT: Final = 0
_PRIMARY_OWNER: Final = 1


@cache
def machine_id() -> str:
    """Return what Peer.GetMachineId answers; empty where this machine has no id."""
    for file in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError), open(file, encoding="ascii", errors="replace") as f:
            return f.read().strip()
    return ""


async def request_name(connection: BusConnection, name: str) -> bool:
    """Ask the bus for a name; return False if somebody else has it. Raise BusError."""
    reply = await connection.call_bus("RequestName", "su", name, _DO_NOT_QUEUE)
    return reply.body == [_PRIMARY_OWNER]


async def wait_for_name(connection: BusConnection, name: str) -> None:
    """Have the bus give a name to a connection as soon as who has it lets it go. Raise BusError."""
    await connection.call_bus("RequestName", "su", name, _WAIT_FOR_IT)


def let_go_of_name(connection: BusConnection, name: str) -> None:
    """Let go of a name. No answer: it may come late, behind what others have sent."""
    connection.tell(BUS, BUS_PATH, BUS, "ReleaseName", "s", [name])


async def owner_of_name(connection: BusConnection, name: str) -> str:
    """Return the unique name of who has a name. Raise BusError, also if nobody has it."""
    reply = await connection.call_bus("GetNameOwner", "s", name)
    return str(reply.body[0])
