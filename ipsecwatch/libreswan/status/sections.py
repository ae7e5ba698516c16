# SPDX-License-Identifier: MIT
"""Recognise the lines that are about no connection and no SA: heads, settings, totals, shunts."""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan.grammar import NUMBER, PROTOCOL, SELECTOR
from ipsecwatch.libreswan.status import address_pools, brief_connections
from ipsecwatch.report import Shunt, Totals

STATUS_HEAD: Final = "using kernel interface:"
CONNECTION_LIST: Final = "Connection list:"
CONNECTION_TOTAL: Final = "Total IPsec connections:"
BRIEF_TOTAL: Final = "# Total IPsec connections:"
STATE_INFORMATION: Final = "State Information:"
IKE_TOTAL: Final = "IKE SAs:"
IPSEC_TOTAL: Final = "IPsec SAs:"
SHUNT_LIST: Final = "Bare Shunt list:"

_KNOWN: Final = (
    STATUS_HEAD, CONNECTION_LIST, CONNECTION_TOTAL, STATE_INFORMATION, IKE_TOTAL, IPSEC_TOTAL,
    SHUNT_LIST, BRIEF_TOTAL,
    # interfaces and modes
    "interface ", "fips mode=", "FIPS mode ", "SElinux=", "seccomp=",
    # config setup
    "config setup options:", "configdir=", "nssdir=", "dnssec-", "sbindir=", "pluto_version=",
    "nhelpers=", "logfile=", "ddos-cookies-threshold=", "ikeport=", "ikebuf=", "ocsp-",
    "global-redirect=", "secctx-attr-type=", "myid = ", "debug", "impair:",
    "nat-traversal", "virtual-private (%priv):", "- allowed subnet", "- excluded subnet",
    # algorithms
    "ESP algorithms supported:", "Kernel algorithms supported:", "IKE algorithms supported:",
    "algorithm ", "stats db_ops: ",
    # globalstatus
    "current.states.", "config.setup.", "total.", "~states.", "#current.", "~current.", "~total.",
    # addresspoolstatus, processstatus
    "address pool ", "  PID  Process",
)  # fmt: skip
"""How each line about pluto itself begins, in any release."""

_ERRORS: Final = (
    "whack: ", "ERROR: ipsec whack: ", "ipsec whack: ERROR: ", "whack error: ",
    "no connection named ", "no connection or alias named ",
    "no such connection or aliased connection named ", "need --listen before ",
    "ignoring message from whack with bad magic ",
)  # fmt: skip

_NOTES: Final = ("WARNING: ipsec auto has been deprecated",)

_SHUNT: Final = re.compile(
    rf"({SELECTOR}) -({PROTOCOL})-> ({SELECTOR}) => (%\w{{1,20}})(?: (\d{{1,10}}))?    (.{{0,200}})"
)
_CONN_SERIAL: Final = re.compile(rf" \$({NUMBER})$")
_COUNT: Final = re.compile(r"([\w-]{1,20})\((\d{1,10})\)")
_LOADED: Final = re.compile(r"\b(loaded|routed|active) (\d{1,10})")
_PROCESS: Final = re.compile(r" {0,4}\d{1,10}  [\w./-]{1,60}", re.ASCII)  # processstatus
_VERSION: Final = re.compile(r"pluto_version=([^,\s]{1,60})")


def known(line: str) -> bool:
    """Return whether a line has a form that some release prints about no connection and no SA."""
    if line.startswith(_KNOWN) or _PROCESS.fullmatch(line) is not None:
        return True
    return address_pools.is_lease(line) or brief_connections.is_brief(line)


_COMMANDS: Final = (
    (("current.states.", "~states.total", "#current.", "~current.", "total."), "globalstatus"),
    (("address pool ",), "addresspoolstatus"),
    ((BRIEF_TOTAL,), "briefconnectionstatus"),
    (("  PID  Process",), "processstatus"),
    (("FIPS mode ",), "fipsstatus"),
)


def command(line: str) -> str | None:
    """Return the only command that prints a line; None: ``status`` prints it, or it isn't known."""
    if brief_connections.is_brief(line):
        return "briefconnectionstatus"
    return next((name for starts, name in _COMMANDS if line.startswith(starts)), None)


def error(line: str) -> bool:
    """Return whether a line is an error message of whack or pluto in place of an answer."""
    return line.startswith(_ERRORS)


def note(line: str) -> bool:
    """Return whether a line is a remark of the ``ipsec`` command, which is no part of an answer."""
    return line.startswith(_NOTES)


def version(line: str) -> str | None:
    """Return pluto's version from a line with ``pluto_version=4.10``, or None."""
    m = _VERSION.search(line, 0, 4096)
    return m[1] if m else None


def shunt(line: str) -> Shunt | None:
    """Return the bare shunt that a line shows, or None.

    That is a kernel policy of pluto for traffic of no connection.
    """
    m = _SHUNT.fullmatch(line)
    if m is None:
        return None
    why = m[6]
    serial = _CONN_SERIAL.search(why)
    if serial:
        why = why[: serial.start()]
    number = int(serial[1]) if serial else None
    return Shunt(m[1], int(m[2]), m[3], m[4], why.strip(), m[5], number)


def totals(
    connections: str | None, state: str | None, ike: str | None, ipsec: str | None
) -> Totals:
    """Return the totals of a status from its four lines with counts; each may be missing."""
    loaded = {word: int(n) for word, n in _LOADED.findall(connections or "")}
    return Totals(
        loaded=loaded.get("loaded"),
        routed=loaded.get("routed"),
        active=loaded.get("active"),
        accepting=_one_of(state, " Accepting new IKE", (" NOT ACCEPTING", " IGNORING")),
        ddos_cookies=_one_of(state, "DDoS cookies REQUIRED", ("DDoS cookies not required",)),
        ike={word: int(n) for word, n in _COUNT.findall(ike or "")},
        ipsec={word: int(n) for word, n in _COUNT.findall(ipsec or "")},
    )


def _one_of(line: str | None, yes: str, no: tuple[str, ...]) -> bool | None:
    """Return True if a line contains ``yes``, False for one of ``no``; None: neither (or cut)."""
    if line is None:
        return None
    if yes in line:
        return True
    return False if any(word in line for word in no) else None
