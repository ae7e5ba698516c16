# SPDX-License-Identifier: MIT
"""A finding: what one of the doctor's checks says about one thing, and what repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How a thing is: in order, faulty, or neither. It decides the sign before a finding."""

    GOOD = "good"
    BAD = "bad"
    """A fault: it hides tunnels from the user, makes what is shown wrong, or will do so later."""
    OFF = "off"
    """No fault: the thing is optional and is missing, or this user may not use or check it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about one thing. It is printed as one paragraph.

    ``subject`` is the thing's name, such as ``bus policy``; ``text`` says how it is.
    """

    subject: str
    mark: Mark
    text: str
    mend: str = ""
    """What to do: a command, or a sentence; "": there is nothing to do."""


def good(subject: str, text: str) -> Finding:
    """Return a finding with the mark GOOD, for which there is nothing to do."""
    return Finding(subject, Mark.GOOD, text)


def bad(subject: str, text: str, mend: str) -> Finding:
    """Return a finding with the mark BAD. ``mend``: what repairs it."""
    return Finding(subject, Mark.BAD, text, mend)


def off(subject: str, text: str, mend: str = "") -> Finding:
    """Return a finding with the mark OFF. ``mend``: what would change it; "": nothing."""
    return Finding(subject, Mark.OFF, text, mend)
