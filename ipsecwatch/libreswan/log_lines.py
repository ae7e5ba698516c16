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
    """A log line about a connection, split into its parts."""

    name: str
    """The connection as pluto names it, with the instance: ``rw[3]``."""
    base: str
    """The same without the instance."""
    serial: int | None
    """The SA that the line is about; None: the line names none."""
    text: str
    """What follows these."""
    address: str = ""
    """The peer's, where pluto puts it behind an instance's name; empty: it doesn't."""


_NAME: Final = grammar.name(length="{1,512}")
# `"name"[1] 192.0.2.1 #2: text`; an opportunistic instance has `10.0.0.1/32=== ...192.0.2.1` for
# the address; errors begin with "ERROR: ", in 5.x before the name, as "warning: " in 5.4;
# debugging adds the state's name to #2.
_LINE: Final = re.compile(
    rf'(?:ERROR: |warning: )?"({_NAME})"({grammar.instances(3)})((?: [^#" ]{{1,200}}){{0,3}}?)'
    rf"(?: #({grammar.NUMBER})(?: [A-Z][A-Z0-9_]{{2,40}})?)?: (?:ERROR: )?(.*)"
)


def parse_line(line: str) -> ConnectionLine | None:
    """Split a line into connection, serial and text.

    None: it doesn't begin with a connection's name, or with ``ERROR: `` or ``warning: `` and one.
    """
    if not line.startswith(('"', 'ERROR: "', 'warning: "')):
        return None
    m = _LINE.match(line)
    if m is None:
        return None
    serial = int(m[4]) if m[4] else None
    address = m[3].rpartition(" ")[2].lstrip(".").partition("===")[0]
    return ConnectionLine(m[1] + m[2], m[1], serial, m[5], address)


def is_evidence(line: str) -> bool:
    """Return whether a line of pluto's log says that something happened to a connection or pluto.

    The tables of log_table.py decide that. The other lines (about a stranger's packets, progress,
    or for developers) are no reason to ask pluto.
    """
    said = parse_line(line)
    return (interpret_daemon(line) if said is None else interpret(said)) is not None


_STATE: Final = re.compile(r"(?:STATE_)?[A-Z][A-Z0-9]*_[A-Z0-9_]{1,40}:")

_Index = dict[str, tuple[tuple[str, LogWording], ...]]


def _index(table: Iterable[LogWording]) -> _Index:
    """Return the table's rows by the first word that they match, in the order of the table.

    Each comes with the part of its pattern behind that word.
    """
    index: _Index = {}
    for row in table:
        heads, _, rest = row.pattern.partition(" ")
        for head in heads.split("|"):
            index[head] = (*index.get(head, ()), (rest, row))
    return index


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a compiled pattern. It is compiled at its first use: all of them take 15 ms."""
    return re.compile(pattern)


_CONNECTIONS: Final = _index(TABLE)
_DAEMON: Final = _index(DAEMON_TABLE)


def interpret(said: ConnectionLine, *, phase1: bool = False) -> Finding | None:
    """Return what a line about a connection is evidence of, or None if it is no evidence.

    ``phase1``: the line is about an IKEv1 SA (phase 1) under which either side has begun a Quick
    Mode, so that a refusal is no longer about the identity or the secret.
    """
    found = _find(_CONNECTIONS, said.text)
    return _complete(*found, phase1=phase1) if found else None


def interpret_daemon(text: str) -> Finding | None:
    """Return what a line that doesn't begin with a connection's name is evidence of, or None.

    None: it is no evidence. A few of these lines name a connection later (``Finding.other``).
    """
    found = _find(_DAEMON, text)
    return _complete(*found, phase1=False) if found else None


def find_wording(text: str, *, daemon: bool = False) -> LogWording | None:
    """Return the first row of the table that fits a text, or None.

    ``text`` is what follows a connection's name, or for ``daemon`` a whole line without one.
    """
    found = _find(_DAEMON if daemon else _CONNECTIONS, text)
    return found[0] if found else None


def _find(index: _Index, text: str) -> tuple[LogWording, re.Match[str]] | None:
    """Return the first row whose pattern fits a text, with the match, or None."""
    head, _, rest = text.partition(" ")
    if _STATE.fullmatch(head):
        head, rest = "STATE:", text
    for pattern, row in index.get(head, ()):
        if m := _compiled(pattern).match(rest):
            return row, m
    return None


def _complete(row: LogWording, match: re.Match[str], *, phase1: bool) -> Finding | None:
    """Return a row's finding with the values that the line itself contains.

    None: the line contains a notification that is no evidence.
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
    """Return the reason that an error notification's name (``note``) shows; None: no evidence."""
    if note == "INVALID_ID_INFORMATION" and phase1:
        return Reason.TRAFFIC_SELECTORS
    if note == "PAYLOAD_MALFORMED" and (phase1 or finding.version != 1):
        return Reason.OTHER
    return NOTIFICATIONS.get(note)


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None
