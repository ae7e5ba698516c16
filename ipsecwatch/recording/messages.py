# SPDX-License-Identifier: MIT
"""Split pluto's log messages into its own words and the values between them, for redaction.

The messages are in message_table.py. Only the text between the fields of a message is pluto's.
Where a peer's text contains the same words, the last of them counts as pluto's, so that all of the
peer's text is private. Text behind the end of a message is private, too, if a peer may have written
it.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.libreswan.state_table import STATE_TABLE
from ipsecwatch.recording.message_table import MESSAGES, UPDOWN_VERBS
from ipsecwatch.recording.pieces import FREE, Field

if TYPE_CHECKING:
    from ipsecwatch.recording.pieces import Pieces

_PRIVATE: Final = {
    "conn": Field.CONNECTION, "addr": Field.ADDRESSES, "id": Field.IDENTITY, "user": Field.USER,
    "host": Field.HOST, "cert": Field.CERTIFICATE, "iface": Field.INTERFACE, "path": Field.PATH,
    "uri": Field.URI, "label": Field.LABEL, "banner": Field.BANNER, "unit": Field.UNIT,
    "private": Field.PRIVATE, "any": Field.TEXT,
}  # fmt: skip
"""The kinds of values that aren't pluto's own, by the names of the fields in the table."""

_OWN: Final = {
    "n": re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII),  # a count, a time, a port, an errno
    "name": re.compile(r"(?:v[12]N_)?[A-Z][A-Za-z0-9_]{1,60}", re.ASCII),  # a notification, a state
    "names": re.compile(r"[A-Z][A-Za-z]{0,9}(?:,[A-Z][A-Za-z]{0,9}){0,30}", re.ASCII),  # payloads
    "amount": re.compile(r"\d{1,20}(?:[KMGTPE]i?)?B", re.ASCII),
    "policy": re.compile(r"[A-Z][A-Za-z0-9_]{0,40}(?:\+[A-Z][A-Za-z0-9_]{0,40}){0,60}", re.ASCII),
    "serial": re.compile(r"[#$]\d{1,10}", re.ASCII),
}
"""The forms of values that are pluto's own, by the names of the fields."""
_SPI: Final = re.compile(r"(?:0x)?[0-9a-fA-F]{1,8}", re.ASCII)

_STATES: Final = frozenset(
    form
    for s in STATE_TABLE
    for w in (*s.names, *s.stories)
    for form in (w.text, w.text.removeprefix("STATE_"), w.text.removeprefix("STATE_V2_"))
)
_STATE: Final = re.compile(r"([A-Z][A-Za-z0-9_]{1,60}): ", re.ASCII)
_NEW_STATE: Final = re.compile(r"STATE_[A-Z0-9_]{1,60}", re.ASCII)
_UNIT: Final = re.compile(r"[\w@\\.:-]{1,200}\.(?:service|mount|scope|slice|timer|socket): ")


class _Hole(NamedTuple):
    """A field of a message, by its name in the table."""

    name: str


def _parse(message: str) -> tuple[str | _Hole, ...]:
    """Return the parts of a message in the table: pluto's texts, and the fields between them."""
    parts: list[str | _Hole] = []
    for text, name, _, _ in Formatter().parse(message):
        if text and parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)
        if name is not None:
            parts.append(_Hole(name))
    return tuple(parts)


def _index() -> dict[str, list[tuple[str | _Hole, ...]]]:
    """Return the parts of each message in the table, by its first word.

    The key is "" for messages whose first word is a value, or contains one.
    """
    index: dict[str, list[tuple[str | _Hole, ...]]] = {}
    for parts in map(_parse, MESSAGES):
        first = parts[0]
        word = "" if isinstance(first, _Hole) else first.split(" ", 1)[0]
        whole = word and isinstance(first, str) and (" " in first or len(parts) == 1)
        index.setdefault(word if whole else "", []).append(parts)
    return index


_BY_WORD: Final = _index()


