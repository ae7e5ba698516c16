# SPDX-License-Identifier: MIT
"""The releases of libreswan that the tables are about, oldest first. This is their only list."""

from __future__ import annotations

from typing import Final

MAIN: Final = "main"
"""The development branch after the last release."""

RELEASES: Final = (
    "3.18", "3.19", "3.20", "3.21", "3.22", "3.23", "3.25", "3.26", "3.27", "3.28", "3.29", "3.30",
    "3.31", "3.32",
    *(f"4.{n}" for n in range(16)),
    "5.0", "5.1", "5.2", "5.3", "5.3.1", "5.3.2", "5.4", MAIN,
)  # fmt: skip
"""All releases that the tables are about, oldest first, and MAIN. There is no 3.24."""


def is_from(release: str, first: str) -> bool:
    """Return whether ``release`` is ``first``, or a later release than that.

    Raise ValueError if one of them isn't in RELEASES.
    """
    return RELEASES.index(release) >= RELEASES.index(first)
