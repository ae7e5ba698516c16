# SPDX-License-Identifier: MIT
"""Read pluto's own settings, interfaces, algorithms and counters.

The functions take a report, and read its lines that are about pluto itself (``Report.other``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status.values import NOTHING, Value, guess, items, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipsecwatch.report import Report

# --- Settings -------------------------------------------------------------------------------

_SETTINGS: Final = (
    "configdir=", "nssdir=", "dnssec-", "sbindir=", "pluto_version=", "nhelpers=", "logfile=",
    "ddos-cookies-threshold=", "ikeport=", "ikebuf=", "ocsp-", "global-redirect=",
    "secctx-attr-type=", "nat-traversal=", "fips mode=", "SElinux=", "seccomp=",
)  # fmt: skip
"""The beginnings of the lines that have settings in the form ``key=value, key=value``."""

RENAMED: Final = {
    "strictcrlpolicy": "crl_strict",  # 3.x
    "xfrmlifetime": "expire_lifetime",  # up to 5.2
    "dnssec_trusted": "dnssec_anchors",  # up to 5.2
    "fips_mode": "fips",
    "SElinux": "selinux",
}
"""Keys of settings in older releases, with the names that are used here for all releases."""

_TEXT: Final = frozenset({"pluto_version", "pluto_vendorid"})
"""Settings whose values may look like numbers, but stay texts."""

_SWAPPED: Final = ("ddos_cookies_threshold", "ddos_max_halfopen")
"""Two settings that pluto up to 3.32 prints with each other's value (programs/pluto/ddos.c)."""


def settings(report: Report) -> dict[str, Value]:
    """Return pluto's settings by name: those of ``config setup``, and modes like ``fips``.

    A name is the key that pluto prints, with ``_`` instead of ``-``; keys in RENAMED have the name
    given there. The type of a value is guessed (values.guess()): durations are seconds, ``yes`` and
    ``no`` are booleans, a word that means that there is no value is None. The flags of ``debug``
    and ``impair``, and the subnets of ``virtual_private_…``, are lists of texts.
    """
    found: dict[str, Value] = {}
    for line in report.other:
        if line.startswith(_SETTINGS):
            found.update(_pairs(line))
        elif line.startswith("using kernel interface:"):
            found["kernel_interface"] = line.partition(":")[2].strip()
        elif line.startswith(("debug", "impair:")):
            key, _, words = line.replace(":", " ", 1).partition(" ")
            found[key] = [w for w in words.strip().split("+") if w not in NOTHING]
        elif line.startswith("nat-traversal:"):
            found.update(_pairs(line.removeprefix("nat-traversal: ")))
        elif line.startswith("myid = "):
            found["myid"] = guess(line.removeprefix("myid = "))
        elif line.startswith(("- allowed subnet", "- excluded subnet")):
            key = "virtual_private_" + line[2:].partition(" ")[0]
            found[key] = [net for net in items(line.partition(":")[2]) if net not in NOTHING]
    if _is_old(report, found):
        a, b = _SWAPPED
        found[a], found[b] = found.get(b), found.get(a)
    return found


_LOG_FILE: Final = re.compile(r"logfile='([^']*)'")


def log_file(report: Report) -> str | None:
    """Return the path of the file that pluto logs to, or "" if it logs to syslog or to stderr.

    Return None if it isn't printed: up to 5.0, and in answers without settings.
    """
    for line in report.other:
        if line.startswith("logfile=") and (m := _LOG_FILE.match(line)):
            return m[1] if m[1].startswith("/") else ""
    return None


def _pairs(line: str) -> Iterator[tuple[str, Value]]:
    """Yield the name and the value of each setting in a line ``key=value, key=value;``.

    A value may have blanks and commas in it: it ends where a comma, a blank and a key follow.
    """
    for field in re.split(r", (?=[\w-]+(?: mode)?=)", line.strip(" ;,")):
        printed, equals, value = field.partition("=")
        key = printed.strip().replace("-", "_").replace(" ", "_")
        key = RENAMED.get(key, key)
        if equals:
            yield key, _setting(key, value.strip(" ,'"))


def _setting(key: str, value: str) -> Value:
    return value if key in _TEXT else guess(value)


def _is_old(report: Report, found: dict[str, Value]) -> bool:
    """Return whether pluto is of 3.32 or older.

    It is found out from the report's version. If that is missing, it is found out from the setting
    ``ikeport``, which later releases don't print.
    """
    version = (report.version or "").split(".")[0]
    return version == "3" or (not version and "ikeport" in found)


# --- Interfaces -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interface:
    """An address and port that pluto listens on."""

    device: str
    address: str
    port: int
    protocol: str
    """udp or tcp."""
    nat: bool | None
    """Whether it is for packets that are encapsulated because of NAT; None: not printed."""


