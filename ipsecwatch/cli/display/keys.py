# SPDX-License-Identifier: MIT
"""Decodes the text that terminals send when keys are pressed, into the names of these keys. Pure.

The escape sequences are xterm's, which all of today's terminals send for these keys. Sequences of
other keys are ignored.
"""

from __future__ import annotations

import re
from typing import Final

UP: Final = "up"
DOWN: Final = "down"
PAGE_UP: Final = "page up"
PAGE_DOWN: Final = "page down"
HOME: Final = "home"
END: Final = "end"
ENTER: Final = "enter"
BACKSPACE: Final = "backspace"
ESCAPE: Final = "escape"
REDRAW: Final = "redraw"

_SEQUENCES: Final = {
    "A": UP, "B": DOWN, "H": HOME, "F": END, "1~": HOME, "4~": END, "7~": HOME, "8~": END,
    "5~": PAGE_UP, "6~": PAGE_DOWN,
}  # fmt: skip
_CONTROLS: Final = {
    "\r": ENTER, "\n": ENTER, "\x7f": BACKSPACE, "\b": BACKSPACE, "\x0c": REDRAW,
    "\x06": PAGE_DOWN, "\x02": PAGE_UP,
}  # fmt: skip
_SEQUENCE: Final = re.compile(r"\x1b(?:\[|O)([0-9;]{0,16})([A-Za-z~])")
_BEGUN: Final = re.compile(r"\x1b(?:(?:\[|O)[0-9;]{0,16})?")


def decode(text: str) -> tuple[list[str], str]:
    """Return the keys in a text that was typed, and the rest that can't be decoded yet.

    Each key is a printable character, or one of the names above, such as UP. Other control
    characters are left out. The rest is an incomplete escape sequence at the end of the text, such
    as a lone escape character, else "". Call this again with the rest in front of the next text.
    """
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at] != "\x1b":
            key = _CONTROLS.get(text[at], text[at])
            if key.isprintable():
                found.append(key)
            at += 1
        elif m := _SEQUENCE.match(text, at):
            number = m[1].partition(";")[0]
            key = _SEQUENCES.get(f"{number}~" if m[2] == "~" else m[2], "")
            found += [key] if key else []
            at = m.end()
        elif (begun := _BEGUN.match(text, at)) and begun.end() == len(text):
            return found, text[at:]
        else:
            found.append(ESCAPE)
            at += 1
    return found, ""
