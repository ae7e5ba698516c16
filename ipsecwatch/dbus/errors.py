# SPDX-License-Identifier: MIT
"""The errors of a message bus, and of calls over it."""

from __future__ import annotations


class BusError(Exception):
    """Communication over a bus failed.

    The text is one line for people, except that of an ErrorReplyError. ``hint`` says what a person
    can do about the error; "": nothing is known.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnreachableError(BusError):
    """No connection to the bus was made: it isn't there, refuses us, or doesn't answer in time."""


class LostError(BusError):
    """The connection to the bus was lost, or closed by us, before or during what was attempted."""


class NoReplyError(BusError):
    """No reply to a call of ours came within the time limit of the call."""


class TooLargeError(BusError):
    """A message that we wanted to send is larger than MAX_MESSAGE.

    The message wasn't sent; the connection still works.
    """


class ErrorReplyError(BusError):
    """The reply to a call of ours is an error. ``name`` is the error's D-Bus name.

    The exception's text is the text that came with the error, unescaped and perhaps of several
    lines, or the name if no text came. ``sender`` is the unique name of the connection that
    replied, or ``org.freedesktop.DBus`` if the error is the bus's own: for example because nobody
    has the called name, or because the bus doesn't allow the call.
    """

    def __init__(self, name: str, text: str, sender: str = "") -> None:
        super().__init__(text or name)
        self.name = name
        self.sender = sender
