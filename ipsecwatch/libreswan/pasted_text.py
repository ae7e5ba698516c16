# SPDX-License-Identifier: MIT
"""Text that went through a terminal, a mail, a ticket or a web page on its way to us."""

from __future__ import annotations

import html
import re
from typing import Final

_COLOURS: Final = re.compile(r"\x1b(?:\[[0-9;?]{0,40}[ -/]?[@-~]|[@-Z\\-_])")
_QUOTES: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "\xa0": " ", "\ufeff": None, "\u200b": None}
)
_GUILLEMETS: Final = re.compile(r"«[ \xa0\u202f]?|[ \xa0\u202f]?»")  # in French with a blank
_ENTITIES: Final = ("&quot;", "&#34;", "&lt;", "&gt;", "&amp;", "&#39;")


def plain(text: str) -> str:
    """Remove colours, and write quotes, entities and line ends as pluto does."""
    text = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _GUILLEMETS.sub('"', text).translate(_QUOTES)
    return html.unescape(text) if any(entity in text for entity in _ENTITIES) else text
