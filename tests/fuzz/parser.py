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

TESTS = Path(__file__).parent.parent
COMMANDS = (
    None, "status", "trafficstatus", "showstates", "connectionstatus", "shuntstatus",
    "briefstatus", "globalstatus", "addresspoolstatus", "briefconnectionstatus", "processstatus",
)  # fmt: skip
LARGEST = 8 << 10
"""Bytes of an input; many small ones find more than a few large ones."""
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
    """Write a corpus: answers of each release and command, and how recorded ones went on."""
    for path in sorted((TESTS / "fixtures/answers").glob("*/*.txt")):
        command = path.stem.partition("-")[0]
        _seed(folder, f"{path.parent.name}-{path.stem}", command, path.read_bytes())
    written: set[tuple[str, str, int]] = set()
    for path in sorted((TESTS / "recordings").glob("*/*.gz")):
        for entry in recording.read(path)[1]:
            if not isinstance(entry, recording.Answer) or not entry.stdout:
                continue
            kind = path.parent.name, entry.command, entry.stdout.count("\n") // 4
            if kind not in written:
                written.add(kind)
                name = f"recorded-{'-'.join(map(str, kind))}"
                _seed(folder, name, entry.command, entry.stdout.encode())


def _seed(folder: Path, name: str, command: str, text: bytes) -> None:
    known = command in COMMANDS
    if len(text) < LARGEST:
        (folder / name).write_bytes(bytes([COMMANDS.index(command) if known else 0]) + text)


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough."""
    with tempfile.TemporaryDirectory() as name:
        arguments = [sys.argv[0], f"-max_len={LARGEST}", *sys.argv[1:]]
        if all(a.startswith("-") for a in arguments[1:]):
            seeds(Path(name))
            arguments.append(name)
        atheris.Setup(arguments, check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
