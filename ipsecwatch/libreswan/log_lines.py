# SPDX-License-Identifier: MIT
"""Find out what a line of pluto's log is about, and what it is evidence of, with log_table.py."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.log_table import (
    DAEMON_TABLE,
    NOTIFICATIONS,
    TABLE,
    Began,
    Finding,
    LogEvent,
    LogWording,
    LossKind,
    Proof,
    Subject,
    Weight,
)
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "NOTIFICATIONS",
    "Began",
    "ConnectionLine",
    "Finding",
    "LogEvent",
    "LogWording",
    "LossKind",
    "Proof",
    "Subject",
    "Weight",
    "find_wording",
    "interpret",
    "interpret_daemon",
    "is_evidence",
    "parse_line",
]


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    """A log line about a connection, split into its parts: ``"rw"[3] 192.0.2.1 #12: text``."""

    name: str
    """The connection's name with its instance numbers: ``rw[3]``."""
    base: str
    """The connection's name without instance numbers: ``rw``."""
    serial: int | None
    """The serial of the SA that the line is about (12); None: the line has no serial."""
    text: str
    """The rest of the line, behind name, address and serial."""
    address: str = ""
    """The peer's address, which pluto prints behind an instance's name; "" if it isn't there."""


_NAME: Final = grammar.name(length="{1,512}")
# `"name"[1] 192.0.2.1 #2: text`; an opportunistic instance has `10.0.0.1/32=== ...192.0.2.1` for
# the address; errors begin with "ERROR: ", in 5.x before the name, as "warning: " in 5.4;
# debugging adds the state's name to #2.
_LINE: Final = re.compile(
    rf'(?:ERROR: |warning: )?"({_NAME})"({grammar.instances(3)})((?: [^#" ]{{1,200}}){{0,3}}?)'
    rf"(?: #({grammar.NUMBER})(?: [A-Z][A-Z0-9_]{{2,40}})?)?: (?:ERROR: )?(.*)"
)


def parse_line(line: str) -> ConnectionLine | None:
    """Split a line of pluto's log about a connection into its parts.

    Return None if the line doesn't begin with a connection's name in quotes; ``ERROR: `` or
    ``warning: `` may come before the name. ``line`` is without date, host and program.
    """
    if not line.startswith(('"', 'ERROR: "', 'warning: "')):
        return None
    m = _LINE.match(line)
    if m is None:
        return None
    serial = int(m[4]) if m[4] else None
    address = m[3].rpartition(" ")[2].lstrip(".").partition("===")[0]
    if address.count("[") != address.count("]"):
        address = ""  # somebody put words in its place: "[client ip]"
    return ConnectionLine(m[1] + m[2], m[1], serial, m[5], address)


def is_evidence(line: str) -> bool:
    """Return whether a line of pluto's log is a reason to poll pluto earlier than planned.

    It is, if the tables of log_table.py say that it is evidence of something that happened to a
    connection or to pluto. Lines about strangers' packets, about most messages of a negotiation,
    and for developers aren't in these tables. The begin of a rekey is, but changes no tunnel.
    """
    said = parse_line(line)
    finding = interpret_daemon(line) if said is None else interpret(said)
    return finding is not None and finding.event is not LogEvent.REKEY


_STATE: Final = re.compile(r"(?:STATE_)?[A-Z][A-Z0-9]*_[A-Z0-9_]{1,40}:")

_Index = dict[str, tuple[tuple[str, LogWording], ...]]


def _index(table: Iterable[LogWording]) -> _Index:
    """Return the rows of a table by the first word of their messages, in the table's order.

    Each row comes with its pattern for the text behind that word. A row for several first words is
    there several times.
    """
    index: _Index = {}
    for row in table:
        heads, _, rest = row.pattern.partition(" ")
        for head in heads.split("|"):
            index[head] = (*index.get(head, ()), (rest, row))
    return index


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a compiled pattern. It is compiled at its first use, as all patterns take 15 ms."""
    return re.compile(pattern)


_CONNECTIONS: Final = _index(TABLE)
_DAEMON: Final = _index(DAEMON_TABLE)


def interpret(said: ConnectionLine, *, phase1: bool = False) -> Finding | None:
    """Return what a log line about a connection is evidence of, or None if it is no evidence.

    ``phase1`` says that the line is about an IKEv1 SA (phase 1) under which one side has begun a
    Quick Mode. Then a refusal is about the Quick Mode, no longer about the identity or the secret.
    """
    found = _find(_CONNECTIONS, said.text)
    return _complete(*found, phase1=phase1) if found else None


def interpret_daemon(text: str) -> Finding | None:
    """Return what a log line without a connection's name at its beginning is evidence of, or None.

    Most such lines are no evidence: None. A few name a connection later (``Finding.other``).
    """
    found = _find(_DAEMON, text)
    return _complete(*found, phase1=False) if found else None


def find_wording(text: str, *, daemon: bool = False) -> LogWording | None:
    """Return the first row of a table whose wording fits a text, or None if none fits.

    ``text`` is what follows the connection's name in a log line. With ``daemon``, it is a whole
    line without a connection's name at its beginning, and another table is searched.
    """
    found = _find(_DAEMON if daemon else _CONNECTIONS, text)
    return found[0] if found else None


def _find(index: _Index, text: str) -> tuple[LogWording, re.Match[str]] | None:
    """Return the first row whose wording fits a text, with the match of its pattern, or None."""
    head, _, rest = text.partition(" ")
    if _STATE.fullmatch(head):
        head, rest = "STATE:", text
    for pattern, row in index.get(head, ()):
        if m := _compiled(pattern).match(rest):
            return row, m
    return None


def _complete(row: LogWording, match: re.Match[str], *, phase1: bool) -> Finding | None:
    """Return a row's finding, completed by the values that the line itself has (``match``).

    They are serials, addresses, names, and the reason by a notification. Return None if the line
    has a notification that is no evidence.
    """
    finding, groups = row.finding, match.groupdict()
    if not groups:
        return finding
    reason: Reason | None = finding.reason
    if note := groups.get("note"):
        reason = _meaning(note, finding, phase1=phase1)
    if reason is None:
        return None
    return replace(
        finding,
        reason=reason,
        ended=_number(groups.get("ended")),
        using=_number(groups.get("using")),
        rekeyed=_number(groups.get("rekeyed")),
        address=groups.get("address"),
        host=groups.get("host"),
        other=groups.get("other"),
    )


def _meaning(note: str, finding: Finding, *, phase1: bool) -> Reason | None:
    """Return the reason that an error notification shows, or None if it is no evidence.

    ``note`` is its name, ``finding`` is the finding of the line's row, ``phase1`` as in
    interpret().
    """
    if note == "INVALID_ID_INFORMATION" and phase1:
        return Reason.TRAFFIC_SELECTORS
    if note == "PAYLOAD_MALFORMED" and (phase1 or finding.version != 1):
        return Reason.OTHER
    return NOTIFICATIONS.get(note)


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None
