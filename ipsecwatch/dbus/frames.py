# SPDX-License-Identifier: MIT
"""Filter the stream of incoming messages by their headers, before the library unpacks them.

The bus passes messages of up to 128 MiB from anybody. To unpack a body in Python takes far longer
than to send it, nested variants longest of all (1 MiB of them: 0.4 s). So a body that isn't needed
is removed from the stream before the library sees it. Such a message keeps its signature and has
no body, so that a call is answered with an error.
"""

from __future__ import annotations

import struct
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

METHOD_CALL: Final = 1
SIGNAL: Final = 4
NO_REPLY_EXPECTED: Final = 1

MAX_FIELDS: Final = 64 << 10
"""Bytes that the header fields of a message may have. A message with more is removed as a whole.
Real messages have some 200."""

MAX_KNOWN: Final = 512
"""Number of parsed headers that are cached at most: enough for so many connections, if each sends
messages with one and the same header. When one more comes, the cache is emptied."""
LARGEST_KNOWN: Final = 1 << 10
"""Bytes of the largest header that is cached, without its serial."""

_FIXED: Final = 16
"""Bytes at the beginning of every message, which contain its length."""
_IS_BIG: Final = ord("B")
_BIG: Final = struct.Struct(">III").unpack_from
_LITTLE: Final = struct.Struct("<III").unpack_from
_MEMBER: Final = 3
_SENDER: Final = 7
_SIGNATURE: Final = 8


class Header(NamedTuple):
    """What a message's header says. A text is empty if the header has no such field.

    If ``plain`` is False, fields behind the one that can't be read are empty as well.
    """

    kind: int
    """The message's type by the D-Bus specification: METHOD_CALL, SIGNAL, or else a reply (2) or an
    error (3)."""
    flags: int
    member: str
    sender: str
    """The sender's unique name, or ``org.freedesktop.DBus`` if the bus itself sent the message. The
    bus sets it, so nobody can forge it."""
    signature: str
    body: int
    """The body's length in bytes."""
    plain: bool
    """Whether all header fields could be read: each is of a type that the specification's own
    fields have (s, o, g or u)."""


class Handling(Enum):
    """How much of a message is passed on to the library.

    That is all of it (PASS), its header alone, changed to say that there is no body (WITHOUT_BODY),
    or nothing (SKIP).
    """

    PASS = auto()
    WITHOUT_BODY = auto()
    SKIP = auto()


def by_size(largest: int) -> Callable[[Header], Handling]:
    """Return a ``judge`` for Frames that removes bodies of more than ``largest`` bytes.

    It passes on all else.
    """
    return lambda header: Handling.PASS if header.body <= largest else Handling.WITHOUT_BODY


class Frames:
    """Filters a stream of messages. ``judge`` decides, by its header, what to do with each of them.

    A message with more than MAX_FIELDS bytes of header fields is removed without asking ``judge``.
    Parsed headers are cached, since the messages of a flood mostly have the same header but for
    their serials.
    """

    def __init__(self, judge: Callable[[Header], Handling]) -> None:
        self._judge = judge
        self._begun = b""
        """The beginning of a header whose rest hasn't come in yet; empty: no header is begun."""
        self._passing = self._skipping = 0
        self._known: dict[bytes, Header] = {}
        """The cached headers as parsed. The keys are the headers' bytes without the serial."""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes that are passed on when the next bytes of the stream (``data``) come in.

        ``data`` may begin and end anywhere in a message. The beginning of a header is kept until
        its rest comes in. The result is empty if nothing can be passed on now.
        """
        if len(data) <= self._passing:  # the usual case of a long message
            self._passing -= len(data)
            return data
        if self._begun:
            data, self._begun = self._begun + data, b""
        return self._sifted(data)

    def _sifted(self, data: bytes) -> bytes:
        """Return the bytes of ``data`` that are passed on.

        ``data`` begins with a message, or with the rest of a message whose beginning was in an
        earlier call: that rest is passed on or removed, as was decided then.
        """
        out: list[bytes] = []
        skipping = self._skipping
        at = skipping or self._passing
        begin = skipping
        """The index of the first byte that is passed on as it is, and that isn't in ``out`` yet."""
        end = len(data)
        while at < end:
            header, start, after = self._look(data, at, end)
            if header is None and not after:  # it isn't whole
                break
            verdict = Handling.SKIP if header is None else self._judge(header)
            if verdict is not Handling.PASS:
                if begin < at:
                    out.append(data[begin:at])
                begin = after
                if verdict is Handling.WITHOUT_BODY:
                    out.append(data[at : at + 4] + bytes(4) + data[at + 8 : start])
            at = after
        out.append(data[begin:at])
        self._begun = data[at:]
        self._skipping, self._passing = (at - end, 0) if begin == at else (0, at - end)
        if at < end:
            self._skipping = self._passing = 0
        return b"".join(out)

    def _look(self, data: bytes, at: int, end: int) -> tuple[Header | None, int, int]:
        """Return the header of the message at index ``at``, and where its body begins and ends.

        Both are indices in ``data``, which ends at ``end``; the message may end behind that.
        (None, 0, 0): the header isn't complete yet. None with other indices: the header fields have
        more than MAX_FIELDS bytes.
        """
        if end - at < _FIXED:
            return None, 0, 0
        body, _, length = (_BIG if data[at] == _IS_BIG else _LITTLE)(data, at + 4)
        start = at + _FIXED + length + -length % 8
        if length > MAX_FIELDS:
            return None, start, start + body
        if start > end:
            return None, 0, 0
        known = data[at : at + 8] + data[at + 12 : start]
        if (header := self._known.get(known)) is None:
            header = _header(data[at:start], length, body)
            self._remember(known, header)
        return header, start, start + body

    def _remember(self, known: bytes, header: Header) -> None:
        if len(known) <= LARGEST_KNOWN:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[known] = header


def _header(head: bytes, length: int, body: int) -> Header:
    """Return the header in ``head``, parsed.

    ``length``: the number of bytes of the header fields; ``body``: that of the message's body. If a
    field can't be read, ``plain`` is False, and the fields behind it are left out.
    """
    order = ">" if head[0] == _IS_BIG else "<"
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


def _read_fields(head: bytes, order: str, end: int, found: dict[int, str]) -> bool:
    """Add the texts in a message's header fields to ``found``, by the numbers of the fields.

    Return True if all fields could be read. Return False, or raise IndexError, struct.error or
    UnicodeDecodeError, at the first one that can't: it isn't of type s, o, g or u, or is too long.
    Fields of type u are skipped. ``end``: the index in ``head`` behind the last field. The fields
    are structs of a number and a variant, each at a multiple of 8 bytes (D-Bus specification,
    "Message Format").
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
