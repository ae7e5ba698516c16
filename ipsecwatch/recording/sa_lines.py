# SPDX-License-Identifier: MIT
"""Split lines about SAs into libreswan's own text and private values, for redaction.

They are state lines, lines with SPIs, lines of ``trafficstatus``, and lines about Child SAs that
wait for their IKE SA (pending).
"""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan import grammar, state_table
from ipsecwatch.libreswan.grammar import NUMBER, PORT, TCP
from ipsecwatch.recording.pieces import Field, Pieces, trimmed

_NAME: Final = f'"({grammar.name()})"({grammar.instances()})'
_HEAD: Final = re.compile(f"(#?{NUMBER}: ){_NAME}", re.ASCII)
_SUBJECT: Final = re.compile(
    f"(#{NUMBER}: ){_NAME}({grammar.suffix()})(:(?:{PORT}|EPHEM)(?:{TCP})? )(.*)",
    re.ASCII | re.DOTALL,
)
_TYPED: Final = re.compile(
    r", type=[A-Z]{1,10}(?:\(nic-offload=\w{1,20}\))?, add_time=\d{1,20}", re.ASCII
)
_PENDING: Final = re.compile(
    f"(#?{NUMBER}: pending (?:Phase 2|CHILD SA|Child SA|IPsec SA) for ){_NAME}", re.ASCII
)
_REPLACING: Final = re.compile(r" replacing #\d{1,10}$", re.ASCII)
_TRAFFIC: Final = " Traffic:"
_USERNAME: Final = " username="


def read(line: str) -> Pieces | None:
    """Return the pieces of a line about an SA of any of these kinds, or None for any other line."""
    counted = _TYPED.search(line)
    traffic = line.find(_TRAFFIC)
    if counted is not None and not 0 <= traffic < counted.start():
        return _counters(line)
    if traffic >= 0:
        return _spis(line)
    return _state(line) or _pending(line)


def _named(m: re.Match[str]) -> Pieces:
    """Return the pieces of a line's head: serial, connection name, and instance numbers.

    ``m`` is the match of a pattern whose first three groups are these.
    """
    return [(Field.OWN, f'{m[1]}"'), (Field.CONNECTION, m[2]), (Field.OWN, f'"{m[3]}')]


def _state(line: str) -> Pieces | None:
    """Return the pieces of a state line, or None for any other line."""
    told, semicolon, tail = line.partition(";")
    m = _SUBJECT.fullmatch(told)
    if m is None:
        return None
    out = [*_named(m), (Field.ADDRESSES, m[4]), (Field.OWN, m[5]), *_story(m[6])]
    if semicolon:
        out.append((Field.OWN, ";"))
        for i, word in enumerate(tail.split(";")):
            out += [(Field.OWN, ";")] if i else []
            out.append((Field.OWN if _is_mark(word.strip()) else Field.TEXT, word))
    return out


_NAMED_STORY: Final = re.compile(r"([A-Z][A-Za-z0-9_]{1,60}) \((.*)\)", re.ASCII)
_STORIES: Final = frozenset(
    w.text for s in state_table.STATE_TABLE for w in (*s.names, *s.stories) if w.text
)


def _story(words: str) -> Pieces:
    """Return the pieces of ``STATE_NAME (story)``, or of a story alone.

    A story that isn't in STATE_TABLE becomes TEXT.
    """
    if words in _STORIES:
        return [(Field.OWN, words)]
    m = _NAMED_STORY.fullmatch(words)
    if m is None:
        return [(Field.TEXT, words)]
    story = (Field.OWN if m[2] in _STORIES or not m[2] else Field.TEXT, m[2])
    return [(Field.OWN, f"{m[1]} ("), story, (Field.OWN, ")")]


_MARK: Final = re.compile(
    r"|newest(?: ISAKMP| IPSEC)?|eroute owner|idle|crypto_calculating|crypto/dns-lookup|nodpd"
    r"|none in -1s|[A-Z][A-Za-z0-9_]{1,60} in +(?:-?\d{1,10}|X{1,9})s"
    r"|(?:IKE SA |ISAKMP SA |isakmp)#\d{1,10}"
    r"|lastdpd=-?\d{1,10}s\(seq in:(?:\d{1,10}|X{1,9}) out:(?:\d{1,10}|Y{1,9})\)"
    r"|lastlive=-?\d{1,10}s"
    r"|import:(?:admin initiate|respond to stranger|local rekey|not set|)",
    re.ASCII,
)


