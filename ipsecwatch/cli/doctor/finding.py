# SPDX-License-Identifier: MIT
"""The result of one of the doctor's checks: whether a thing is well, and what repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """Whether a thing is well."""

    GOOD = "good"
    BAD = "bad"
    """The thing keeps people from seeing their tunnels, or will do so."""
    OFF = "off"
    """Something optional that is missing or switched off, or that can't be checked from here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found about one thing: a paragraph of the doctor's output."""

    subject: str
    mark: Mark
    text: str
    mend: str = ""
    """A command, or in words what to do; "" where nothing has to be done."""


def good(subject: str, text: str) -> Finding:
    """Return the finding that a thing is well."""
    return Finding(subject, Mark.GOOD, text)


def bad(subject: str, text: str, mend: str) -> Finding:
    """Return the finding that a thing is wrong, and what repairs it."""
    return Finding(subject, Mark.BAD, text, mend)


def off(subject: str, text: str, mend: str = "") -> Finding:
    """Return a finding of mark OFF, and what to do about it; ``mend`` "": nothing."""
    return Finding(subject, Mark.OFF, text, mend)
