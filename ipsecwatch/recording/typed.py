# SPDX-License-Identifier: MIT
"""Split what an administrator typed, for redaction: ``ipsec`` commands and lines of ipsec.conf.

Names have no quotes there, and may be words that libreswan uses, too (``conn server``,
``ipsec up tunnel``). Only their place shows that they are names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.recording.pieces import Field

if TYPE_CHECKING:
    from ipsecwatch.recording.pieces import Pieces

_COMMAND: Final = re.compile(
    r"((?:.{0,400}[\s/`'\"])?ipsec )"
    r"((?:auto )?(?:--)?"
    r"(?:up|down|add|delete|replace|route|unroute|ondemand|start|connectionstatus"
    r"|briefconnectionstatus|showstates)"
    r"(?: --[a-z-]{2,30})* +|whack (?:--[a-z-]{2,30} +){0,8}?--name[ =])"
    r"((?!-)[^\s\"'`;|&]+)(.*)",
    re.DOTALL,
)
_SECTION: Final = re.compile(r"(\s*conn\s+)([^\s#]+)(\s*(?:#.*)?)", re.DOTALL)
_SETTING: Final = re.compile(
    r"(\s*)([a-z][a-z0-9-]{1,40})(\s*=\s*)(\"?)([^\s\"#][^\"#]*?)(\"?)(\s*(?:#.*)?)", re.DOTALL
)
_MORE: Final = re.compile(r"\s[a-z][\w-]*\s*=")

_ENDS: Final = {
    "": Field.ADDRESSES, "id": Field.IDENTITY, "cert": Field.CERTIFICATE, "ca": Field.IDENTITY,
    "username": Field.USER, "xauthusername": Field.USER, "xauthuser": Field.USER,
    "subnet": Field.ADDRESSES, "subnets": Field.ADDRESSES, "nexthop": Field.ADDRESSES,
    "sourceip": Field.ADDRESSES, "addresspool": Field.ADDRESSES, "vti": Field.ADDRESSES,
    "interface-ip": Field.ADDRESSES, "ckaid": Field.PRIVATE, "rsasigkey": Field.PRIVATE,
    "ecdsakey": Field.PRIVATE, "pubkey": Field.PRIVATE, "ppk-ids": Field.PRIVATE,
}  # fmt: skip
SETTINGS: Final = {
    **{side + end: field for side in ("left", "right") for end, field in _ENDS.items()},
    "also": Field.CONNECTIONS, "connalias": Field.CONNECTIONS, "modecfgdomains": Field.HOSTS,
    "modecfgdns": Field.ADDRESSES, "modecfgbanner": Field.BANNER, "interface": Field.INTERFACE,
    "ipsec-interface": Field.INTERFACE, "vti-interface": Field.INTERFACE,
    "sec-label": Field.LABEL, "policy-label": Field.LABEL, "ppk-ids": Field.PRIVATE,
}  # fmt: skip
"""The settings of ipsec.conf that have private values, with the kind of their values."""
_OWN: Final = frozenset({"%fromcert", "%cert", "%dnsondemand", "%same", "%default", "yes", "no"})


def read(line: str) -> Pieces | None:
    """Return the pieces of a command that names a connection, or of a line of ipsec.conf.

    Of ipsec.conf, only ``conn NAME`` and the settings in SETTINGS are recognised. Return None for
    any other line.
    """
    if "ipsec " in line and (m := _COMMAND.fullmatch(line)):
        return [
            (Field.TEXT, m[1]), (Field.OWN, m[2]), (Field.CONNECTION, m[3]), (Field.TEXT, m[4]),
        ]  # fmt: skip
    if m := _SECTION.fullmatch(line):
        return [(Field.OWN, m[1]), (_field(m[2], Field.CONNECTION), m[2]), (Field.TEXT, m[3])]
    m = _SETTING.fullmatch(line) if "=" in line[:60] else None
    if m is None or m[2] not in SETTINGS or _MORE.search(m[5]):
        return None
    return [
        (Field.OWN, m[1] + m[2] + m[3] + m[4]),
        (_field(m[5], SETTINGS[m[2]]), m[5]),
        (Field.OWN, m[6]), (Field.TEXT, m[7]),
    ]  # fmt: skip


def _field(value: str, field: Field) -> Field:
    return Field.OWN if value in _OWN else field
