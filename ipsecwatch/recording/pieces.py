# SPDX-License-Identifier: MIT
"""The pieces of a line for redaction: libreswan's own text, and values with their kinds.

The text ``"office":`` has three pieces: OWN ``"``, CONNECTION ``office``, OWN ``":``.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Field(Enum):
    """The kind of a piece, which is found by its place in the line."""

    OWN = auto()
    """libreswan's own text, which stays as it is."""
    CONNECTION = auto()
    ADDRESSES = auto()
    """Addresses, subnets, ranges, host names, with ports, and what pluto puts between them."""
    IDENTITY = auto()
    USER = auto()
    HOST = auto()
    CERTIFICATE = auto()
    INTERFACE = auto()
    PATH = auto()
    URI = auto()
    LABEL = auto()
    BANNER = auto()
    UNIT = auto()
    SPI = auto()
    PID = auto()
    CONNECTIONS = auto()
    """Several names of connections, with blanks or commas between them."""
    HOSTS = auto()
    """Several names of hosts, with blanks or commas between them."""
    PRIVATE = auto()
    """A private value of any other kind."""
    TEXT = auto()
    """Text of unknown meaning: only libreswan's words in it stay (words.py)."""


Piece = tuple[Field, str]
"""A part of a line: its kind and its text.

All pieces joined are the line itself, except that colours of a terminal are left out, and that a
topology that pluto cut gets some characters at its end (connection_lines.PAD).
"""

Pieces = list[Piece]

FREE: Final = frozenset(
    {
        Field.IDENTITY, Field.USER, Field.HOST, Field.CERTIFICATE, Field.URI, Field.LABEL,
        Field.BANNER, Field.PATH, Field.PRIVATE,
    }
)  # fmt: skip
"""The kinds of values that may contain any text, even words that pluto itself prints."""


def trimmed(field: Field, text: str, around: str = " ;,") -> Pieces:
    """Return the pieces of a value of the kind ``field`` that has punctuation or blanks around it.

    ``around`` are the characters that don't belong to the value: at the beginning and the end of
    the text, they become OWN pieces. A text that has only such characters is OWN as a whole.
    """
    core = text.strip(around)
    if not core:
        return [(Field.OWN, text)]
    at = text.index(core)
    return [(Field.OWN, text[:at]), (field, core), (Field.OWN, text[at + len(core) :])]
