# SPDX-License-Identifier: MIT
"""Placeholders for private values: the same for the same value, with a form that shows its kind.

Addresses are from RFC 2544 (198.18.0.0/15) and RFC 3849 (2001:db8::/32): reserved for tests and
documentation.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """The kind of a private value, in words for people."""

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
"""Addresses that aren't private, since every machine has them."""

# What separates the words of a value; a name with a dot or a hyphen in it is one word.
_BETWEEN: Final = re.compile(r"[\s,;\"']+")
_BY_WORD: Final = frozenset(
    {Kind.USER, Kind.DN, Kind.IDENTITY, Kind.MAIL, Kind.KEY_ID, Kind.CERTIFICATE, Kind.LABEL}
)
"""Kinds of values whose single words are private, too. A banner's aren't: it is prose."""
_FORGOTTEN: Final = frozenset({Kind.SPI, Kind.PROCESS, Kind.NUMBER})
"""Kinds of values that are recognised only where the kind is known by the place.

Elsewhere the same number may be something else.
"""
MANY: Final = 64
"""The most words of one value that are remembered as private."""


@dataclass(slots=True)
class Placeholders:
    """Keeps the placeholder of each private value, and makes a new one for each new value."""

    _by_kind: dict[Kind, dict[str, str]] = field(default_factory=dict)
    _by_value: dict[str, Kind] = field(default_factory=dict)
    _words: set[str] = field(default_factory=set)
    _next: Counter[Kind] = field(default_factory=Counter)
    _seen: dict[Kind, set[str]] = field(default_factory=dict)

    def get(self, kind: Kind, value: str) -> str:
        """Return the placeholder for a value of this kind; make one for a new value."""
        self._seen.setdefault(kind, set()).add(value)
        known = self._by_kind.setdefault(kind, {})
        if value not in known:
            known[value] = self._make(kind, value)
            self._remember(kind, value)
        return known[value]

    def address(self, text: str) -> str | None:
        """Return the placeholder for an address, or a KEPT one as it is; None: it is no address."""
        version = ip_version(text)
        if version is None:
            return None
        if text in KEPT:
            return text
        return self.get(Kind.IPV4 if version == 4 else Kind.IPV6, text)

    def known(self, text: str) -> str | None:
        """Return the placeholder of a value, by the kind that it was met with first.

        None: it wasn't met yet, or only with a kind in _FORGOTTEN.
        """
        kind = self._by_value.get(text)
        return None if kind is None else self.get(kind, text)

    def is_private(self, word: str) -> bool:
        """Return whether a word is a private value that was met before, or one word of such a one.

        Upper and lower case count as the same, except for Kind.WORD. Values of the kinds in
        _FORGOTTEN don't count. Single words count for the kinds in _BY_WORD.
        """
        return word in self._by_value or word.casefold() in self._words

    def counts(self) -> dict[Kind, int]:
        """Return how many different values of each kind were replaced since recount() or the start.

        A kind without any is left out.
        """
        return {kind: len(self._seen[kind]) for kind in Kind if self._seen.get(kind)}

    def recount(self) -> None:
        """Begin to count again from zero; values and placeholders are kept."""
        self._seen.clear()

    def _make(self, kind: Kind, value: str) -> str:
        """Return a new placeholder, which is neither ``value`` nor a private value met before."""
        while True:
            self._next[kind] += 1
            made = _form(kind, self._next[kind])
            if made != value and not self.is_private(made):
                return made

    def _remember(self, kind: Kind, value: str) -> None:
        """Remember a value, and for the kinds in _BY_WORD its words, to recognise them elsewhere.

        A value of a kind in _FORGOTTEN isn't remembered.
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
    """Return 4 or 6 for an IP address; None: the text is no address."""
    if len(text) > 60 or not (":" in text or "." in text):
        return None
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return None
