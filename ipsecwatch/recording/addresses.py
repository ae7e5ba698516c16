# SPDX-License-Identifier: MIT
"""Redact addresses, subnets, ranges, host names and identities, in the forms libreswan writes.

The length of a prefix (``/24``), ports and protocols stay as they are, and so do libreswan's words
for an end without an address, such as ``%any``. Any other word of an end is taken for a host name.
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
"""The words that libreswan prints instead of an address. They aren't private."""

OWN_IDENTITIES: Final = frozenset(
    {
        "", "%fromcert", "%none", "%any", "%null", "%myid", "%cert", "(none)", "(null)", "ID_NULL",
        "unset", "<unset>", "%same", "%auth",
    }
)  # fmt: skip
"""The words that libreswan prints instead of an identity. They aren't private."""

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
    """Return a word with its addresses replaced by placeholders, or None for any other word.

    The word is an address, several addresses with ``-`` or ``,`` between them, or
    ``esp.SPI@ADDRESS``. The length of a prefix, ports and a protocol behind the last address stay.
    ``known`` has the placeholders.
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
    """Return the IP address with which a word begins, and the rest of the word.

    Return None if the word doesn't begin with an address.
    """
    m = _V4.match(word)
    if m is None and word.count(":", 0, 60) >= 2:
        m = _V6.match(word)
    return (m[0], word[m.end() :]) if m is not None and ip_version(m[0]) else None


def _said(m: re.Match[str], word: str, known: Placeholders) -> str:
    """Return ``esp.SPI@ADDRESS`` with its SPI and its address redacted; an SPI of 0 stays.

    ``m`` is the match of _SAID in ``word``, which goes up to the ``@``.
    """
    protocol, dot, number = m.groups()
    spi = number if number == "0" else known.get(Kind.SPI, number)
    return f"{protocol}{dot}{spi}@{end(word[m.end() :], known)}"


def end(word: str, known: Placeholders) -> str:
    """Return one end of a connection redacted: an address, or if it is none, a host name.

    A port behind it stays. A word in OWN_ENDS, a port alone, and a word without letters and digits
    stay as they are.
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
    """Return a text with each of its words redacted by joined().

    Words are separated by blanks, brackets, commas and semicolons, which stay.
    """
    return _WORD.sub(lambda m: joined(m[0], known), text)


def joined(word: str, known: Placeholders) -> str:
    """Return a word with its ends redacted: the parts between ``===``, ``---`` and ``...``."""
    if word in OWN_ENDS:
        return word
    parts = _JOINTS.split(word)
    return "".join(part if i % 2 else end(part, known) for i, part in enumerate(parts))


_HOST: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+\.?")


def identity(text: str, known: Placeholders) -> str:
    """Return an identity redacted, with a placeholder for its kind, which its form shows.

    The kinds are IP address, host name (``@fqdn``, or words with dots between them), mail address
    (``user@fqdn``), key id (``@#hex``), DN (it has a ``=``), and other identity. A text in
    OWN_IDENTITIES stays as it is.
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
