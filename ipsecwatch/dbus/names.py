# SPDX-License-Identifier: MIT
"""Names on the bus: those of the service and of interfaces, and how a program gets a name."""

from __future__ import annotations

import hashlib
import os
import re
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
"""What the names of the service's own errors begin with."""

MANAGER: Final = "org.ipsecwatch1.Manager"
TUNNEL: Final = "org.ipsecwatch1.Tunnel"
PEER: Final = "org.freedesktop.DBus.Peer"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"

_ELEMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
"""D-Bus specification, "Bus names": one element of a name."""
_MAX_NAME: Final = 255
_TAKEN: Final = "Agent"
"""The agent's name below ours, on a session bus, which may also be the system's bus."""

_OWNER_RULE: Final = f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged'"
INSTANCES_RULE: Final = f"{_OWNER_RULE},arg0namespace='{NAME}'"
"""The match rule for signals that the owner of our name, or of one below it, has changed."""

# D-Bus specification, "org.freedesktop.DBus.RequestName"
_DO_NOT_QUEUE: Final = 4
_WAIT_FOR_IT: Final = 0
_PRIMARY_OWNER: Final = 1


def is_instance(name: str) -> bool:
    """Return whether a name is valid for an instance of the service (``ipsecwatch@NAME``).

    It has to be one element of a bus name, not too long with NAME before it, and not ``Agent``.
    """
    fits = len(NAME) + 1 + len(name) <= _MAX_NAME
    return fits and name != _TAKEN and _ELEMENT.fullmatch(name) is not None


def bus_name(instance: str = "") -> str:
    """Return the bus name of an instance of the service; "" is the service without an instance."""
    return f"{NAME}.{instance}" if instance else NAME


def unit_name(instance: str = "") -> str:
    """Return an instance's systemd unit without ``.service``; "" is the service without one."""
    return f"ipsecwatch@{instance}" if instance else "ipsecwatch"


def instance_of(name: str) -> str | None:
    """Return the instance to which a bus name belongs ("": the service without one).

    None for any other name; also for the agent's, and for that of a socket.
    """
    if name == NAME:
        return ""
    instance = name.removeprefix(f"{NAME}.")
    return instance if instance != name and is_instance(instance) else None


def socket_name(control_socket: str) -> str:
    """Return the bus name that a service owns while it watches the pluto at a control socket.

    The bus gives a name to one connection at a time, so two services can't watch the same pluto.
    The name has one element more than that of an instance, so it is never an instance's.
    """
    path = os.fsencode(os.path.realpath(control_socket))
    return f"{NAME}.socket.s{hashlib.sha256(path).hexdigest()[:32]}"


def owner_rule(instance: str = "") -> str:
    """Return the match rule for signals that the owner of an instance's name has changed."""
    return f"{_OWNER_RULE},arg0='{bus_name(instance)}'"


@cache
def machine_id() -> str:
    """Return this machine's id, for Peer.GetMachineId; "" where it has none."""
    for file in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError), open(file, encoding="ascii", errors="replace") as f:
            return f.read().strip()
    return ""


async def request_name(connection: BusConnection, name: str) -> bool:
    """Request a name from the bus. Return whether the bus gave it to this connection by that.

    False if another connection owns the name, or this one owns it already. Raise BusError.
    """
    reply = await connection.call_bus("RequestName", "su", name, _DO_NOT_QUEUE)
    return reply.body == [_PRIMARY_OWNER]


async def queue_for_name(connection: BusConnection, name: str) -> None:
    """Queue for a name, and return once the bus has replied. Raise BusError.

    The bus gives us the name when its owner releases it; at once if it has none.
    """
    await connection.call_bus("RequestName", "su", name, _WAIT_FOR_IT)


def release_name(connection: BusConnection, name: str) -> None:
    """Release a name, without waiting for the bus's reply.

    The reply may be late, because the messages that others have sent come before it.
    """
    connection.tell(BUS, BUS_PATH, BUS, "ReleaseName", "s", [name])


async def owner_of_name(connection: BusConnection, name: str) -> str:
    """Return the unique name of a name's owner. Raise BusError, also if there is none."""
    reply = await connection.call_bus("GetNameOwner", "s", name)
    return str(reply.body[0])
