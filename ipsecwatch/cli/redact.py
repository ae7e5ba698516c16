# SPDX-License-Identifier: MIT
"""``ipsecwatch redact``: copies a recording or a text, and replaces private data in the copy."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ipsecwatch import recording
from ipsecwatch.cli.common import MAX_INPUT, read_input
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.recording.redaction import Redactor
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping

    from ipsecwatch.recording.placeholders import Kind

GZIP: Final = b"\x1f\x8b"

T = TypeVar("T")

EXAMPLES: Final = (
    ("ipsecwatch redact ticket.txt public.txt", "a text"),
    ("ipsecwatch redact site.jsonl.gz public.jsonl.gz", "a recording"),
    ("ipsec whack --status | ipsecwatch redact - -", "libreswan's present status"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "redact", VERBS["redact"], run, EXAMPLES)
    parser.add_argument(
        "input", metavar="IN",
        help="a file with a recording, a status or pluto's log, also compressed (*.gz); - is stdin",
    )  # fmt: skip
    parser.add_argument(
        "out", type=Path, metavar="OUT",
        help="the file to write, which must not exist yet; *.gz is compressed; - is stdout",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    data = _unpacked(read_input(args.input), args.input)
    redactor = Redactor()
    is_recording = _is_recording(data)
    if is_recording:
        # First find what is private in the whole, then write.
        for _ in _entries(data, redactor):
            pass
        redactor.again()
        _write(args.out, _entries(data, redactor, said=True))
    else:
        text = data.decode("utf-8", "surrogateescape")
        redactor.text(text)
        redactor.again()
        _write(args.out, iter([redactor.text(text).encode("utf-8", "surrogateescape")]))
    what = "a recording" if is_recording else "a text"
    print(f"{what.capitalize()}. {summary(redactor.counts())}", file=sys.stderr)
    print("Read it before you send it: some private words may not have been recognised.",
          file=sys.stderr)  # fmt: skip
    return EXIT_OK


def summary(counts: Mapping[Kind, int]) -> str:
    """Return the sentence with the number of different values of each kind that were replaced.

    For example ``Replaced: 3 × IPv4 address, 1 × user name.`` ``counts`` has these numbers;
    if it is empty, the sentence says that nothing had to be replaced.
    """
    listed = ", ".join(f"{n} × {kind.value}" for kind, n in counts.items())
    return f"Replaced: {listed}." if listed else "Nothing in it had to be replaced."


def create(make: Callable[[], T], path: Path) -> T:
    """Call ``make``, which creates the file ``path``, and return what it returns.

    If ``make`` raises OSError, for example because the file exists, raise a Failure that names
    ``path``.
    """
    try:
        return make()
    except OSError as e:
        reason = f"cannot write {clean(str(path))}: {e.strerror}"
        raise Failure(reason, "Give a new file", EXIT_USAGE) from e


def _unpacked(data: bytes, name: str) -> bytes:
    """Return ``data``, decompressed if it begins as gzip's data do.

    If compressed data are damaged or truncated, return the beginning, as far as it can be read.
    Raise Failure if nothing can be read, or if the result has more than MAX_INPUT bytes. ``name``
    is the file's name, for the Failure.
    """
    if not data.startswith(GZIP):
        return data
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    out = b""
    try:
        while data and len(out) <= MAX_INPUT:
            out += unpack.decompress(data, MAX_INPUT + 1 - len(out))
            data = unpack.unconsumed_tail or unpack.unused_data
            if unpack.eof and data:
                unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    except zlib.error as e:
        if not out:
            raise Failure(f"cannot read {clean(name)}: {e}", "Is it a gzip file?") from e
    if not out and not unpack.eof:
        raise Failure(f"cannot read {clean(name)}: it is truncated", "Get the whole file.")
    if len(out) > MAX_INPUT:
        raise Failure(f"{clean(name)} is larger than {MAX_INPUT >> 20} MiB")
    return out


def _is_recording(data: bytes) -> bool:
    """Return whether ``data`` is a recording: its first line is the JSON object that heads one.

    Otherwise ``data`` is redacted as a text.
    """
    head = _object(data[: data.find(b"\n") + 1 or len(data)])
    return head is not None and head.get("kind") == recording.KIND


def _object(line: bytes) -> dict[str, Any] | None:
    """Return a line of JSON as an object (a dict); None if the line isn't JSON, or no object."""
    try:
        found = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _entries(data: bytes, redactor: Redactor, *, said: bool = False) -> Iterator[bytes]:
    """Yield the lines of a recording, redacted, with their line ends: the head, then the entries.

    Lines that aren't JSON objects are left out. ``said``: if any were left out, print their number
    on stderr at the end.
    """
    at, number, lost = 0, 0, 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line, at = data[at:end], end
        entry = _object(line)
        if entry is None:
            lost += bool(line.strip())
            continue
        number += 1
        hidden = redactor.head(entry) if number == 1 else redactor.entry(entry)
        yield json.dumps(hidden).encode("ascii") + b"\n"
    if lost and said:
        lines = "line was" if lost == 1 else "lines were"
        print(f"{lost} damaged {lines} left out.", file=sys.stderr)


def _write(path: Path, parts: Iterator[bytes]) -> None:
    """Write ``parts`` to the new file ``path``, or to stdout if it is ``-``.

    A file is compressed if its name ends in ``.gz``. Raise Failure if the file can't be created,
    for example because it exists.
    """
    if str(path) == "-":
        for part in parts:
            sys.stdout.buffer.write(part)
        return
    raw = create(lambda: recording.create(path), path)
    with raw:
        if path.suffix != ".gz":
            raw.writelines(parts)
            return
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
            packed.writelines(parts)
