# SPDX-License-Identifier: MIT
"""Redact addresses, subnets, ranges, host names and identities, in the forms libreswan writes.

Lengths of prefixes, ports and protocols stay, and so do libreswan's words for an end that isn't
known, such as ``%any``. All other words of an end count as host names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.recording.placeholders import Kind, ip_version

if TYPE_CHECKING:
    from ipsecwatch.recording.placeholders import Placeholders

OWN_ENDS: Final = frozenset(
    {
        "%any", "%any4", "%any6", "%group", "%opportunistic", "%opportunisticgroup", "%virtual",
        "%dns", "%none", "%null", "%defaultroute", "%priv", "%no", "%all", "%hold", "%pass",
        "%trap", "%drop", "%reject", "unset", "unset-address", "unset-subnet", "address",
        "ip-address", "none", "any", "null", "vhost:?", "vnet:?", "vhost:%priv", "vnet:%priv",
        "vhost:%no", "->", "<->", "NONE",
    }
)  # fmt: skip
"""libreswan's words that it prints in place of an address. They are public."""

OWN_IDENTITIES: Final = frozenset(
    {
        "", "%fromcert", "%none", "%any", "%null", "%myid", "%cert", "(none)", "(null)", "ID_NULL",
        "unset", "<unset>", "%same", "%auth",
    }
)  # fmt: skip
"""libreswan's words that it prints in place of an identity. They are public."""

_V4: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", re.ASCII)
_V6: Final = re.compile(r"[0-9A-Fa-f:.]{2,50}(?:%[\w.-]{1,20})?", re.ASCII)
_SUFFIX: Final = re.compile(
    r"(?:/\d{1,3})?(?:-\(\d{1,5}--\d{1,5}--\d{1,5}\))?"
    r"(?:[:/](?:\d{1,5}(?:-\d{1,5})?|UDP|TCP|ICMP6?|IPv6-ICMP|GRE|SCTP|%any)){0,3}"
    r"(?:-(?:\d{1,5}|UDP|TCP|ICMP6?|IPv6-ICMP|GRE|SCTP)?)?-?",
    re.ASCII,
)
_SAID: Final = re.compile(r"(esp|ah|comp|tun)([.:])([0-9A-Za-z]{1,12})@", re.ASCII)
_PORT: Final = re.compile(r":(?:UDP/|TCP/)?\d{1,5}$", re.ASCII)
_WORD: Final = re.compile(r"[^\s\[\]{}<>,;()]+")
_JOINTS: Final = re.compile(r"(===|---|\.\.\.)")


def address(word: str, known: Placeholders) -> str | None:
    """Return a word redacted: an address, several joined by ``-`` or ``,``, or ``esp.SPI@ADDRESS``.

    Prefix, ports and protocol behind the last address stay. None: the word has something else in
    it. ``known`` has the placeholders.
    """
    said = _SAID.match(word)
    if said is not None:
        return _said(said, word, known)
    end = ""
    while (m := _first(word)) is not None:
        core, rest = m
        hidden = known.address(core)
        if hidden is None:
            return None
        end += hidden
        if _SUFFIX.fullmatch(rest):
            return end + rest
        if rest[:1] not in ("-", ",") or len(end) > _LONG:
            return None
        end += rest[0]
        word = rest[1:]
    return None


_LONG: Final = 400


def _first(word: str) -> tuple[str, str] | None:
    """Return the address with which a word begins, and the rest of it; None: there is none."""
    m = _V4.match(word)
    if m is None and word.count(":", 0, 60) >= 2:
        m = _V6.match(word)
    return (m[0], word[m.end() :]) if m is not None and ip_version(m[0]) else None


def _said(m: re.Match[str], word: str, known: Placeholders) -> str:
    """Return ``esp.SPI@ADDRESS`` with SPI (but 0) and address redacted; ``m``: up to the ``@``."""
    protocol, dot, number = m.groups()
    spi = number if number == "0" else known.get(Kind.SPI, number)
    return f"{protocol}{dot}{spi}@{end(word[m.end() :], known)}"


def end(word: str, known: Placeholders) -> str:
    """Return one end of a connection redacted: an address, or else a host name.

    OWN_ENDS stay, and so do a port and a word without letters and digits.
    """
    if word in OWN_ENDS or _PORT.fullmatch(word) or not any(map(str.isalnum, word)):
        return word
    found = address(word, known)
    if found is not None:
        return found
    m = _PORT.search(word, max(0, len(word) - 12))
    name, port = (word[: m.start()], m[0]) if m and m.start() else (word, "")
    return (name if name in OWN_ENDS else known.get(Kind.HOST, name)) + port


def ends(text: str, known: Placeholders) -> str:
    """Return a text with each word redacted by joined(); blanks, brackets, "," and ";" stay."""
    return _WORD.sub(lambda m: joined(m[0], known), text)


def joined(word: str, known: Placeholders) -> str:
    """Return a word with its ends redacted, between which ``===``, ``---`` or ``...`` stays."""
    if word in OWN_ENDS:
        return word
    parts = _JOINTS.split(word)
    return "".join(part if i % 2 else end(part, known) for i, part in enumerate(parts))


_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+\.?")


def identity(text: str, known: Placeholders) -> str:
    """Return an identity redacted, by its form: address, ``@fqdn``, ``user@fqdn``, key id or DN.

    OWN_IDENTITIES stay. A text of no such form counts as a host name if it is words joined by dots,
    else as another identity.
    """
    if text in OWN_IDENTITIES:
        return text
    if ip_version(text) is not None:
        return known.address(text) or text
    if text.startswith(("@#", "@~", "@[")):
        closing = "]" if text[1] == "[" and text.endswith("]") else ""
        return f"{text[:2]}{known.get(Kind.KEY_ID, text[2 : len(text) - len(closing)])}{closing}"
    if "=" in text:
        return known.get(Kind.DN, text)
    if text.startswith("@"):
        return f"@{known.get(Kind.HOST, text[1:])}" if text[1:] else text
    if "@" in text:
        return known.get(Kind.MAIL, text)
    return known.get(Kind.HOST if _HOST.fullmatch(text) else Kind.IDENTITY, text)
