# SPDX-License-Identifier: MIT
"""A coverage-guided fuzz target for the parser (libFuzzer, through atheris).

    pip install atheris
    python -m tests.fuzz.parser -max_total_time=60 [CORPUS]

Whatever the text: no exception, an answer that is complete or says why not, each SA once, JSON that
can be written, and no more time than a text of that size may take. Without a CORPUS folder it
begins with recorded answers of each release and command, cut to a size that fuzzing can work on.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ipsecwatch.status"]):
    from ipsecwatch.cli.parse import to_json
    from ipsecwatch.status import Reader, parse

from ipsecwatch import recording

RECORDINGS = Path(__file__).parent.parent / "recordings"
COMMANDS = (None, "status", "trafficstatus", "showstates", "connectionstatus", "shuntstatus")
PER_KIB = 0.02
"""Seconds that a KiB may take, instrumented and on a busy machine; a hundred times the usual."""


def check(data: bytes) -> None:
    """Read one input, whose first byte chooses the command."""
    if not data:
        return
    command, text = COMMANDS[data[0] % len(COMMANDS)], data[1:]
    start = time.process_time()
    report = parse(text, command)
    took = time.process_time() - start
    assert took < 0.5 + PER_KIB * len(text) / 1024, f"{took:.1f} s for {len(text)} bytes"
    assert report.complete == (report.why is None)
    serials = [s.serial for s in report.states]
    assert not report.complete or len(serials) == len(set(serials))
    assert report.unrecognised_count >= len(report.unrecognised)
    whole = json.dumps(to_json(report))
    # What a reader remembers from one answer to the next changes nothing.
    reader = Reader()
    for _ in range(2):
        assert json.dumps(to_json(reader.read(text, command))) == whole


def seeds(folder: Path) -> None:
    """Write a corpus of recorded answers: of each release and command some that differ."""
    written: set[tuple[str, str, int]] = set()
    for path in sorted(RECORDINGS.glob("*/*.gz")):
        for entry in recording.read(path)[1]:
            if not isinstance(entry, recording.Answer) or not entry.stdout:
                continue
            kind = path.parent.name, entry.command, entry.stdout.count("\n") // 4
            if kind in written or entry.command not in COMMANDS:
                continue
            written.add(kind)
            lines = entry.stdout.splitlines(keepends=True)
            short = "".join(line for line in lines if "algorithm" not in line)
            head = bytes([COMMANDS.index(entry.command)])
            (folder / f"{'-'.join(map(str, kind))}").write_bytes(head + short.encode())


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough."""
    with tempfile.TemporaryDirectory() as name:
        arguments = list(sys.argv)
        if all(a.startswith("-") for a in arguments[1:]):
            seeds(Path(name))
            arguments.append(name)
        atheris.Setup(arguments, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