_INTERFACES: Final = (
    # up to 3.29, 3.30 to 3.32
    re.compile(r"(\S{1,40})/\S{1,40} (?P<address>\S{2,60})[@](?P<port>\d{1,5})", re.ASCII),
    re.compile(
        r"(\S{1,40})/\S{1,40} \[?(?P<address>[^\]\s]{2,60}?)\]?:(?P<port>\d{1,5})", re.ASCII
    ),
    # 4.0 to 5.0
    re.compile(
        r"(\S{1,40}) (?P<protocol>UDP|TCP) \[?(?P<address>[^\]\s]{2,60}?)\]?:(?P<port>\d{1,5})",
        re.ASCII,
    ),
    # from 5.1 on
    re.compile(
        r"(\S{1,40}) \[?(?P<address>[^\]\s]{2,60}?)\]?:(?P<protocol>UDP|TCP)/(?P<port>\d{1,5})"
        r"(?P<marks> \([\w ]{0,20}\))?",
        re.ASCII,
    ),
)


def interfaces(report: Report) -> list[Interface]:
    """Return the addresses and ports that pluto listens on. Empty: none, or they aren't printed."""
    lines = (x.removeprefix("interface ") for x in report.other if x.startswith("interface "))
    return [found for found in map(_interface, lines) if found is not None]


def _interface(line: str) -> Interface | None:
    """Return the interface in a line without ``interface ``, as any release prints it, or None."""
    for pattern in _INTERFACES:
        m = pattern.fullmatch(line.rstrip())
        if m is not None:
            said = m.groupdict()
            nat = None if pattern is not _INTERFACES[-1] else "NAT" in (said["marks"] or "")
            protocol = (said.get("protocol") or "UDP").lower()
            return Interface(m[1], said["address"], int(said["port"]), protocol, nat)
    return None


# --- Algorithms -----------------------------------------------------------------------------

_ALGORITHM: Final = re.compile(r"algorithm ([\w/]{2,10}) ([^:]{2,40}): (.*)")

_KINDS: Final = {
    "encrypt": "encryption", "auth": "integrity", "hash": "prf", "PRF": "prf",
    "dh group": "key_exchange", "DH Key Exchange": "key_exchange",
    "Key Exchange Method (DH)": "key_exchange",
}  # fmt: skip


def algorithms(report: Report) -> list[dict[str, Value]]:
    """Return the algorithms that pluto supports for IKE, and the kernel's for ESP and AH.

    Each has ``protocol`` (``ESP``, ``AH/ESP``, ``IKE``), ``kind`` (``encryption``, ``integrity``,
    ``prf``, ``key_exchange``) and the values that are printed, as ``name``, ``id`` and
    ``keysizemin``, with ``_`` instead of ``-`` in their keys.
    """
    found = []
    for line in report.other:
        m = _ALGORITHM.fullmatch(line.rstrip())
        if m is not None:
            entry: dict[str, Value] = {"protocol": m[1], "kind": _KINDS.get(m[2], m[2])}
            entry.update(_facts(m[3]))
            found.append(entry)
    return found


def _facts(text: str) -> Iterable[tuple[str, Value]]:
    for field in text.split(", "):
        key, equals, value = field.partition("=")
        if equals:
            yield key.replace("-", "_"), value if key.endswith("name") else guess(value)


# --- Counters -------------------------------------------------------------------------------

_DB_OPS: Final = re.compile(r"(\w+)=\{(\d{1,20}),(\d{1,20}),(\d{1,20})\}", re.ASCII)


def counters(report: Report) -> dict[str, Value]:
    """Return the counters and settings of ``globalstatus``, by the names that pluto prints.

    An example of a name is ``total.ipsec.type.all``. Up to 3.21, pluto prints ``~`` or ``#`` before
    a name, which is left out here. A value that isn't a number is a text. Empty: the report isn't
    an answer to ``globalstatus``.
    """
    found: dict[str, Value] = {}
    for line in report.other:
        if not line.startswith(("current.", "config.", "total.", "~", "#current.")):
            continue
        key, mark, value = line.lstrip("~#").replace(" ", "=", 1).partition("=")
        if mark:
            found[key] = _count(value)
    return found


def _count(value: str) -> Value:
    try:
        return number(value.strip())
    except ValueError:
        return value.strip()


def database(report: Report) -> dict[str, list[int]]:
    """Return the three numbers of each kind in the line ``stats db_ops``, as pluto prints them.

    They are the current count, the total count and the largest size, by kind (``context``,
    ``trans``, ``attrs``). Empty: the line is missing.
    """
    for line in report.other:
        if line.startswith("stats db_ops:"):
            return {m[1]: [int(m[2]), int(m[3]), int(m[4])] for m in _DB_OPS.finditer(line)}
    return {}
