# SPDX-License-Identifier: MIT
"""Finds private values in libreswan's texts, and plants others there, to test the redaction.

Values are found with the parser, and with simple patterns over the whole text; the redaction finds
them in another way. Values are planted where pluto would print them. Two texts that differ only in
planted values must be equal after redaction: then nothing of these values is left.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import connection_fields, parse
from ipsecwatch.recording.vocabulary import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.report import Report

NOBODYS: Final = frozenset(
    {
        None, "", "unset", "none", "(none)", "[any]", "%any", "%none", "%fromcert", "%myid",
        "%group", "%opportunistic", "%opportunisticgroup", "ID_NULL", "NONE", "ipsec _updown",
        "address", "unset-address", "0.0.0.0", "127.0.0.1", "::", "::1", "255.255.255.255", "0",
    }
)  # fmt: skip
"""Values that identify nobody: libreswan's words for nothing, and addresses that every machine
has."""

_V4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)")
_V6: Final = re.compile(r"(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])")
_HOST: Final = re.compile(r"<([\w-]+\.[\w.-]+)>")
_SPI: Final = re.compile(r"\b(?:esp|ah|comp)[.:](\w{4,})@")
_SETTING: Final = re.compile(
    r"(?:configdir|configfile|secrets|ipsecdir|nssdir|dumpdir|statsbin|dnssec-rootkey-file|libdir"
    r"|dnssec-anchors|dnssec-trusted|sbindir|libexecdir|logfile|ocsp-uri|ocsp-trust-name"
    r"|global-redirect-to)='?([^,'<\n]+)"
)


def found(text: str) -> set[str]:
    """Return the private values in a status, or in libreswan's answer to another command."""
    report = parse(text)
    values: set[str | None] = {
        *_of_connections(report), *_of_sas(report),
        *_V4.findall(text), *(v for v in _V6.findall(text) if re.search("[0-9a-f]", v)),
        *_HOST.findall(text), *_SPI.findall(text), *map(str.strip, _SETTING.findall(text)),
    }  # fmt: skip
    for line in report.other:
        if line.startswith("interface "):
            values.update(line.split()[1].split("/"))
    return {v for v in values - NOBODYS if v is not None and not v.startswith("<")}


def _of_connections(report: Report) -> Iterator[str | None]:
    """Yield the private values of all connections: names, identities, users and more.

    Values can be None, or in NOBODYS.
    """
    for c in report.connections:
        fields = connection_fields(c)
        yield _base(c.name)
        yield from c.aliases
        for t in c.topologies:
            yield from (t.local_id, t.remote_id)
        for key in (
            "our_id", "their_id", "our_ca", "their_ca", "our_username", "their_username",
            "our_certificate", "their_certificate", "interface", "vti_interface", "our_updown",
            "left_updown", "banner", "sec_label",
        ):  # fmt: skip
            value = fields[key]
            yield value if isinstance(value, str) else None


def _of_sas(report: Report) -> Iterator[str | None]:
    for s in report.states:
        yield _base(s.name)
        yield s.sa.username if s.sa else None
    for t in report.traffic:
        yield from (_base(t.name), t.username, t.id)


def _base(name: str) -> str:
    return re.sub(r"/\d+x\d+$", "", name).partition("#")[0]


_UPPER: Final = {word.upper() for word in WORDS} | {"TCP"}
"""Words, in capitals, that may stand in a redacted text even if they are also private values."""


def left(values: set[str], text: str) -> list[str]:
    """Return those private values that a redacted text still contains as whole words, sorted.

    Those that are in _UPPER are left out.
    """
    return sorted(
        v for v in values
        if v in text and v.upper() not in _UPPER
        and re.search(rf"(?<![\w.:/@-]){re.escape(v)}(?![\w:/-]|\.\w)", text)
    )  # fmt: skip


USERS: Final = ("main", "idle", "up", "4711")
"""User names that are also words of libreswan, or that look like one of its numbers."""

SECRETS: Final[dict[str, tuple[str, ...]]] = {
    "user": (*USERS, "Paula Smith", "o'brien; newest", "a, type=ESP", "unlimited", "jürgen", "500"),
    "id": (
        "C=DE, O=Main, OU=idle up, CN=4711", "CN=a]b === c, E=x@y.z", "main@up.example",
        "@main", "@idle",
        "@#4711abcd", "up", "CN=x', lease=10.9.9.9/32",
        "CN=the peer is dead, O=established; newest",
    ),
    "host": ("gw.acme.example", "main", "up.idle", "xn--bcher-kva.example"),
    "cert": ("main", "Acme VPN, 2026", "idle"),
    "banner": ("Welcome, up, main and idle", "cat:set, domains:unset", "4711"),
    "domain": ("main", "corp.acme.example", "up"),
    "label": ("system_u:object_r:ipsec_spd_t:s0", "main", "s0-s0:c0.c1023"),
    "path": ("/opt/acme/main", "/home/paula/up.sh", "acme updown --idle"),
    "iface": ("acme0", "main", "up", "ppp4711"),
}  # fmt: skip
"""Private values of each kind, chosen to be difficult to find."""

PLAIN: Final = {
    "user": "zzuser", "id": "CN=zzdn", "host": "zzhost.test", "cert": "zzcert",
    "banner": "zzbanner", "domain": "zzdomain.test", "label": "zzlabel", "path": "/zz/path",
    "iface": "zz0",
}  # fmt: skip
"""One private value of each kind that is easy to find."""

_SLOTS: Final = (
    ("user", re.compile(r"(?<=my_username=)\[any\]|(?<=their_username=)\[any\]")),
    ("user", re.compile(r"(?<=ESPmax=\d\^\d\dB)( )(?=$)", re.MULTILINE)),
    ("id", re.compile(r"(?<=their id=)[^\n]+")),
    ("id", re.compile(r"(?<=our id=)[^;\n]+(?=; their idtype)")),
    ("id", re.compile(r"(?<=\[)@[a-z]+(?=\]\.\.\.)|(?<=\d\[)@[a-z]+(?=\]===|\];)")),
    ("id", re.compile(r"(?<=, id=')[^\n]*(?=')")),
    ("host", re.compile(r"(?<=\.\.\.)192\.1\.2\.23(?=\[@)")),
    ("cert", re.compile(r"(?<=mycert=)\w+(?=;)|(?<=peercert=)\w+(?=;)|(?<=hiscert=)\w+(?=;)")),
    ("banner", re.compile(r"(?<=banner:)unset")),
    ("domain", re.compile(r"(?<=domains:)unset|(?<=domain:)unset")),
    ("label", re.compile(r"(?<=sec_label:)unset|(?<=policy_label:)unset")),
    ("path", re.compile(r"(?<=my_updown=)ipsec _updown")),
    ("iface", re.compile(r"(?<= interface: )eth\d|(?<=^interface )eth\d(?= )", re.MULTILINE)),
)


def planted(text: str, kind: str, value: str) -> str:
    """Return a text with this value in each place where pluto prints a value of its kind."""
    for slot, pattern in _SLOTS:
        if slot == kind:
            said = f"192.1.2.23<{value}>" if kind == "host" else value
            if pattern.groups:
                said = f" username={value}"
            text = pattern.sub(lambda _, said=said: said, text)  # type: ignore[misc]
    return text
