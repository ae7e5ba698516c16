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
"""The beginning of the D-Bus names of those errors that only our service has."""

MANAGER: Final = "org.ipsecwatch1.Manager"
TUNNEL: Final = "org.ipsecwatch1.Tunnel"
PEER: Final = "org.freedesktop.DBus.Peer"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"

_ELEMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
"""Matches one element of a bus name, as the D-Bus specification defines it ("Bus names")."""
_MAX_NAME: Final = 255
_TAKEN: Final = "Agent"
"""No instance may have this name: ``org.ipsecwatch1.Agent`` is the bus name of the agent, and one
bus may serve as system bus and session bus."""

_OWNER_RULE: Final = f"type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged'"
INSTANCES_RULE: Final = f"{_OWNER_RULE},arg0namespace='{NAME}'"
"""The match rule for NameOwnerChanged signals about NAME and all names below it, such as
``org.ipsecwatch1.office``."""

# D-Bus specification, "org.freedesktop.DBus.RequestName"
_DO_NOT_QUEUE: Final = 4
_WAIT_FOR_IT: Final = 0
_PRIMARY_OWNER: Final = 1


def is_instance(name: str) -> bool:
    """Return whether a name is valid for an instance of the service (the unit ``ipsecwatch@name``).

    It is valid if it can be one element of a bus name, if the bus name ``org.ipsecwatch1.name`` has
    no more than 255 characters, and if it isn't ``Agent``.
    """
    fits = len(NAME) + 1 + len(name) <= _MAX_NAME
    return fits and name != _TAKEN and _ELEMENT.fullmatch(name) is not None


def bus_name(instance: str = "") -> str:
    """Return the bus name of an instance of the service: ``org.ipsecwatch1.office`` for ``office``.

    "" is the service without an instance's name: ``org.ipsecwatch1``.
    """
    return f"{NAME}.{instance}" if instance else NAME


def unit_name(instance: str = "") -> str:
    """Return the name of the systemd unit of an instance of the service, without ``.service``.

    ``ipsecwatch@office`` for ``office``, ``ipsecwatch`` for the service without an instance's name
    ("").
    """
    return f"ipsecwatch@{instance}" if instance else "ipsecwatch"


def instance_of(name: str) -> str | None:
    """Return the instance of the service whose bus name this is: the opposite of bus_name().

    "": the service without an instance's name. None: it is another bus name, such as that of the
    agent or of a control socket (socket_name()).
    """
    if name == NAME:
        return ""
    instance = name.removeprefix(f"{NAME}.")
    return instance if instance != name and is_instance(instance) else None


def socket_name(control_socket: str) -> str:
    """Return the bus name that a service owns while it watches the pluto with this control socket.

    Only one connection can own a name, so two services can't watch the same pluto. The name is made
    from the socket's path, after symbolic links were followed. It has one element more than the bus
    name of an instance, so the two are never the same.
    """
    path = os.fsencode(os.path.realpath(control_socket))
    return f"{NAME}.socket.s{hashlib.sha256(path).hexdigest()[:32]}"


def owner_rule(instance: str = "") -> str:
    """Return the match rule for NameOwnerChanged signals about the bus name of an instance.

    "" is the service without an instance's name.
    """
    return f"{_OWNER_RULE},arg0='{bus_name(instance)}'"


@cache
def machine_id() -> str:
    """Return the content of /etc/machine-id, for Peer.GetMachineId.

    If that can't be read, return the id that D-Bus has stored; "": neither can be read. The files
    are read only once.
    """
    for file in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        with suppress(OSError), open(file, encoding="ascii", errors="replace") as f:
            return f.read().strip()
    return ""


async def request_name(connection: BusConnection, name: str) -> bool:
    """Request a name from the bus, without waiting in the queue for the name.

    Return True if the bus has just made this connection the name's owner; False if another
    connection owns the name, or this one owned it before. Raise BusError if the bus refuses the
    request or doesn't answer.
    """
    reply = await connection.call_bus("RequestName", "su", name, _DO_NOT_QUEUE)
    return reply.body == [_PRIMARY_OWNER]


async def queue_for_name(connection: BusConnection, name: str) -> None:
    """Queue this connection for a name at the bus, and return once the bus has replied.

    The connection gets the name when the name's owner releases it, or at once if nobody owns it.
    Raise BusError if the bus refuses the request or doesn't answer.
    """
    await connection.call_bus("RequestName", "su", name, _WAIT_FOR_IT)


def release_name(connection: BusConnection, name: str) -> None:
    """Ask the bus to take a name from this connection, and don't wait for its reply.

    The reply might be late, since it comes after the messages from others that wait for us.
    """
    connection.tell(BUS, BUS_PATH, BUS, "ReleaseName", "s", [name])


async def owner_of_name(connection: BusConnection, name: str) -> str:
    """Return the unique name of the connection that owns a bus name.

    Raise ErrorReplyError if there is no such connection, and other BusErrors if the bus can't be
    asked.
    """
    reply = await connection.call_bus("GetNameOwner", "s", name)
    return str(reply.body[0])
