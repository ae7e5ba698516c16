# SPDX-License-Identifier: MIT
"""A coverage-guided fuzz target for the parser (libFuzzer, through atheris).

    pip install atheris
    python -m tests.fuzz.parser -max_total_time=1800 -print_final_stats=1 [CORPUS]

The first byte of an input chooses its kind. Most inputs are one answer, or two in a row. Each must
be parsed without an exception, and in a time that is usual for its size. The report must be
complete or have a reason why not, contain each SA once, and keep few of the lines that aren't
recognised. A Reader that has read the first answer must read the second as a fresh one does. The
other inputs are a hostile peer's text at one or two places of a status. There, the other tunnels
must be as before, or the report must not be complete.

Without a CORPUS folder, fuzzing begins with parts of recorded answers of each release and command.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import atheris

from tests.support.paths import TESTS

with atheris.instrument_imports(include=["ipsecwatch.libreswan.status"]):
    from ipsecwatch.cli.parse import to_json
    from ipsecwatch.libreswan.status import Reader, parse, states, topology
    from ipsecwatch.report import MAX_UNRECOGNISED

from ipsecwatch import recording
from tests.support.hostile_text import DIALECTS, FORGED, NASTY, SLOTS, forged, status, verdicts
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS = (
    None, "status", "trafficstatus", "showstates", "connectionstatus", "shuntstatus",
    "briefstatus", "globalstatus", "addresspoolstatus", "briefconnectionstatus", "processstatus",
)  # fmt: skip
PLACES = tuple((dialect, slot) for dialect in DIALECTS for slot in SLOTS)
PER_KIB = 0.02
"""Seconds that parsing a KiB may take with atheris on a busy machine: a hundred times the usual."""
LARGEST = 3000
"""The largest input in bytes, unless -max_len is given: many small inputs find more than few large
ones."""

_SETTINGS: Final = re.compile(r"^(?:000 )?algorithm .*\n", re.MULTILINE)


def _short(text: str) -> str:
    """Return a status without the lines about algorithms, which are many and irrelevant here."""
    return _SETTINGS.sub("", text)


EXPECTED = {dialect: verdicts(parse(status(dialect), "status")) for dialect in DIALECTS}
TURN = b"\n---\n"
"""What separates two answers, or two texts of a peer, in one input."""


def check(data: bytes) -> None:
    """Test the parser with one input."""
    if not data:
        return
    kind, text = data[0], data[1:]
    if kind < 3 * len(PLACES):
        dialect, slot = PLACES[kind % len(PLACES)]
        one, _, other = text.partition(TURN) if kind >= 2 * len(PLACES) else (text, b"", b"")
        said = {"sa-user": other, slot: one} if other else {slot: one}
        check_hostile(dialect, said, lines=not len(PLACES) <= kind < 2 * len(PLACES))
    else:
        check_answers(text, COMMANDS[kind % len(COMMANDS)])


def check_hostile(dialect: str, said: Mapping[str, bytes], *, lines: bool) -> None:
    """Parse a status with a peer's text in one slot or two, and check the other tunnels.

    ``lines``: line ends in the peer's text are kept, else they become blanks.
    """
    texts = {slot: text.decode("utf-8", "surrogateescape") for slot, text in said.items()}
    if not lines:
        texts = {slot: re.sub("[\r\n]", " ", text) for slot, text in texts.items()}
    report = parse(_short(status(dialect, texts)), "status")
    assert report.complete or lines, report.why
    assert not report.complete or verdicts(report) == EXPECTED[dialect]


def check_answers(data: bytes, command: str | None) -> None:
    """Parse one answer, or two in a row, and check the reports."""
    reader = Reader()
    for text in data.split(TURN)[:2]:
        start = time.process_time()
        report = parse(text, command)
        took = time.process_time() - start
        assert took < 0.5 + PER_KIB * len(text) / 1024, f"{took:.1f} s for {len(text)} bytes"
        assert report.complete == (report.why is None)
        serials = [s.serial for s in report.states]
        assert not report.complete or len(serials) == len(set(serials))
        assert len(report.unrecognised) <= min(report.unrecognised_count, MAX_UNRECOGNISED)
        json.dumps(to_json(report))
        assert reader.read(text, command) == report
        for c in report.connections:  # the fast way returns the same as the general one
            for line in c.lines[:1]:
                assert topology.read(line.strip()) == topology.read_any(line.strip())
        for s in report.states:
            assert states.marks(s.text) == (s.newest, s.eroute_owner, s.parent_serial, s.extra)


def _head(command: str) -> bytes:
    """Return the first byte of an input that is an answer to ``command``."""
    index = COMMANDS.index(command) if command in COMMANDS else 0
    return bytes([len(COMMANDS) * (255 // len(COMMANDS) - 1) + index])


def seeds(folder: Path) -> None:
    """Write a corpus: parts of recorded answers, and texts of hostile peers from other tests."""
    parts: dict[bytes, None] = {}
    for path in sorted((TESTS / "fixtures/answers").glob("*/*.txt")):
        part = _short(path.read_text("utf-8", "surrogateescape"))[:LARGEST]
        parts[_head(path.stem.partition("-")[0]) + part.encode("utf-8", "surrogateescape")] = None
    for path in sorted(ROOT.glob("*/*.gz")):
        kinds: set[tuple[str, int]] = set()
        for entry in recording.read(path)[1]:
            if not isinstance(entry, recording.RecordedAnswer) or entry.command not in COMMANDS:
                continue
            kind = entry.command, entry.stdout.count("\n")
            if kind in kinds or len(kinds) > 8:
                continue
            kinds.add(kind)
            lines = _short(entry.stdout).splitlines(keepends=True)
            head = _head(entry.command)
            at = next((i for i, x in enumerate(lines) if "Connection list" in x), 0)
            short = "".join([*lines[:1], *lines[at:]]).encode()
            parts[head + short[:LARGEST]] = None
            parts[head + short[-LARGEST // 2 :]] = None
    for i, text in enumerate(NASTY):
        parts[bytes([i % len(PLACES)]) + text[:64].encode("utf-8", "surrogateescape")] = None
    for i, (dialect, _) in enumerate(PLACES):
        for what in FORGED:
            line = f"x\n{forged(dialect, what)}\n".encode()
            parts[bytes([i]) + line] = None
            parts[bytes([2 * len(PLACES) + i]) + line + TURN + line] = None
    for i, seed in enumerate(parts):
        (folder / f"{i:04}").write_bytes(seed)


def main() -> None:
    """Fuzz until one of libFuzzer's limits is reached, or a check fails."""
    with tempfile.TemporaryDirectory() as name:
        arguments = list(sys.argv)
        if all(a.startswith("-") for a in arguments[1:]):
            seeds(Path(name))
            arguments.append(name)
        if not any(a.startswith("-max_len=") for a in arguments):
            arguments.insert(1, f"-max_len={LARGEST}")
        atheris.Setup(arguments, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
