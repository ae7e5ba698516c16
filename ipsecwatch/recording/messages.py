# SPDX-License-Identifier: MIT
"""Reads what pluto logs, message by message: its own words, and the values between them.

The messages are in message_table.py. Only what a message has between its fields is pluto's. A
peer's text that has the same words in it is cut behind the last of them, so that it is private as a
whole, and so is what comes behind a message that should have ended.
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
"""The fields by their names in the table, but for those of pluto's own values."""

_OWN: Final = {
    "n": re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII),  # a count, a time, a port, an errno
    "name": re.compile(r"(?:v[12]N_)?[A-Z][A-Za-z0-9_]{1,60}", re.ASCII),  # a notification, a state
    "amount": re.compile(r"\d{1,20}(?:[KMGTPE]i?)?B", re.ASCII),
    "policy": re.compile(r"[A-Z][A-Za-z0-9_]{0,40}(?:\+[A-Z][A-Za-z0-9_]{0,40}){0,60}", re.ASCII),
    "serial": re.compile(r"[#$]\d{1,10}", re.ASCII),
}
"""Values that are pluto's own, if they look like it."""
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
    name: str


def _parse(message: str) -> tuple[str | _Hole, ...]:
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
    """Order the messages by their first word, empty where that is a value."""
    index: dict[str, list[tuple[str | _Hole, ...]]] = {}
    for parts in map(_parse, MESSAGES):
        first = parts[0]
        word = "" if isinstance(first, _Hole) else first.split(" ", 1)[0]
        whole = word and isinstance(first, str) and (" " in first or len(parts) == 1)
        index.setdefault(word if whole else "", []).append(parts)
    return index


_BY_WORD: Final = _index()


def literals() -> list[str]:
    """Return what the messages have between their fields."""
    parts = (part for message in MESSAGES for part in _parse(message))
    return [part for part in parts if isinstance(part, str)]


def read(text: str) -> Pieces | None:
    """Split a message into pieces. Return None if it isn't one of the known ones."""
    state = _STATE.match(text)
    begin = state[0] if state and is_state(state[1]) else ""
    rest = text[len(begin) :]
    found = _updown(rest) or _first(rest)
    if found is None:
        return [(Field.OWN, begin), (Field.TEXT, rest)] if begin else None
    return [(Field.OWN, begin), *found] if begin else found


def is_state(name: str) -> bool:
    """Return whether this is the name of a state, of a later release perhaps."""
    return name in _STATES or _NEW_STATE.fullmatch(name) is not None


def _first(text: str) -> Pieces | None:
    for word in (text.partition(" ")[0], ""):
        for parts in _BY_WORD.get(word, ()):
            if (found := _match(parts, text)) is not None:
                return found
    return None


def _updown(text: str) -> Pieces | None:
    """Read what the updown script is told of: what it prints may be anything."""
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
    """Match one part behind the other."""
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
    """Return where a value ends, or None if there is no such value."""
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
