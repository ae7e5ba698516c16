# SPDX-License-Identifier: MIT
"""The pieces of a line for redaction: libreswan's own text, and values with their kinds."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Field(Enum):
    """The kind of a piece, by its place in the line."""

    OWN = auto()
    """libreswan's own text."""
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
    """A private value of another kind."""
    TEXT = auto()
    """Text of unknown meaning: pluto's words in it stay (words.py)."""


Piece = tuple[Field, str]
"""A part of a line. Joined, the parts are the line, apart from colours and an end that was cut."""

Pieces = list[Piece]

FREE: Final = frozenset(
    {
        Field.IDENTITY, Field.USER, Field.HOST, Field.CERTIFICATE, Field.URI, Field.LABEL,
        Field.BANNER, Field.PATH, Field.PRIVATE,
    }
)  # fmt: skip
"""Kinds of values that may contain anything, even pluto's own words."""


def trimmed(field: Field, text: str, around: str = " ;,") -> Pieces:
    """Return a text as a value of the kind ``field``, with the characters of ``around`` cut off.

    Those at its beginning and its end are OWN pieces. A text of such characters alone is OWN.
    """
    core = text.strip(around)
    if not core:
        return [(Field.OWN, text)]
    at = text.index(core)
    return [(Field.OWN, text[:at]), (field, core), (Field.OWN, text[at + len(core) :])]
