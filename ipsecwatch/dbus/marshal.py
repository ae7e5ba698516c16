# SPDX-License-Identifier: MIT
"""Build D-Bus messages from pieces that were marshalled before.

With thousands of tunnels, a message is faster joined from pieces that are kept for each tunnel. A
piece that begins at a multiple of 8 bytes, as each entry of a dictionary does, is the same wherever
it stands. The pieces themselves come from dbus-fast's marshaller.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from dbus_fast import Variant
from dbus_fast._private.marshaller import Marshaller

if TYPE_CHECKING:
    from collections.abc import Sequence

METHOD_RETURN: Final = 2
SIGNAL: Final = 4

_FIELDS: Final = {
    "path": (1, "o"),
    "interface": (2, "s"),
    "member": (3, "s"),
    "reply_serial": (5, "u"),
    "destination": (6, "s"),
    "signature": (8, "g"),
}
"""The number and D-Bus type of each header field that we send, by its name."""


def marshal(signature: str, *values: Any) -> bytes:  # noqa: ANN401
    """Return values of the types in ``signature``, marshalled one after the other.

    The bytes are valid only where they begin at a multiple of 8 bytes in a message.
    """
    return bytes(Marshaller(signature, list(values)).marshall())


def entry(signature: str, key: str, value: object) -> bytes:
    """Return one marshalled entry of an a{sv}. ``signature``: the type of ``value``.

    The type isn't checked.
    """
    # Unverified: the types are ours, and 10,000 tunnels are 110,000 values.
    return marshal("sv", key, Variant(signature, value, verify=False))


def array(before: bytes, elements: bytes) -> bytes:
    """Return ``before`` with a marshalled array appended.

    Its elements must be of a type that begins at a multiple of 8 bytes, as structs and entries of
    dictionaries do. ``elements``: all elements, marshalled and joined, without the array's length,
    which is added here.
    """
    return _padded(_padded(before, 4) + struct.pack("<I", len(elements)), 8) + elements


def followed(before: bytes, strings: bytes) -> bytes:
    """Return ``before`` with ``strings`` appended, after padding to a multiple of 4 bytes.

    ``strings``: a marshalled array of strings with its length (or of other elements that begin at
    multiples of 4 bytes).
    """
    return _padded(before, 4) + strings


def joined(pieces: Sequence[bytes]) -> bytes:
    """Return all pieces as one, with padding between them: each begins at a multiple of 8 bytes.

    No padding follows the last piece. The result is empty if there are no pieces.
    """
    if not pieces:
        return b""
    return b"".join([_padded(piece, 8) for piece in pieces[:-1]]) + pieces[-1]


def assembled(kind: int, serial: int, fields: bytes, body: bytes) -> bytes:
    """Return a whole message in D-Bus's wire format, little-endian and without flags.

    ``kind`` is METHOD_RETURN or SIGNAL, ``fields`` what header_fields() returned, and ``body`` the
    marshalled values.
    """
    start = struct.pack("<BBBBII", ord("l"), kind, 0, 1, len(body), serial)
    return _padded(array(start, fields), 8) + body


def header_fields(**fields: str | int) -> bytes:
    """Return the header fields of a message, marshalled for assembled().

    Header fields are an array; its length isn't included. The keywords are the names in _FIELDS:
    those of the specification, in lower case.
    """
    found = [(_FIELDS[name], value) for name, value in fields.items()]
    return joined([marshal("yv", number, Variant(kind, v)) for (number, kind), v in found])


signal_fields: Final = lru_cache(maxsize=64)(header_fields)
"""header_fields() with a cache, for signals: thousands of them may have the same fields."""


def _padded(piece: bytes, to: int) -> bytes:
    missing = -len(piece) % to
    return piece + bytes(missing) if missing else piece