def literals() -> list[str]:
    """Return the texts between the fields of all messages in the table: pluto's own words."""
    parts = (part for message in MESSAGES for part in _parse(message))
    return [part for part in parts if isinstance(part, str)]


def read(text: str) -> Pieces | None:
    """Return the pieces of a log message, without date and connection before it.

    None: no message in the table fits, and it isn't a line about the updown script.
    A state's name and a colon may come before it. After these, a message that doesn't fit is TEXT.
    """
    state = _STATE.match(text)
    begin = state[0] if state and is_state(state[1]) else ""
    rest = text[len(begin) :]
    found = _updown(rest) or _first(rest)
    if found is None:
        return [(Field.OWN, begin), (Field.TEXT, rest)] if begin else None
    return [(Field.OWN, begin), *found] if begin else found


def is_state(name: str) -> bool:
    """Return whether a text is a state's name or story in STATE_TABLE, or has the form STATE_….

    The prefixes STATE_ and STATE_V2_ of a name in the table may be missing.
    """
    return name in _STATES or _NEW_STATE.fullmatch(name) is not None


def _first(text: str) -> Pieces | None:
    """Return the pieces of a text by the first message that fits, or None."""
    for word in (text.partition(" ")[0], ""):
        for parts in _BY_WORD.get(word, ()):
            if (found := _match(parts, text)) is not None:
                return found
    return None


def _updown(text: str) -> Pieces | None:
    """Return the pieces of a line that begins with one of UPDOWN_VERBS; None: it doesn't.

    The script's output is private: it may be anything.
    """
    verb, _, rest = text.partition(" ")
    if verb not in UPDOWN_VERBS:
        return None
    exited = re.fullmatch(r"command exited with (?:status|signal) \d{1,3}", rest, re.ASCII)
    if exited:
        return [(Field.OWN, text)]
    said, colon, output = rest.partition(": ")
    if said in ("output", "command exited with status"):
        return [(Field.OWN, f"{verb} {said}{colon}"), (Field.PRIVATE, output)]
    return [(Field.OWN, f"{verb} "), (Field.TEXT, rest)]


def _match(parts: tuple[str | _Hole, ...], text: str) -> Pieces | None:
    """Return the pieces of a text that fits the parts of a message, one after the other; else None.

    What follows the message is TEXT; it is PRIVATE if the message has a value of a kind in FREE.
    """
    found: Pieces = []
    at, rest = 0, Field.TEXT
    for i, part in enumerate(parts):
        if isinstance(part, str):
            if not text.startswith(part, at):
                return None
            found.append((Field.OWN, part))
            at += len(part)
        else:
            end = _end(part, parts[i + 1 :], text, at)
            if end is None:
                return None
            field = _field(part, text[at:end])
            found.append((field, text[at:end]))
            if field in FREE:
                rest = Field.PRIVATE
            at = end
    if at < len(text):
        found.append((rest, text[at:]))
    return found


def _field(hole: _Hole, value: str = "") -> Field:
    if hole.name == "state":
        return Field.OWN if value in _STATES else Field.TEXT
    if hole.name == "spi":
        return Field.SPI
    return Field.OWN if hole.name in _OWN else _PRIVATE[hole.name]


def _end(hole: _Hole, behind: tuple[str | _Hole, ...], text: str, at: int) -> int | None:
    """Return the index where a field's value ends, which begins at ``at``; None: it doesn't fit.

    ``behind`` are the parts that follow the field (``hole``). A value of pluto's own ends by its
    form, any other one before the next text of the message: before its last place in the line for a
    kind in FREE, else before its first.
    """
    own = _SPI if hole.name == "spi" else _OWN.get(hole.name)
    if own is not None:
        m = own.match(text, at)
        return m.end() if m else None
    if hole.name == "unit" and at == 0:
        m = _UNIT.match(text)
        return m.end() - 2 if m else None
    if not behind:
        return len(text)
    literal = behind[0]
    assert isinstance(literal, str)
    end = text.rfind(literal, at) if _field(hole) in FREE else text.find(literal, at)
    return end if end >= 0 else None
