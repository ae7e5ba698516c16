# SPDX-License-Identifier: MIT
"""Make placeholders for private values, as ``conn1`` or ``host2.example``.

The same value of the same kind always gets the same placeholder, and the placeholder's form shows
the kind. Addresses are from the ranges that RFC 2544 (198.18.0.0/15) and RFC 3849 (2001:db8::/32)
reserve for tests and documentation.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of a private value. The texts are shown to people."""

    IPV4 = "IPv4 address"
    IPV6 = "IPv6 address"
    HOST = "host or domain name"
    CONNECTION = "connection name"
    UUID = "connection UUID"
    USER = "user name"
    DN = "distinguished name"
    MAIL = "e-mail-like identity"
    KEY_ID = "key identity"
    IDENTITY = "other identity"
    CERTIFICATE = "certificate nickname"
    INTERFACE = "interface"
    PATH = "path"
    URI = "URI"
    LABEL = "security label"
    BANNER = "banner"
    UNIT = "systemd unit"
    SPI = "SPI"
    PROCESS = "process number"
    NUMBER = "number"
    WORD = "other text"


_FORMS: Final = {
    Kind.IPV6: "2001:db8::{:x}",
    Kind.HOST: "host{}.example",
    Kind.CONNECTION: "conn{}",
    Kind.UUID: "00000000-0000-4000-8000-{:012x}",
    Kind.USER: "user{}",
    Kind.DN: "CN=dn{}",
    Kind.MAIL: "mail{}@mail.example",
    Kind.KEY_ID: "key{}",
    Kind.IDENTITY: "id{}",
    Kind.CERTIFICATE: "cert{}",
    Kind.INTERFACE: "if{}",
    Kind.PATH: "/path{}",
    Kind.URI: "http://uri{}.example",
    Kind.LABEL: "label{}",
    Kind.BANNER: "banner{}",
    Kind.UNIT: "unit{}.service",
    Kind.SPI: "5b1c{:04x}",
    Kind.PROCESS: "{}",
    Kind.NUMBER: "num{}",
    Kind.WORD: "text{}",
}

KEPT: Final = frozenset(
    {"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"}  # noqa: S104 - text, not a socket
)
"""Addresses that aren't private, because every machine has them."""

# What separates the words of a value; a name with a dot or a hyphen in it is one word.
_BETWEEN: Final = re.compile(r"[\s,;\"']+")
_BY_WORD: Final = frozenset(
    {Kind.USER, Kind.DN, Kind.IDENTITY, Kind.MAIL, Kind.KEY_ID, Kind.CERTIFICATE, Kind.LABEL}
)
"""The kinds of values of which each single word is private, too, wherever it is met.

A banner isn't here: it is prose, with words that anybody may use.
"""
_FORGOTTEN: Final = frozenset({Kind.SPI, Kind.PROCESS, Kind.NUMBER})
"""The kinds of values that aren't recognised in other places, where their kind isn't known.

Elsewhere, the same number may be something that isn't private.
"""
MANY: Final = 64
"""How many words of one value are remembered as private at most."""


@dataclass(slots=True)
class Placeholders:
    """Keeps the placeholders of all private values that were met in a text, and makes new ones."""

    _by_kind: dict[Kind, dict[str, str]] = field(default_factory=dict)
    _by_value: dict[str, Kind] = field(default_factory=dict)
    _words: set[str] = field(default_factory=set)
    _next: Counter[Kind] = field(default_factory=Counter)
    _seen: dict[Kind, set[str]] = field(default_factory=dict)

    def get(self, kind: Kind, value: str) -> str:
        """Return the placeholder for a value of this kind. A new value gets a new placeholder."""
        self._seen.setdefault(kind, set()).add(value)
        known = self._by_kind.setdefault(kind, {})
        if value not in known:
            known[value] = self._make(kind, value)
            self._remember(kind, value)
        return known[value]

    def address(self, text: str) -> str | None:
        """Return the placeholder for an IP address, or None if the text isn't one.

        An address in KEPT is returned as it is.
        """
        version = ip_version(text)
        if version is None:
            return None
        if text in KEPT:
            return text
        return self.get(Kind.IPV4 if version == 4 else Kind.IPV6, text)

    def known(self, text: str) -> str | None:
        """Return the placeholder for a text that was met before as a private value, of any kind.

        If it was met with several kinds, the placeholder is for the first of them. Return None if
        it wasn't met yet, or only with a kind in _FORGOTTEN.
        """
        kind = self._by_value.get(text)
        return None if kind is None else self.get(kind, text)

    def is_private(self, word: str) -> bool:
        """Return whether a word is a private value that was met before, or part of one.

        It is part of one if the value's kind is in _BY_WORD, and the word is one of its words.
        Upper and lower case don't matter, except for values of Kind.WORD. Values of the kinds in
        _FORGOTTEN aren't recognised.
        """
        return word in self._by_value or word.casefold() in self._words

    def counts(self) -> dict[Kind, int]:
        """Return how many different values of each kind were replaced.

        Values are counted from the last call of recount() on, or from the start. A kind without
        values is left out.
        """
        return {kind: len(self._seen[kind]) for kind in Kind if self._seen.get(kind)}

    def recount(self) -> None:
        """Begin to count from zero again. The values and their placeholders are kept."""
        self._seen.clear()

    def _make(self, kind: Kind, value: str) -> str:
        """Return a new placeholder that is neither ``value`` nor a private value met before."""
        while True:
            self._next[kind] += 1
            made = _form(kind, self._next[kind])
            if made != value and not self.is_private(made):
                return made

    def _remember(self, kind: Kind, value: str) -> None:
        """Remember a value, so that known() and is_private() recognise it in other places.

        For the kinds in _BY_WORD, its single words are remembered, too. A value of a kind in
        _FORGOTTEN isn't remembered.
        """
        if kind in _FORGOTTEN:
            return
        self._by_value.setdefault(value, kind)
        if kind is Kind.WORD:  # in another case it may be a word of libreswan's
            return
        self._words.add(value.casefold())
        if kind not in _BY_WORD:
            return
        for word in _BETWEEN.split(value, MANY)[:MANY]:
            key, mark, rest = word.partition("=")  # a DN's CN= is no secret
            self._words.add((rest if mark else key).casefold())


def _form(kind: Kind, n: int) -> str:
    if kind is Kind.IPV4:
        return f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}"
    return _FORMS[kind].format(n)


def ip_version(text: str) -> int | None:
    """Return 4 or 6 for an IP address, or None if the text isn't one."""
    if len(text) > 60 or not (":" in text or "." in text):
        return None
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return None
