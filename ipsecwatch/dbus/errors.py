# SPDX-License-Identifier: MIT
"""The errors of a message bus, and of calls over it."""

from __future__ import annotations


class BusError(Exception):
    """Communication over a bus failed. The text is one line; ``hint`` says what to do, or is ""."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnreachableError(BusError):
    """The bus can't be connected to."""


class LostError(BusError):
    """The connection to the bus was lost, or we have closed it."""


class NoReplyError(BusError):
    """No reply to a call came in time."""


class TooLargeError(BusError):
    """A message is larger than MAX_MESSAGE. It wasn't sent; the connection still works."""


class ErrorReplyError(BusError):
    """The reply to a call is an error. ``name`` is its D-Bus name.

    The text is the sender's, unescaped; the name if the sender gave none.

    ``sender`` is the connection that replied: the bus itself if the called one doesn't exist.
    """

    def __init__(self, name: str, text: str, sender: str = "") -> None:
        super().__init__(text or name)
        self.name = name
        self.sender = sender
