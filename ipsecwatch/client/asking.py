# SPDX-License-Identifier: MIT
"""Asking the service over a connection: its answers as views, its refusals in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.client.events import Snapshot, pluto_state, view, word
from ipsecwatch.dbus.connection import BusError, ErrorReplyError, NoReplyError
from ipsecwatch.dbus.introspection import MANAGER, PROPERTIES
from ipsecwatch.dbus.names import NAME, OUR_ERROR, ROOT, STANDARD_ERROR
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Reply

_NOBODY: Final = (STANDARD_ERROR + "ServiceUnknown", STANDARD_ERROR + "NameHasNoOwner")
_LOOK: Final = "Look at it with: systemctl status ipsecwatch"


class ClientError(Exception):
    """Why the service gave no answer. The text is one line; ``hint`` says what to do, or ""."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ServiceUnavailableError(ClientError):
    """There is no bus, or nobody on it is ipsecwatch, or it doesn't answer in time."""


class NotAllowedError(ClientError):
    """The service, or the bus policy, said no."""


class NoSuchTunnelError(ClientError):
    """The service doesn't know a tunnel of that name."""


class PlutoUnavailableError(ClientError):
    """The service is there, but pluto couldn't be asked."""


class ChangedHandsError(BusError):
    """The service was started again between two questions."""


def nobody_there(error: BusError) -> bool:
    """Tell whether an error means that nobody is ipsecwatch on this bus."""
    return isinstance(error, ErrorReplyError) and error.name in _NOBODY


def client_error(error: BusError) -> ClientError:
    """Put into words why there is no answer."""
    text = clean(str(error))
    if nobody_there(error):
        hint = "Start it with: systemctl start ipsecwatch"
        return ServiceUnavailableError("ipsecwatch isn't running", hint)
    if isinstance(error, NoReplyError):
        return ServiceUnavailableError("ipsecwatch doesn't answer", _LOOK)
    if not isinstance(error, ErrorReplyError):
        return ServiceUnavailableError(text, error.hint)
    if error.name in (
        STANDARD_ERROR + "AccessDenied",
        STANDARD_ERROR + "InteractiveAuthorizationRequired",
    ):
        return NotAllowedError(text, "Try it as root")
    if error.name == OUR_ERROR + "NoSuchTunnel":
        return NoSuchTunnelError(text, "Names are those of: ipsecwatch status")
    if error.name == OUR_ERROR + "PlutoUnavailable":
        return PlutoUnavailableError(text, "Is libreswan running? systemctl status ipsec")
    return ServiceUnavailableError(f"ipsecwatch can't answer: {text}", _LOOK)


async def take_snapshot(
    connection: BusConnection,
    within: float,
    began: Callable[[Reply], None] | None = None,
    ended: Callable[[Reply], None] | None = None,
) -> Snapshot:
    """Ask for pluto's state and for all tunnels. The callbacks run as the two answers arrive.

    Raises BusError.
    """
    first = await connection.call(
        NAME, ROOT, PROPERTIES, "GetAll", "s", [MANAGER], within=within, arrived=began
    )
    reply = await connection.call(NAME, ROOT, MANAGER, "GetSnapshot", within=within, arrived=ended)
    if reply.sender != first.sender:
        raise ChangedHandsError("ipsecwatch was started again just now", "Ask again")
    run_id, serial, tunnels = reply.body
    pluto = pluto_state(word(first.body[0], "PlutoState"))
    return Snapshot(run_id, serial, pluto, {path: view(path, p) for path, p in tunnels.items()})
