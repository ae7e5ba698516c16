# SPDX-License-Identifier: MIT
"""What can go wrong with a message bus, and with whoever is asked over it."""

from __future__ import annotations


class BusError(Exception):
    """A bus, or somebody on it, can't be talked to. One line; ``hint`` says what to do, or ""."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnreachableError(BusError):
    """There is no connection to the bus to be had."""


class LostError(BusError):
    """The connection to the bus is gone."""


class NoReplyError(BusError):
    """Nobody answered in time."""


class TooLargeError(BusError):
    """A message is larger than the bus takes. It wasn't sent; the connection is all right."""


class ErrorReplyError(BusError):
    """Somebody answered with an error. ``name`` is for programs, the text is theirs.

    ``sender`` is who answered: the bus itself, where there was nobody to ask.
    """

    def __init__(self, name: str, text: str, sender: str = "") -> None:
        super().__init__(text or name)
        self.name = name
        self.sender = sender
