# SPDX-License-Identifier: MIT
"""Prose on a terminal: labelled paragraphs, wrapped to its width."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.table import Paint, pad, width

if TYPE_CHECKING:
    from collections.abc import Iterable

_LABEL: Final = 11
_WIDEST: Final = 100
"""Columns; longer lines are hard to read."""


def columns() -> int:
    """Tell how wide a line may be; not a terminal: as wide as is good to read."""
    if not sys.stdout.isatty():
        return _WIDEST
    return max(40, min(_WIDEST, shutil.get_terminal_size().columns))


def facts(rows: Iterable[tuple[str, str]], paint: Paint, wide: int) -> list[str]:
    """Write labelled paragraphs, one below the other; those without text are left out.

    A line end within a text stays one; a line that is too long is broken at blanks.
    """
    out: list[str] = []
    for label, text in rows:
        for i, line in enumerate(text.split("\n") if text else ()):
            first = paint.dim(pad(label, _LABEL)) if i == 0 else " " * _LABEL
            pieces = wrap(line, wide - _LABEL - 4)
            out += [f"  {first}  {pieces[0]}", *(f"{' ' * (_LABEL + 4)}{p}" for p in pieces[1:])]
    return [line.rstrip() for line in out]


def wrap(line: str, wide: int) -> list[str]:
    """Break a line at blanks, as width() counts cells."""
    if width(line) <= wide:
        return [line]
    narrower = max(20, wide - (width(line) - len(line)))
    return textwrap.wrap(line, narrower, break_on_hyphens=False) or [""]
