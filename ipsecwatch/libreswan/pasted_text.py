# SPDX-License-Identifier: MIT
"""Clean up text that was copied from a terminal, a mail, a ticket or a web page."""

from __future__ import annotations

import re
from typing import Final

_COLOURS: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,40}[ -/]?[@-~]|[@-Z\\-_])")
_QUOTES: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "\xa0": " ", "\ufeff": None, "\u200b": None}
)
_GUILLEMETS: Final = re.compile(r"«[ \xa0\u202f]?|[ \xa0\u202f]?»")  # in French with a blank
_ENTITIES: Final = ("&quot;", "&#34;", "&lt;", "&gt;", "&amp;", "&#39;")


def plain(text: str) -> str:
    """Return a text without terminal colours, and with pluto's form of quotes and line ends.

    HTML entities are replaced by their characters.
    """
    text = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _GUILLEMETS.sub('"', text).translate(_QUOTES)
    if not any(entity in text for entity in _ENTITIES):
        return text
    import html  # its table of entities is large

    return html.unescape(text)
