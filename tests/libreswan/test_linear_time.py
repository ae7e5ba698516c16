# SPDX-License-Identifier: MIT
"""Tests that a line of twice the length takes about twice the time, whatever is in it.

A peer that chooses text in a line can make it very long, and as bad as possible for a pattern. If a
pattern tries every way to split the line, twice the length takes four times the time.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.cli.parse import to_json
from ipsecwatch.libreswan import log_lines
from ipsecwatch.libreswan.status import parse
from ipsecwatch.recording.redaction import Redactor
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.held_sas import HeldSas
from ipsecwatch.tracking.log_evidence import LogEvidence
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB: Final = 1 << 20
RATIO: Final = 3.5
SLACK: Final = 0.1
"""Seconds of processor time that are no sign of a bad pattern."""
UP: Final = statuses(ROOT / "5.4/site.jsonl.gz")[10].stdout


@pytest.fixture(autouse=True, scope="module")
def small_heap() -> Iterator[None]:
    """Keep the objects of earlier tests out of garbage collection, whose time would count here."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def size(thorough: bool) -> int:
    """Return the length of a line in bytes; it is compared with a line of twice the length."""
    return MIB // 2 if thorough else MIB // 8


def grows_with_the_length(read: Callable[[str], object], begin: str, fill: str, size: int) -> bool:
    def took(size: int) -> float:
        line = begin + fill * (size // len(fill))
        start = time.process_time()
        read(line)
        return time.process_time() - start

    def fits(size: int) -> bool:
        return any(took(2 * size) < RATIO * took(size) + SLACK for _ in range(3))

    # A pattern that tries every way would take minutes for a megabyte: a short line shows that
    # first.
    return fits(MIB // 16) and fits(size)


STATUS = {
    "topology": ('"site": 1.2.3.4', ".", "...", "===", "[", "]...", "; erouted", "<", ":", "---"),
    "identity": ('"site": 1.2.3.4[', "]...", "x...", "x===", "[", "; eroute owner: #1", ",MS+"),
    "connection": ('"site":   ', "policy: ", "routing: x; ", "a: b; ", "[1]", "; owner: IKE SA #"),
    "policy": ('"site":   policy: ', "UP+", "+", ";", " "),
    "identities": ('"site":   our idtype: FQDN; our id=', "; their id=", "their idtype: ", "@x,"),
    "state": ('#7: "site":500 ', "STATE_X (", ") ", "x:500 ", "; newest", " REKEY in 9s;", ";"),
    "instance": ('#7: "site"[1] 1.2.3.4', " x", ":500 ", " ...1.2.3.4===", "[1]", "@ "),
    "wish": ('#7: pending Child SA for "site"', " replacing #1", "[1]", " ", "..."),
    "SPIs": ('#2: "site" esp.1@1.2.3.4', " Traffic:", " esp.1@1.2.3.4", " username=", " used 1s"),
    "counters": ('#2: "site" Traffic: ESPin=', "1", "1B ESPin=", " username=x", "A"),
    "traffic": ('#2: "site"', ", type=ESP, add_time=1", ", username=", ", type=ESP(nic-offload="),
    "traffic's identity": ('#2: "site", type=ESP, add_time=1, id=\'', "', lease=1", "'", ", id='"),
    "shunt": ("1.2.3.4/32 -0-> 1.2.3.5/32 => %hold", " ", " 0    ", "x", " $1"),
    "brief": ("1.2.3.4 <==> ", "1.2.3.4 <==> ", " from ", " to ", '"a"', "\t"),
    "pool": ("address pool ", "1", "1 addresses, ", " "),
    "lease": ("    1.2.3.4 assigned to $1  ", '"', '     "a"', " ", "[1]"),
    "totals": ("IKE SAs: ", "a(1), ", "a", "(", "1"),
    "settings": ("nssdir=", "pluto_version=", "a=b, ", "=", ", "),
    "algorithm": ("algorithm ESP encrypt: ", "name=", "algorithm ", ": ", ", "),
    "interface": ("interface ", "eth0 ", "[", "]:", "UDP/", ":"),
    "lines": ('"site":   x\n', 'x\n"site":   x\n', '"zulu":   policy: UP;\n"site":   x\n'),
    "anything": ("", '"', '"a": ', '#1: "', "000 ", "[1]", "#", " ", "1", "\u202e", "\udcff", "~"),
}
"""By name: how a line begins, and the pieces that it is filled with."""


def read_status(line: str) -> None:
    """Read the line in an answer among other lines, at two places, and as an answer of its own."""
    for text in (f"{UP}{line}\n", UP.replace('"site":   policy', f'{line}\n"site":   policy', 1)):
        to_json(parse(text, "status"))
    to_json(parse(f"{line}\n"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", STATUS)
def test_a_status_is_read_in_linear_time(kind: str, size: int) -> None:
    begin, *fills = STATUS[kind]
    for fill in fills:
        assert grows_with_the_length(read_status, begin, fill, size), fill


LOG = {
    "a connection's": ('"site" #1: ', " ", "'", "(", "received Delete SA ", "1.2.3.4 ", ": "),
    "an instance's": ('"site"[1] 1.2.3.4 #2: ', " ", "[1]", '"', "#1: ", "=== ..."),
    "a name": ('"', "a", "[1]", " #1", '"', '": '),
    "an error": ('ERROR: "site" #1: ', "ERROR: ", "x", "[errno 111"),
    "a deletion": ('"site" #1: deleting state (', "STATE_X) ", "(", " and NOT sending"),
    "a refusal": ('"site" #1: IKE_AUTH response contained the error notification ', "A", " ", "_"),
    "nobody's": ("", "a", "packet from ", ": ", " "),
}  # fmt: skip


def hear(line: str) -> None:
    said = log_lines.parse_line(line)
    if said is not None:
        log_lines.interpret(said)
        log_lines.interpret(said, phase1=True)
    log = LogEvidence()
    log.add_log_line(LogLine(0.0, line))
    log.loss(HeldSas(frozenset({"site"}), frozenset({2}), frozenset({1, 2})))


@pytest.mark.parametrize("kind", LOG)
def test_a_log_line_is_read_in_linear_time(kind: str, size: int) -> None:
    begin, *fills = LOG[kind]
    for fill in fills:
        assert grows_with_the_length(hear, begin, fill, size), fill


PRIVATE = (", id='", "', lease=", "our id=", "X: '", "'a", '"a', ":", "1.", "f:", ".abcdef0", "[@",
           "username=", "domain:", "CAs: ", "   aliases: ", "0123456")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fill", PRIVATE)
def test_a_line_is_redacted_in_linear_time(fill: str, size: int) -> None:
    assert grows_with_the_length(Redactor().line, "", fill, size)
