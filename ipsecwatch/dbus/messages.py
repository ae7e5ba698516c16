# SPDX-License-Identifier: MIT
"""Method calls, signals and replies as the other rooms use them, without the library's types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from dbus_fast import MessageFlag, Variant
from dbus_fast.unpack import unpack_variants

from ipsecwatch.dbus.marshal import assembled

if TYPE_CHECKING:
    from dbus_fast import Message

__all__ = [
    "Call",
    "MarshalledMessage",
    "Reply",
    "Signal",
    "Variant",
    "read_call",
    "read_signal",
    "unpack_variants",
]


class Call(NamedTuple):
    """A method call that we received.

    ``sender`` is the caller's unique name. The bus sets it, so nobody can forge it. ``interface``
    is None if the caller named none. ``body`` has the arguments. If these were removed because they
    are too large (frames.py), it is empty, although ``signature`` isn't.
    """

    sender: str
    serial: int
    path: str
    interface: str | None
    member: str
    signature: str
    body: list[Any]
    wants_reply: bool
    interactive: bool
    """Whether the caller allows us to have a person asked for a password before we answer."""


class Signal(NamedTuple):
    """A signal that we received. ``sender`` is the unique name of the connection that sent it.

    (``org.freedesktop.DBus`` if the bus itself sent it.) Anybody on the bus can send any signal, so
    compare ``sender`` with the unique name of the expected sender.
    """

    sender: str
    path: str
    interface: str
    member: str
    signature: str
    body: list[Any]


class Reply(NamedTuple):
    """The reply to a call of ours, if it isn't an error. ``body`` has the returned values.

    ``sender`` is the unique name of the connection that replied, or ``org.freedesktop.DBus`` if the
    bus itself did.
    """

    sender: str
    signature: str
    body: list[Any]


@dataclass(slots=True)
class MarshalledMessage:
    """A message to be sent, whose header fields and body are marshalled already.

    The library can send it like one of its own messages, since it has the same method and fields.
    """

    kind: int
    fields: bytes
    body: bytes
    serial: int = 0
    destination: str | None = None
    unix_fds: tuple[()] = ()

    def _marshall(self, _negotiate_unix_fd: bool) -> bytes:  # noqa: FBT001 - the library's
        return assembled(self.kind, self.serial, self.fields, self.body)


def read_call(message: Message) -> Call:
    """Return a method call, which the library has parsed, as a Call."""
    return Call(
        sender=message.sender or "",
        serial=message.serial,
        path=message.path or "",
        interface=message.interface,
        member=message.member or "",
        signature=message.signature,
        body=message.body,
        wants_reply=not message.flags & MessageFlag.NO_REPLY_EXPECTED,
        interactive=bool(message.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION),
    )


def read_signal(message: Message) -> Signal:
    """Return a signal, which the library has parsed, as a Signal."""
    return Signal(
        sender=message.sender or "",
        path=message.path or "",
        interface=message.interface or "",
        member=message.member or "",
        signature=message.signature,
        body=message.body,
    )
