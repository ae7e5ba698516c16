# SPDX-License-Identifier: MIT
"""What lines of pluto, systemd and the kernel show about the IPsec service itself.

pluto's own words are those of 3.18 to 5.4 and main (``include/logjam.h``, ``lib/libswan``), those
of its scripts up to 4.15 (``_plutorun``), of systemd 219 to 257, and of Linux.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final


class Fate(Enum):
    """What happened to the service. Members that explain more come first."""

    CRASHED = auto()
    """pluto ended at once, because pluto itself or the kernel found a fault in it."""
    KILLED = auto()
    """Somebody else ended pluto, as the kernel does when memory is short."""
    REFUSED = auto()
    """pluto wrote why it can't run."""
    BAD_SETTINGS = auto()
    """addconn, which reads ipsec.conf or another program's settings, found a fault in them."""
    FAILED = auto()
    """systemd, or a script, found that the service can't be started, or ended with an error."""
    NOT_RUNNING = auto()
    """The command ``ipsec verify`` found that pluto isn't running."""
    STOPPED = auto()
    STARTED = auto()


_BY: Final = r"(?:systemd(?:\[\d{1,10}\])?: )?(?:ipsec\.service: )?"
_FAULTS: Final = "(?:ABRT|SEGV|BUS|FPE|ILL|TRAP|SYS)"
_FAULT_NUMBERS: Final = "4|5|6|7|8|11|31"

_ROWS: Final[tuple[tuple[Fate, str], ...]] = (
    (Fate.CRASHED, r"(?:(?:ABORT|FATAL): )?ASSERTION FAILED: |ABORT(?:: | at )"),
    (Fate.CRASHED, r"(?:traps: )?pluto\[\d{1,10}\]:? (?:general protection|segfault|trap )"),
    (Fate.CRASHED, rf"!pluto failure!: .{{0,60}}\(signal (?:{_FAULT_NUMBERS})\)"),
    (Fate.CRASHED, r"(?:Message: )?Process \d{1,10} \(pluto\) of user \d{1,10} (?:dumped|termin)"),
    (Fate.CRASHED, rf"{_BY}[Mm]ain process exited, code=(?:dumped|killed), status=\d+/{_FAULTS}"),
    (Fate.CRASHED, rf"{_BY}Failed with result 'core-dump'|Active: failed \(Result: core-dump\)"),
    (Fate.CRASHED, rf"Main PID: \d{{1,10}} .{{0,80}}code=(?:dumped|killed), signal={_FAULTS}"),
    (Fate.KILLED, rf"{_BY}[Mm]ain process exited, code=killed, status="),
    (Fate.KILLED, rf"{_BY}Failed with result '(?:oom-kill|signal)'"),
    (Fate.KILLED, rf"{_BY}A process of this unit has been killed by the OOM killer"),
    (Fate.KILLED, r"(?:.{0,80}: )?Out of memory: Kill(?:ed)? process \d{1,10} \(pluto\)"),
    (Fate.REFUSED, r"FATAL(?: ERROR)?: "),
    # to 4.15 in one line; from 5.0 on in two
    (Fate.BAD_SETTINGS, r"cannot load config '[^']{0,400}': "),
    (Fate.BAD_SETTINGS, r"(?:/[\w./-]{1,200}|-):\d{1,7}: (?:syntax error|unrecognized keyword )"),
    (Fate.BAD_SETTINGS, r"cannot load config file '"),
    (Fate.FAILED, r"!pluto failure!: "),
    (Fate.FAILED, rf"{_BY}(?:[Mm]ain|[Cc]ontrol) process exited, code=exited, status=[1-9]"),
    (Fate.FAILED, rf"{_BY}Failed with result '|Active: failed \(Result: "),
    (Fate.FAILED, rf"{_BY}(?:Unit ipsec\.service entered failed state|ipsec\.service failed)"),
    (Fate.FAILED, rf"{_BY}Start request repeated too quickly"),
    (Fate.FAILED, rf"{_BY}Failed to start .{{0,20}}Internet Key Exchange"),
    (Fate.FAILED, r".{0,200}Job for ipsec\.service failed"),
    (Fate.NOT_RUNNING, r"Checking that pluto is running\s{1,80}\[FAILED\]"),
)  # fmt: skip

_COMPILED: Final[list[tuple[Fate, re.Pattern[str]]]] = []

_HINT: Final = re.compile(
    r"ABORT|FATAL|ASSERTION FAILED|ipsec\.service|!pluto failure|segfault|general protection"
    r"|\(pluto\)|Checking that pluto|Failed to start |cannot load config|: syntax error"
    r"|: unrecognized keyword "
)
_FAULT: Final = re.compile(r"segfault at [0-9a-f]{1,16} ip |general protection")


def mentions(text: str) -> bool:
    """Return whether fate() may return something for a line of a text. A fast test for all lines.

    True doesn't mean that there is such a line. For most texts, the result is False.
    """
    return _HINT.search(text) is not None


def fate(text: str, *, by_pluto: bool = False) -> Fate | None:
    """Return what a log line shows about the IPsec service, or None if it shows nothing.

    ``text`` is the line without date, host and program. ``by_pluto`` says that the program there
    was ``pluto``, as it is in the kernel's line about a fault in pluto (``segfault at …``), too.
    STARTED and STOPPED are never returned: the tables in log_table.py show these.
    """
    if by_pluto and _FAULT.match(text):
        return Fate.CRASHED
    if not _COMPILED:
        _COMPILED.extend((kind, re.compile(pattern)) for kind, pattern in _ROWS)
    return next((kind for kind, pattern in _COMPILED if pattern.match(text)), None)
