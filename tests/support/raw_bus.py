# SPDX-License-Identifier: MIT
"""Sends raw D-Bus messages over a socket, without a D-Bus library: invalid ones, and very many."""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from dbus_fast import Variant
from dbus_fast._private.marshaller import Marshaller

if TYPE_CHECKING:
    from collections.abc import Mapping

CALL, SIGNAL = 1, 4
ODD = (77, "s", "from the future")
"""The number, type and value of a header field that D-Bus doesn't define."""
_FIELDS = {
    "path": (1, "o"),
    "interface": (2, "s"),
    "member": (3, "s"),
    "error_name": (4, "s"),
    "reply_serial": (5, "u"),
    "destination": (6, "s"),
    "sender": (7, "s"),
    "signature": (8, "g"),
}


def message(
    serial: int,
    fields: Mapping[str, object],
    *,
    kind: int = CALL,
    flags: int = 0,
    body: bytes = b"",
    odd: bool = False,
) -> bytes:
    """Return the bytes of a message with these header fields.

    ``kind`` is the message type; it and ``flags`` may be invalid. ``odd``: the message also has the
    header field ODD.
    """
    found: list[tuple[int, Any]] = []
    for name, value in fields.items():
        number, signature = _FIELDS[name]
        found.append((number, Variant(signature, value)))
    if odd:
        number, signature, text = ODD
        found.append((number, Variant(signature, text)))
    head = [ord("l"), kind, flags, 1, len(body), serial, found]
    made = bytes(Marshaller("yyyyuua(yv)", head).marshall())
    return made + bytes(-len(made) % 8) + body


def body(signature: str, *values: object) -> bytes:
    """Return the bytes of a message body with these values."""
    return bytes(Marshaller(signature, list(values)).marshall())


class RawBus:
    """A connection to the system bus over a plain socket, while its context lasts."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.connect(os.environ["DBUS_SYSTEM_BUS_ADDRESS"].removeprefix("unix:path="))
        self._serial = 0

    def __enter__(self) -> Self:
        uid = str(os.getuid()).encode().hex().encode()
        self._sock.sendall(b"\0AUTH EXTERNAL " + uid + b"\r\n")
        assert self._sock.recv(1000).startswith(b"OK")
        self._sock.sendall(b"BEGIN\r\n")
        self.bus("Hello")
        assert self._sock.recv(1000)
        self._sock.setblocking(False)
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def next(self) -> int:
        """Return the next serial number for a message."""
        self._serial += 1
        return self._serial

    def bus(self, member: str, *rule: str) -> None:
        """Call a method of the bus itself, with ``rule`` as its argument, if any; read no reply."""
        where = "org.freedesktop.DBus"
        fields = {"path": "/org/freedesktop/DBus", "destination": where, "interface": where}
        if rule:
            fields["signature"] = "s"
        made = body("s" * len(rule), *rule)
        self.send(message(self.next(), {**fields, "member": member}, body=made))

    def send(self, data: bytes, *, read: bool = True, within: float = 30.0) -> bool:
        """Send the data; return whether all of it was sent within about ``within`` seconds.

        Return False also if the bus closed the connection. ``read``: read, and drop, what the bus
        sends meanwhile.
        """
        give_up = time.monotonic() + within
        rest = memoryview(data)
        try:
            while rest and time.monotonic() < give_up:
                readable, writable, _ = select.select([self._sock] * read, [self._sock], [], 1.0)
                if readable:
                    self.drain()
                if writable:
                    with suppress(BlockingIOError):
                        rest = rest[self._sock.send(rest) :]
        except OSError:  # the bus has closed the connection
            return False
        return not rest

    def drain(self) -> int:
        """Read and drop what has arrived from the bus; return how many bytes that were."""
        count = 0
        with suppress(BlockingIOError):
            while data := self._sock.recv(1 << 20):
                count += len(data)
        return count

    def drain_until_quiet(self, quiet: float = 0.5, within: float = 60.0) -> int:
        """Read and drop what the bus sends, and return how many bytes that were.

        Stop when it has sent nothing for ``quiet`` seconds, when it has closed the connection, or
        after ``within`` seconds.
        """
        count = 0
        give_up = time.monotonic() + within
        while time.monotonic() < give_up:
            readable, _, _ = select.select([self._sock], [], [], quiet)
            if not readable:
                break
            with suppress(OSError):
                if more := self.drain():
                    count += more
                    continue
            break
        return count
