# SPDX-License-Identifier: MIT
"""What a look at one thing brought: whether it is all right, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """How something is."""

    GOOD = "good"
    BAD = "bad"
    """It keeps people from seeing their tunnels, or will."""
    OFF = "off"
    """An optional part that isn't there, or something that can't be looked at from here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's."""

    subject: str
    mark: Mark
    text: str
    mend: str = ""
    """A command, or where there is none what to do; "" where nothing is to be mended."""


def good(subject: str, text: str) -> Finding:
    """Return that something is all right."""
    return Finding(subject, Mark.GOOD, text)


def bad(subject: str, text: str, mend: str) -> Finding:
    """Return that something is wrong, and what mends it."""
    return Finding(subject, Mark.BAD, text, mend)


def off(subject: str, text: str, mend: str = "") -> Finding:
    """Return that an optional part is off, and what switches it on."""
    return Finding(subject, Mark.OFF, text, mend)
