# SPDX-License-Identifier: MIT
"""Names on the bus: what the service is called, and how a program gets a name."""

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
"""What names of errors begin with."""

_ELEMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
"""D-Bus specification, "Bus names": one element of a name."""
_MAX_NAME: Final = 255
_TAKEN: Final = "Agent"
"""What the agent is called below our name, on a session's bus. One bus may be both."""

_OWNER_RULE: Final = f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged'"
INSTANCES_RULE: Final = f"{_OWNER_RULE},arg0namespace='{NAME}'"
"""The match rule for who has our name, or one below it."""

# D-Bus specification, "org.freedesktop.DBus.RequestName"
_DO_NOT_QUEUE: Final = 4
_WAIT_FOR_IT: Final = 0
_PRIMARY_OWNER: Final = 1


def is_instance(name: str) -> bool:
    """Return whether a service can be called so beside others: ``ipsecwatch@NAME.service``."""
    fits = len(NAME) + 1 + len(name) <= _MAX_NAME
    return fits and name != _TAKEN and _ELEMENT.fullmatch(name) is not None


def bus_name(instance: str = "") -> str:
    """Return the bus name of an instance of the service; of the service itself for ""."""
    return f"{NAME}.{instance}" if instance else NAME


def unit_name(instance: str = "") -> str:
    """Return the systemd unit of an instance as people type it; of the service itself for ""."""
    return f"ipsecwatch@{instance}" if instance else "ipsecwatch"


def instance_of(name: str) -> str | None:
    """Return the instance that has a bus name, "" for the service itself; None: it isn't ours."""
    if name == NAME:
        return ""
    instance = name.removeprefix(f"{NAME}.")
    return instance if instance != name and is_instance(instance) else None


def socket_name(control_socket: str) -> str:
    """Return the bus name that belongs to whoever watches the pluto at a control socket.

    The bus gives a name to one connection at a time: two services don't watch one pluto. It has
    an element more than the name of an instance, and so is never one.
    """
    path = os.fsencode(os.path.realpath(control_socket))
    return f"{NAME}.socket.s{hashlib.sha256(path).hexdigest()[:32]}"


def owner_rule(instance: str = "") -> str:
    """Return the match rule for who has the name of an instance."""
    return f"{_OWNER_RULE},arg0='{bus_name(instance)}'"


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
    """Queue for a name: the bus gives it to us as soon as its owner releases it. Raise BusError."""
    await connection.call_bus("RequestName", "su", name, _WAIT_FOR_IT)


def let_go_of_name(connection: BusConnection, name: str) -> None:
    """Release a name. Wait for no reply: it may come late, behind what others have sent."""
    connection.tell(BUS, BUS_PATH, BUS, "ReleaseName", "s", [name])


async def owner_of_name(connection: BusConnection, name: str) -> str:
    """Return the unique name of who has a name. Raise BusError, also if nobody has it."""
    reply = await connection.call_bus("GetNameOwner", "s", name)
    return str(reply.body[0])
