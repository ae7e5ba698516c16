# SPDX-License-Identifier: MIT
"""Taking what is private out of a recording, so that it can be shown to strangers.

Addresses, identities, user names and connection names become others of the same form, the same one
always the same other, so that the recording still tells its story. Serials, times, algorithms and
libreswan's own words stay. SPIs go, too: they are no secret, but tell machines apart.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.status import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_IPV4: Final = re.compile(r"(?<!\w)(?<!\d\.)(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
_SPI: Final = re.compile(r"(?<=[.:=><(])(?:0x)?[0-9a-f]{7,8}(?=@|\b)")
_QUOTED: Final = grammar.name(without="\n", length="{1,256}")
_NAME: Final = re.compile(f'"({_QUOTED})"')
_ALIASES: Final = re.compile(r"(?<=   aliases: )[^\n]*\S")
_BARE_NAME: Final = re.compile(r"'([^'\n]{1,256})'")
_USER: Final = re.compile(r"(?<=username=)[^,\s}\n]+|(?<=user=')[^'\n]+|(?<=XAUTHuser=)\S+")
_ID: Final = re.compile(
    r"(?<=our id=)[^;\n]+|(?<=their id=)[^;\n]+|(?<=, id=')(?P<listed>[^\n]+)"
    r"|(?<=[A-Z] ')[^'\n]+|(?<=[A-Z]: ')[^'\n]+|(?<=[\['\s])@[A-Za-z][\w.-]*"
)
_CA: Final = re.compile(r"(?<=CAs: )[^\n]+|(?<=mycert=)[^;\n]+|(?<=peercert=)[^;\n]+")
_DOMAIN: Final = re.compile(
    r"(?<=domains:)(?!unset)[^,;\n]+|(?<=domain:)(?!unset)[^,;\n]+|(?<=Domain: )\S+"
    r"|(?<=banner:)(?!unset)[^,;\n]+"
)

KEPT: Final = frozenset(
    {"0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255"}  # noqa: S104 - text, not a socket
)
"""Addresses that tell nothing."""


@dataclass(slots=True)
class Redactor:
    """Replaces private words, the same by the same for as long as it lives."""

    _addresses: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _words: dict[str, str] = field(default_factory=dict)

    def status(self, text: str) -> str:
        """Redact an answer of pluto's."""
        report = parse(text)
        identities = {
            identity
            for c in report.connections
            for t in c.topologies
            for identity in (t.local_id, t.remote_id)
            if identity and not identity.startswith("%")
        }
        self._learn(c.name for c in report.connections)
        return self._redact(text, identities)

    def line(self, text: str) -> str:
        """Redact a log line, or a note."""
        return self._redact(text, ())

    def _learn(self, names: Iterable[str]) -> None:
        for name in names:
            self._name(name)

    def _name(self, name: str) -> str:
        """Give a connection another name; what leftsubnets= appended stays."""
        base, slash, pair = name.rpartition("/")
        if not (slash and re.fullmatch(r"\d+x\d+", pair)):
            base, slash, pair = name, "", ""
        base, hash_, group = base.partition("#")
        other = self._names.setdefault(base, f"conn{len(self._names) + 1}")
        return f"{other}{hash_}{group}{slash}{pair}"

    def _redact(self, text: str, identities: Iterable[str]) -> str:
        for identity in sorted(identities, key=len, reverse=True):
            if _address(identity) is None:
                text = text.replace(f"[{identity}", f"[{self._word(identity)}")
        text = _ID.sub(self._by_identity, text)
        text = _USER.sub(self._by_word, text)
        text = _CA.sub(self._by_word, text)
        text = _DOMAIN.sub(self._by_word, text)
        text = _NAME.sub(lambda m: f'"{self._name(m[1])}"', text)
        text = _ALIASES.sub(self._aliases, text)
        text = _BARE_NAME.sub(lambda m: f"'{self._names.get(m[1], m[1])}'", text)
        text = _SPI.sub("5b1c0de5", text)
        text = _IPV4.sub(self._by_address, text)
        return _IPV6.sub(self._by_address, text)

    def _aliases(self, m: re.Match[str]) -> str:
        return " ".join(self._name(alias) for alias in m[0].split(" ") if alias)

    def _by_identity(self, m: re.Match[str]) -> str:
        if m.lastgroup != "listed":
            return self._word(m[0])
        identity, quote, after = m[0].rpartition("'")  # behind it a lease, which holds none
        return f"{self._word(identity)}{quote}{after}" if quote else self._word(after)

    def _by_word(self, m: re.Match[str]) -> str:
        return self._word(m[0])

    def _word(self, word: str) -> str:
        if word.startswith("%") or word == "ID_NULL" or _address(word) is not None:
            return word
        number = f"{len(self._words) + 1}"
        form: Callable[[str], str] = "user{}".format
        if word.startswith("@"):
            form = "@host{}.example".format
        elif "=" in word:
            form = "CN=host{}.example".format
        return self._words.setdefault(word, form(number))

    def _by_address(self, m: re.Match[str]) -> str:
        given = m[0]
        address = _address(given)
        if address is None or given in KEPT:
            return given
        # RFC 5737 and 3849 keep these for documentation; a /16's worth of hosts each.
        if given not in self._addresses:
            n = len(self._addresses) + 1
            if address.version == 4:
                self._addresses[given] = f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}"
            else:
                self._addresses[given] = f"2001:db8::{n:x}"
        return self._addresses[given]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
