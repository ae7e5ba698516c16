# SPDX-License-Identifier: MIT
"""Clean and escape text that a peer may have chosen, before people see it.

Peers choose their identities, XAUTH user names and banners. Such text is cleaned once, before it
becomes part of what is shown. It is escaped again at each output (a notification, a terminal), for
the characters that are special there.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_SHOWN: Final = 256
"""The number of characters that clean() returns at most, by default. Connection names are far
shorter, but a peer may send 64 KiB."""

# Cc control, Cf format (bidi controls, zero-width), Cs surrogates (our own mark of undecodable
# bytes), Co/Cn private and unassigned, Zl/Zp line and paragraph separators.
_UNSHOWABLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point outside of the
# categories above: fillers, joiners, variation selectors), and the blank of Braille.
_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
).union(map(chr, range(0xFE00, 0xFE10)), map(chr, range(0xE0100, 0xE01F0)))


def clean(text: str, limit: int = MAX_SHOWN) -> str:
    r"""Return a text in which every character is visible and harmless, at most ``limit`` of them.

    Characters that are control, format, bidi or invisible ones, and bytes that couldn't be decoded,
    become escapes such as ``\x1b`` and ``\u202e`` (never ``\n``). A backslash becomes two. So two
    different texts stay different, unless they are cut. A text that is cut ends in ``…``.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown = "".join(_visible(c) for c in text[: limit + 1])
    if len(shown) > limit or len(text) > limit:
        return shown[: limit - 1] + "…"
    return shown


def _visible(c: str) -> str:
    """Return a character as it is; as an escape if it is a backslash, harmful or invisible."""
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
    """Return text with ``&``, ``<`` and ``>`` escaped, for the body of a notification.

    The body is markup like HTML, by Desktop Notifications 1.2, "Markup".
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def path_element(name: str) -> str:
    """Return a name encoded as one element of a D-Bus object path, as in sd_bus_path_encode(3).

    ASCII letters stay as they are, and so do digits, except one at the start. Every other byte
    becomes ``_xx`` (hexadecimal). The empty name becomes ``_``. Different names get different
    encodings.
    """
    if not name:
        return "_"
    out = []
    for i, byte in enumerate(name.encode("utf-8", "surrogateescape")):
        c = chr(byte)
        plain = c.isascii() and (c.isalpha() or (c.isdigit() and i > 0))
        out.append(c if plain else f"_{byte:02x}")
    return "".join(out)