def _is_mark(word: str) -> bool:
    return _MARK.fullmatch(word) is not None


_SAID: Final = re.compile(r"(?:esp|ah|comp|tun)[.:][0-9A-Za-z]{1,12}@", re.ASCII)
_OWN_WORD: Final = re.compile(
    r"used|\d{1,10}s|X{1,9}s|ago;|ref=\d{1,10}|refhim=\d{1,10}|", re.ASCII
)
_COUNTER: Final = re.compile(
    r"!|!?[A-Z]{2,6}(?:in|out|max)=(?:\d{1,20}|2\^\d{1,2})(?:[KMGTPE]i?)?B?!?|", re.ASCII
)


def _spis(line: str) -> Pieces | None:
    """Return the pieces of a line with SPIs, counters and user name, or None for any other line."""
    m = _HEAD.match(line)
    if m is None:
        return None
    at = line.find(_TRAFFIC, m.end())
    if at < 0:
        return None
    out = [*_named(m), *_by_word(line[m.end() : at], _OWN_WORD, Field.ADDRESSES)]
    out.append((Field.OWN, _TRAFFIC))
    counters, mark, user = line[at + len(_TRAFFIC) :].partition(_USERNAME)
    out += _by_word(counters, _COUNTER, Field.TEXT)
    if mark:
        out += [(Field.OWN, mark), *trimmed(Field.USER, user)]
    return out


def _by_word(text: str, own: re.Pattern[str], other: Field) -> Pieces:
    """Return each word of a text as a piece: OWN if it has the form ``own``, otherwise ``other``.

    The blanks between them are OWN.
    """
    return [
        (Field.OWN if i % 2 or own.fullmatch(word) else other, word)
        for i, word in enumerate(re.split(r"( )", text))
    ]


def _counters(line: str) -> Pieces | None:
    """Return the pieces of a line of ``trafficstatus``, or None for any other line.

    The user name and the identity in it may contain any text.
    """
    m = _HEAD.match(line)
    if m is None:
        return None
    user = line.find(", username=", m.end())
    typed = None
    for typed in _TYPED.finditer(line, m.end()):
        if not 0 <= user < typed.start():
            break
    if typed is None:
        return None
    suffix, mark, name = line[m.end() : typed.start()].partition(", username=")
    out = [*_named(m), (Field.ADDRESSES, suffix)]
    if mark:
        out += [(Field.OWN, mark), (Field.USER, name)]
    return [*out, (Field.OWN, typed[0]), *_behind_time(line[typed.end() :])]


_BYTES: Final = re.compile(
    r"(?:, (?:(?:in|out)Bytes=\d{1,20}|maxBytes=(?:\d{1,20}|2\^\d{1,2})(?:[KMGTPE]i?)?B?))*",
    re.ASCII,
)


def _behind_time(text: str) -> Pieces:
    """Return the pieces of ``, inBytes=…, id='…', lease=…``, of which each may be missing."""
    counters, mark, rest = text.partition(", id='")
    if not mark:
        counters, mark, lease = text.partition(", lease=")
        return [*_bytes(counters), (Field.OWN, mark), (Field.ADDRESSES, lease)]
    identity, quote, after = rest.rpartition("'")
    if not quote:
        return [*_bytes(counters), (Field.OWN, mark), (Field.IDENTITY, rest)]
    out = [*_bytes(counters), (Field.OWN, mark), (Field.IDENTITY, identity), (Field.OWN, quote)]
    if after.startswith(", lease="):
        return [*out, (Field.OWN, ", lease="), (Field.ADDRESSES, after[8:])]
    return [*out, (Field.PRIVATE, after)]


def _bytes(text: str) -> Pieces:
    return [(Field.OWN if _BYTES.fullmatch(text) else Field.TEXT, text)]


def _pending(line: str) -> Pieces | None:
    """Return the pieces of a line about a pending Child SA, or None for any other line."""
    m = _PENDING.match(line)
    if m is None:
        return None
    replaced = _REPLACING.search(line, max(m.end(), len(line) - 24))
    end = replaced.start() if replaced else len(line)
    return [*_named(m), (Field.ADDRESSES, line[m.end() : end]), (Field.OWN, line[end:])]
