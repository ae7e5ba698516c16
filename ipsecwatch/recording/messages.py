# SPDX-License-Identifier: MIT
"""Split pluto's log messages into its own words and the values between them, for redaction.

The messages are in message_table.py, with a field for each value. Only the texts between the fields
are pluto's own. A peer's value may contain the same words as the text behind it. So the last place
in the line where that text is found ends the value, and the whole value is private. What follows
the end of a message is private, too, if the message has a value that may contain any text.
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
"""By the name of a field in the table: the kind of its value, which isn't pluto's own."""

_OWN: Final = {
    "n": re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII),  # a count, a time, a port, an errno
    "name": re.compile(r"(?:v[12]N_)?[A-Z][A-Za-z0-9_]{1,60}", re.ASCII),  # a notification, a state
    "names": re.compile(r"[A-Z][A-Za-z]{0,9}(?:,[A-Z][A-Za-z]{0,9}){0,30}", re.ASCII),  # payloads
    "amount": re.compile(r"\d{1,20}(?:[KMGTPE]i?)?B", re.ASCII),
    "policy": re.compile(r"[A-Z][A-Za-z0-9_]{0,40}(?:\+[A-Z][A-Za-z0-9_]{0,40}){0,60}", re.ASCII),
    "serial": re.compile(r"[#$]\d{1,10}", re.ASCII),
}
"""By the name of a field in the table: the form of its value, which is pluto's own."""
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
    """A field of a message in the table: the place of a value."""

    name: str


def _parse(message: str) -> tuple[str | _Hole, ...]:
    """Return the parts of a message in the table, in order: pluto's texts, and the fields."""
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
    """Return the parts of all messages in the table, by the first word of the message.

    The messages whose first word is a value, or contains one, are under the key "".
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
    """Return pluto's own texts in all messages of the table, without the fields."""
    parts = (part for message in MESSAGES for part in _parse(message))
    return [part for part in parts if isinstance(part, str)]


def read(text: str) -> Pieces | None:
    """Return the pieces of a log message that is in the table, or that is about the updown script.

    ``text`` is without date and connection. A state's name and a colon may come before the message;
    then a message that isn't in the table becomes TEXT. Without these, None is returned for it.
    """
    state = _STATE.match(text)
    begin = state[0] if state and is_state(state[1]) else ""
    rest = text[len(begin) :]
    found = _updown(rest) or _first(rest)
    if found is None:
        return [(Field.OWN, begin), (Field.TEXT, rest)] if begin else None
    return [(Field.OWN, begin), *found] if begin else found


def is_state(name: str) -> bool:
    """Return whether a text is the name or the story of a state.

    It must be in STATE_TABLE (a name may lack its prefix STATE_ or STATE_V2_), or be a name that
    begins with STATE_ and has only capital letters, digits and underscores.
    """
    return name in _STATES or _NEW_STATE.fullmatch(name) is not None


def _first(text: str) -> Pieces | None:
    """Return the pieces of a text by the first message in the table that fits it, or None."""
    for word in (text.partition(" ")[0], ""):
        for parts in _BY_WORD.get(word, ()):
            if (found := _match(parts, text)) is not None:
                return found
    return None


def _updown(text: str) -> Pieces | None:
    """Return the pieces of a message that begins with one of UPDOWN_VERBS, or None for any other.

    The output of the updown script is private, because it may be any text.
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
    """Return the pieces of a text that begins with a message, or None if the message doesn't fit.

    ``parts`` are the parts of the message, which must follow each other in the text. What follows
    the last part is TEXT, or PRIVATE if the message has a value of a kind in FREE.
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
    """Return the index where the value of the field ``hole`` ends, or None if no value fits.

    The value begins at the index ``at`` of ``text``; ``behind`` are the message's parts behind the
    field. The form of a value of pluto's own shows where it ends. Any other value ends where the
    next part of the message is found in the text. If it is there several times, the last place
    counts for a kind in FREE, and the first place for other kinds.
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
