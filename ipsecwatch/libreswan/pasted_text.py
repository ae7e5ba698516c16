# SPDX-License-Identifier: MIT
"""Clean up text that was copied from a terminal, a mail, a ticket or a web page."""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan import grammar

_COLOURS: Final = re.compile(
    r"\x1b(?:\[[0-9;?]{0,40}[ -/]?[@-~]|[@-Z\\-_])"
    # with another form of ESC, or without it
    r"|(?:\^\[|\\(?:033|e|x1b|u001b))\[[0-9;?]{0,40}[A-Za-z]|\[(?:0|\d{0,2}(?:;\d{1,3}){1,4}|3\d)m"
)
_QUOTES: Final = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "″": '"', "\xa0": " ", "\ufeff": None, "\u200b": None}
)
_GUILLEMETS: Final = re.compile(r"«[ \xa0\u202f]?|[ \xa0\u202f]?»")  # in French with a blank
_ENTITIES: Final = ("&quot;", "&#34;", "&lt;", "&gt;", "&amp;", "&#39;")


_LINE_TAGS: Final = re.compile(
    r"<br ?/?>\n?|</?(?:p|pre|div|li|tr|ul|ol|html|body)(?: [^<>]{0,200})?>", re.IGNORECASE
)
_TAGS: Final = re.compile(
    r"</?(?:span|code|td|th|b|i|em|strong|font|samp)(?: [^<>]{0,200})?>", re.IGNORECASE
)
_LINKED_SERIAL: Final = re.compile(
    r"(?:https://[\w.-]{1,80}/)?[\w.-]{1,60}/[\w.-]{1,80}(?:/(?:issues|pull)/|#)(\d{1,10})(?=: )"
)
_QUOTED_OTHERWISE: Final = re.compile(
    r"(?<![\w'])'{1,2}([^'\s]{1,200})'{1,2}"
    rf"(?={grammar.instances(2)}(?: [^#' ]{{1,200}})? #{grammar.NUMBER}: )"
)
_LOGFMT: Final = re.compile(
    r'^.{0,300}?\b(?:msg|message|log)="((?:[^"\\\n]|\\.){0,4000})".{0,300}$', re.MULTILINE
)
_ESCAPED_QUOTE: Final = '\\"'


def plain(text: str) -> str:
    """Return a pasted text as pluto printed it, as far as that can be found out.

    Colours of a terminal and the tags of HTML are removed. Typographic quotes become ``"``, line
    ends become line feeds, and HTML's entities and the escapes of a string in a program become the
    characters that they stand for. A link to an issue, as which GitHub shows ``#4``, becomes ``#4``
    again.
    """
    text = _COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _GUILLEMETS.sub('"', _out_of_csv(_unescaped(text))).translate(_QUOTES)
    if "/issues/" in text or "/pull/" in text or "#" in text:
        text = _LINKED_SERIAL.sub(r"#\1", text)
    if '"' not in text:
        text = _QUOTED_OTHERWISE.sub(r'"\1"', text)
    if "</" in text or "<br" in text:
        text = _TAGS.sub("", _LINE_TAGS.sub("\n", text))
    if not any(entity in text for entity in _ENTITIES):
        return text
    import html  # its table of entities is large

    return html.unescape(text)


def _out_of_csv(text: str) -> str:
    """Return a text in which each line of CSV is replaced by the field of it that has quotes.

    In CSV, as programs that collect logs export it, a field is in quotes, and quotes in it are
    doubled. Lines without doubled quotes around a name stay as they are.
    """
    if _DOUBLED.search(text) is None:
        return text
    return "\n".join(_field(line) if _DOUBLED.search(line) else line for line in text.split("\n"))


def _field(line: str) -> str:
    """Return the longest field of a line of CSV that has doubled quotes, with single ones.

    Return any other line as it is: pluto's name of a connection is in quotes, too, and a peer can
    choose an identity with doubled ones. A line whose beginning was cut off still counts as CSV.
    """
    fields = line.replace('""', "\0").split('"')
    outside = fields[2::2]
    if "\0" not in fields[0] and not all(_BEHIND_FIELD.match(x) for x in outside):
        return line
    return max((x for x in fields if "\0" in x), key=len).replace("\0", '"')


_DOUBLED: Final = re.compile(r'[ :]""\w')
_BEHIND_FIELD: Final = re.compile(r"\s*(?:[,;|}\0]|$)")


def _unescaped(text: str) -> str:
    """Return a text with its escaped quotes and line ends restored, if it looks like a string.

    A string in a program looks so: all its quotes are escaped with a backslash, or more of its line
    ends are than aren't. Otherwise the text is returned as it is. But if any quote is escaped, a
    line in the format logfmt (``… msg="…" …``) is replaced by its message.
    """
    if _ESCAPED_QUOTE in text and '="' in text:
        text = _LOGFMT.sub(lambda m: m[1].replace(_ESCAPED_QUOTE, '"'), text)
    ends = text.count("\\n")
    if ends > 1 and ends > text.count("\n"):
        return text.replace("\\n", "\n").replace("\\t", "\t").replace(_ESCAPED_QUOTE, '"')
    if _ESCAPED_QUOTE in text and text.count('"') == text.count(_ESCAPED_QUOTE):
        return text.replace(_ESCAPED_QUOTE, '"')
    return text
