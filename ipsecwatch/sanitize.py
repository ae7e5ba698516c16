# SPDX-License-Identifier: MIT
"""Clean and escape text that a peer may have chosen, before people see it.

Peers choose identities, XAUTH user names, banners and leases. Such text is cleaned once, before it
becomes part of what is shown, and escaped again at each output for what is special there.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_SHOWN: Final = 256
"""Characters of one cleaned value. Connection names are far shorter; peers may send 64 KiB."""

# Cc control, Cf format (bidi controls, zero-width), Cs surrogates (our own mark of undecodable
# bytes), Co/Cn private and unassigned, Zl/Zp line and paragraph separators.
_UNSHOWABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point outside of the
# categories above: fillers, joiners, variation selectors), and the blank of Braille.
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
).union(map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0)))


def clean(text: str, limit: int = MAX_SHOWN) -> str:
    r"""Return a text with every character visible and harmless, and at most ``limit`` of them.

    Control, format, bidi, invisible and undecodable characters become ``\x1b`` or ``\u202e``, also
    those for which Python has a shorter escape, and a backslash becomes two: so two texts never
    become the same one unless they are cut. Text that is cut ends in an ellipsis.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown = "".join(_visible(c) for c in text[: limit + 1])
    if len(shown) > limit or len(text) > limit:
        return shown[: limit - 1] + "…"
    return shown


def _visible(c: str) -> str:
    """Return a character, or its escape if it is a backslash, harmful or shows nothing."""
    if c == "\\":
        return "\\\\"
    if unicodedata.category(c) not in _UNSHOWABLE and c not in _INVISIBLE:
        return c
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that wasn't UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:  # from 80 on \xNN is a byte, not a character: U+0085 is written as \u0085
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_markup(text: str) -> str:
    """Return text escaped for a notification's body, which is markup like HTML.

    Source: Desktop Notifications 1.2, "Markup".
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def path_element(name: str) -> str:
    """Return a name encoded as one element of a D-Bus object path, as sd_bus_path_encode(3) does.

    ASCII letters and digits are kept, except for a digit at the start; every other byte becomes
    ``_xx``. The empty name becomes ``_``. Different names have different encodings.
    """
    if not name:
        return "_"
    out = []
    for i, byte in enumerate(name.encode("utf-8", "surrogateescape")):
        c = chr(byte)
        plain = c.isascii() and (c.isalpha() or (c.isdigit() and i > 0))
        out.append(c if plain else f"_{byte:02x}")
    return "".join(out)
