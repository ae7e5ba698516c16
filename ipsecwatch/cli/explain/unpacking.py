# SPDX-License-Identifier: MIT
"""Takes the text out of what a program wrapped it in: JSON, also that of journalctl, or UTF-16."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEGIN: Final = re.compile(
    r"^[ \t]{0,40}(?:.{0,200}?[=:> \t] {0,4})??(?=[{\[]\s*[\"{\[\]}])", re.MULTILINE
)
_MOST_FAILURES: Final = 20
"""After so many places that looked like the beginning of JSON, and weren't, the search for JSON
ends, and the rest of the text stays as it is."""


def out_of_json(text: str) -> str:
    """Return a text in which each JSON object or list is replaced by the strings in it.

    Each string is on a line of its own. Words that stand before the object or list on its line,
    such as ``NAME: ``, are removed with it. Other text stays, and so does an object or list without
    strings. If the text is one JSON string with an escaped quotation mark in it, its content is
    returned. This is for programs that save output as JSON, and for ``journalctl -o json`` and
    containers, which write an object for each line of a log.
    """
    if text.lstrip()[:1] == '"' and '\\"' in text and (content := _out_of_string(text)) != text:
        return content
    if ("{" not in text and "[" not in text) or _BEGIN.search(text) is None:
        return text
    import json  # hardly any text is JSON

    decoder = json.JSONDecoder()
    out, at, failures = [], 0, 0
    while failures < _MOST_FAILURES and (m := _BEGIN.search(text, at)) is not None:
        try:
            value, end = decoder.raw_decode(text, m.end())
            found = list(_strings(value))
        except (ValueError, RecursionError):
            failures += 1
            end, found = _next_line(text, m.end()), []
            out.append(text[at:end])
        else:
            out.append(text[at : m.start()] if found else text[at:end])
            end = _behind(text, end) if found else end
        out += [f"{x}\n" for x in found]
        at = end
    return "".join([*out, text[at:]])


def _out_of_string(text: str) -> str:
    """Return the content of a text that is one JSON string; any other text as it is."""
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str) else text


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _behind(text: str, at: int) -> int:
    """Return the index at which the text goes on after a JSON object that ends before ``at``.

    Blanks, commas and one line end after the object are skipped.
    """
    while at < len(text) and text[at] in ", \t\r":
        at += 1
    return at + 1 if text[at : at + 1] == "\n" else at


def _strings(value: object) -> Iterator[str]:
    """Yield all strings in a JSON value, in their order, also those in lists and objects within it.

    Names of members, numbers and other values are left out, and a line end at a string's end is
    removed. An object whose MESSAGE is a text is an entry of the journal: for it, one string is
    yielded, the message behind its _prefix().
    """
    if isinstance(value, str):
        yield value.removesuffix("\n")
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        if (message := _message(value.get("MESSAGE"))) is not None:
            yield f"{_prefix(value)}{message}"
            return
        for each in value.values():
            yield from _strings(each)


def _message(value: object) -> str | None:
    """Return the text of a journal entry, from the value of its MESSAGE.

    That is a string, or a list of bytes where the text has bytes that aren't printable. Return None
    for any other value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(x, int) and 0 <= x < 256 for x in value):
        return bytes(value).decode("utf-8", "surrogateescape")
    return None


def _prefix(entry: dict[str, object]) -> str:
    """Return what ``journalctl -o short-unix`` prints before an entry's message.

    It is time, host and program: ``1700000000.123456 gw pluto[812]: ``. Return "" where the entry
    doesn't say which program wrote it.
    """
    stamp, program = entry.get("__REALTIME_TIMESTAMP"), entry.get("SYSLOG_IDENTIFIER")
    if not isinstance(program, str) or not program:
        return ""
    when = f"{stamp[:-6]}.{stamp[-6:]} " if isinstance(stamp, str) and stamp.isdecimal() else ""
    return f"{when}{entry.get('_HOSTNAME', 'host')} {program}[{entry.get('_PID', 1)}]: "


def utf16(data: bytes) -> str | None:
    """Return the text of data in UTF-16 without a byte order mark; None for any other data.

    It is recognised by its zero bytes: among the first 4,000 bytes, more than nine in ten of those
    with an odd index (little-endian) or with an even index (big-endian) are zero.
    """
    sample = data[:4000]
    for first, codec in ((1, "utf-16-le"), (0, "utf-16-be")):
        if 10 * sample[first::2].count(0) > 9 * (len(sample) // 2) > 0:
            return data.decode(codec, "replace")
    return None
