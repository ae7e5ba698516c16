# SPDX-License-Identifier: MIT
"""Recognise the lines of an answer that are about pluto itself, not about a connection or an SA.

These are the heads of sections, settings, totals, bare shunts, error messages, and the lines of
commands like ``globalstatus``.
"""

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
"""The beginnings of lines about pluto itself, in any release, as answers to any command."""

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
    """Return whether a line has a form that some release prints, and belongs to ``Report.other``.

    True for a line that begins like one of _KNOWN, and for the rows of ``processstatus``,
    ``addresspoolstatus`` and ``briefconnectionstatus``. False for bare shunts, error messages and
    notes, which other functions recognise, and for the lines of connections and SAs.
    """
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
    """Return the command that a single line gives away, or None if it doesn't show its command.

    ``FIPS mode disabled`` gives away ``fipsstatus``, for example. All lines of ``status`` return
    None, and so do some lines of the other commands.
    """
    if brief_connections.is_brief(line):
        return "briefconnectionstatus"
    return next((name for starts, name in _COMMANDS if line.startswith(starts)), None)


def error(line: str) -> bool:
    """Return whether a line begins like an error message that comes instead of an answer.

    whack or pluto prints it, as in ``no connection named "office"``.
    """
    return line.startswith(_ERRORS)


def note(line: str) -> bool:
    """Return whether a line is the warning of the ``ipsec`` command that ``auto`` is deprecated.

    It may come before an answer, and says nothing about it.
    """
    return line.startswith(_NOTES)


def version(line: str) -> str | None:
    """Return ``4.10`` for a line with ``pluto_version=4.10``, or None for a line without it."""
    m = _VERSION.search(line, 0, 4096)
    return m[1] if m else None


def shunt(line: str) -> Shunt | None:
    """Return the bare shunt that a line describes, or None if it describes none.

    A bare shunt is a kernel policy that pluto set without a connection. An example of a line:
    ``192.0.2.1/32 -0-> 198.51.100.7/32 => %pass 0    oe-failing``.
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
    """Return pluto's own counts from the four lines of a status that have them.

    The lines begin with CONNECTION_TOTAL (or BRIEF_TOTAL), STATE_INFORMATION, IKE_TOTAL and
    IPSEC_TOTAL. A line that the answer lacks is None here; its counts are then None, or an empty
    dictionary.
    """
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
    """Return True if a line contains ``yes``, or False if it contains one of the phrases in ``no``.

    Return None if it contains none of them, for example because it was cut off, and for no line.
    """
    if line is None:
        return None
    if yes in line:
        return True
    return False if any(word in line for word in no) else None
