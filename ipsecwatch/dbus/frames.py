# SPDX-License-Identifier: MIT
"""Messages as they come in: what is worth unpacking is decided by their headers.

The bus passes messages of up to 128 MiB from anybody. To unpack a body in Python takes far longer
than to send it, nested variants longest of all (1 MiB of them: 0.4 s). So a body that nobody has
use for is left out of the stream before the library sees it. What is left of such a message has no
body, and a signature all the same: a call gets an error.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

METHOD_CALL: Final = 1
SIGNAL: Final = 4
NO_REPLY_EXPECTED: Final = 1

MAX_FIELDS: Final = 64 << 10
"""Bytes of header fields; a message with more is left out as a whole. Real ones have some 200."""

_FIXED: Final = 16
"""Bytes with which every message begins; they tell how long it is."""
_MEMBER: Final = 3
_SENDER: Final = 7
_SIGNATURE: Final = 8


@dataclass(frozen=True, slots=True)
class Header:
    """What a message's header says. Texts are empty where a field isn't there."""

    kind: int
    """METHOD_CALL, SIGNAL …; others are replies."""
    flags: int
    member: str
    sender: str
    """The bus vouches for it."""
    signature: str
    body: int
    """Bytes."""
    plain: bool
    """All fields are of the types that the specification gives them."""


class Handling(Enum):
    """What becomes of a message."""

    PASS = auto()
    WITHOUT_BODY = auto()
    SKIP = auto()


def by_size(largest: int) -> Callable[[Header], Handling]:
    """Return a judge that leaves out bodies of more than ``largest`` bytes."""
    return lambda header: Handling.PASS if header.body <= largest else Handling.WITHOUT_BODY


class Frames:
    """Goes through a stream of messages and passes on what ``judge`` wants of each."""

    def __init__(self, judge: Callable[[Header], Handling]) -> None:
        self._judge = judge
        self._head = bytearray()
        self._length = _FIXED
        """Bytes of the header that is being collected, as far as is known."""
        self._passing = self._skipping = 0

    def feed(self, data: bytes) -> bytes:
        """Take what came in, cut anywhere; return what of it is passed on."""
        if len(data) <= self._passing:  # the usual case of a long message
            self._passing -= len(data)
            return data
        out = bytearray()
        rest = memoryview(data)
        while rest:
            if self._passing:
                out += rest[: self._passing]
                rest, self._passing = _advanced(rest, self._passing)
            elif self._skipping:
                rest, self._skipping = _advanced(rest, self._skipping)
            else:
                missing = self._length - len(self._head)
                self._head += rest[:missing]
                rest = rest[missing:]
                if len(self._head) == self._length:
                    out += self._collected()
        return bytes(out)

    def _collected(self) -> bytes:
        """Take a part of a header that is whole: its fixed part, or all of it."""
        head = self._head
        order = ">" if head[0] == ord("B") else "<"
        body, _, length = struct.unpack_from(f"{order}III", head, 4)
        padded = length + -length % 8
        if len(head) == _FIXED and padded:
            if padded > MAX_FIELDS:
                self._begin_next(skipping=padded + body)
            else:
                self._length = _FIXED + padded
            return b""
        verdict = self._judge(_header(head, order, length, body))
        if verdict is Handling.SKIP:
            self._begin_next(skipping=body)
            return b""
        if verdict is Handling.WITHOUT_BODY:
            struct.pack_into(f"{order}I", head, 4, 0)
            self._begin_next(skipping=body)
        else:
            self._begin_next(passing=body)
        return bytes(head)

    def _begin_next(self, *, passing: int = 0, skipping: int = 0) -> None:
        self._head, self._length = bytearray(), _FIXED
        self._passing, self._skipping = passing, skipping


def _advanced(rest: memoryview, count: int) -> tuple[memoryview, int]:
    return rest[count:], max(0, count - len(rest))


def _header(head: bytearray, order: str, length: int, body: int) -> Header:
    found: dict[int, str] = {}
    try:
        plain = _read_fields(head, order, _FIXED + length, found)
    except (IndexError, struct.error, UnicodeDecodeError):
        plain = False
    return Header(
        head[1],
        head[2],
        found.get(_MEMBER, ""),
        found.get(_SENDER, ""),
        found.get(_SIGNATURE, ""),
        body,
        plain,
    )


def _read_fields(head: bytearray, order: str, end: int, found: dict[int, str]) -> bool:
    """Read the header's texts by the numbers of their fields; return False at a strange one.

    The fields are structs of a number and a variant, each at a multiple of 8 bytes (D-Bus
    specification, "Message Format").
    """
    at = _FIXED
    while at < end:
        at += -at % 8
        number, of_type, kind = head[at], head[at + 1], head[at + 2]
        at += 4
        if of_type != 1:
            return False
        if kind in b"so":
            (size,) = struct.unpack_from(f"{order}I", head, at)
            at += 4
        elif kind == ord("g"):
            size = head[at]
            at += 1
        elif kind == ord("u"):
            at += 4
            continue
        else:
            return False
        if at + size >= end + 1:
            return False
        found[number] = head[at : at + size].decode()
        at += size + 1
    return True
