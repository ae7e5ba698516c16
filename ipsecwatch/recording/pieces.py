# SPDX-License-Identifier: MIT
"""Pieces of a line: which of it is libreswan's own text, and what each value in it is."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final


class Field(Enum):
    """What a value is, by where it stands."""

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
    HOSTS = auto()
    """Several, with blanks or commas between them."""
    PRIVATE = auto()
    """What is none of these, and never pluto's."""
    TEXT = auto()
    """What nobody knows: pluto's words in it stay (words.py)."""


Piece = tuple[Field, str]
"""A part of a line. All parts of a line together are the line."""

Pieces = list[Piece]

FREE: Final = frozenset(
    {
        Field.IDENTITY, Field.USER, Field.HOST, Field.CERTIFICATE, Field.URI, Field.LABEL,
        Field.BANNER, Field.PATH, Field.PRIVATE,
    }
)  # fmt: skip
"""Values that may have anything in them, pluto's own words too."""


def trimmed(field: Field, text: str, around: str = " ;,") -> Pieces:
    """Move what stands around a value, but isn't part of it, into pieces of their own."""
    core = text.strip(around)
    if not core:
        return [(Field.OWN, text)]
    at = text.index(core)
    return [(Field.OWN, text[:at]), (field, core), (Field.OWN, text[at + len(core) :])]
