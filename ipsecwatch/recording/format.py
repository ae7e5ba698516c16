# SPDX-License-Identifier: MIT
"""The file format of recordings: read and write what pluto answered and logged over time.

JSON Lines, compressed by gzip if the name ends in ``.gz``: a head, then answers, log lines and
notes in order of time. What happened on a machine can be replayed from it through the same code.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final

from ipsecwatch import jsonutil
from ipsecwatch.report import LogLine, PlutoState, Poll

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ipsecwatch.libreswan.status import Reader

KIND: Final = "ipsecwatch-recording"
FORMAT: Final = 1
MAX_LINE: Final = 512 << 20
"""Characters of one line, at most; no answer of pluto is longer."""


# A value of a wrong type counts as absent, so that an odd line doesn't spoil a whole recording.
_text: Final = jsonutil.otherwise(jsonutil.any_text, "")
_whole: Final = jsonutil.otherwise(jsonutil.whole(), None)
_number: Final = jsonutil.otherwise(jsonutil.number(), None)
_interval: Final = jsonutil.otherwise(jsonutil.number(), 1.0)


class RecordingError(Exception):
    """A file isn't a recording, or can't be read. The text is one line."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a recording; ``raw`` has all its keys.

    ``libreswan`` is the release, or None if it wasn't known; ``interval`` is the least pause
    between two rounds of questions, in seconds: 1.0 where the head doesn't say.
    """

    libreswan: str | None
    interval: float
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One question to pluto and its outcome.

    ``at`` (seconds since the epoch) and ``mono`` (of the monotonic clock; None: not recorded) are
    when it was asked; ``took`` is how many seconds the answer took. ``exit`` is whack's exit code;
    None: whack gave none, or the answer is from the socket. ``timed_out``: the whole answer didn't
    come in time. ``error`` says why there is no whole answer; None: there is one, or it isn't said.
    ``raw`` has all keys of the entry.
    """

    at: float
    command: str
    stdout: str
    stderr: str
    exit: int | None
    mono: float | None
    took: float
    timed_out: bool
    error: str | None
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """What the person who made the recording did at ``at`` (seconds since the epoch), in words."""

    at: float
    text: str


Entry = RecordedAnswer | LogLine | Note


def read(path: Path) -> tuple[Head, Iterator[Entry]]:
    """Open a recording. Return its head, and an iterator that reads its entries.

    Raise RecordingError where the file can't be read, or isn't a recording of this format. So does
    the iterator where it comes to a damaged line, or an entry without a time.
    """
    lines = _lines(path)
    number, first = next(lines, (1, {}))
    if first.get("kind") != KIND:
        raise RecordingError(f"{path}: not a recording of ipsecwatch's")
    if first.get("format") != FORMAT:
        raise RecordingError(f"{path}: format {first.get('format')!r} is newer than this program")
    head = Head(_text(first.get("libreswan")) or None, _interval(first.get("interval")), first)
    return head, _entries(path, lines, number)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a recording, each with the number of its line; skip empty lines.

    Raise RecordingError where the file can't be read, or a line isn't a JSON object.
    """
    number = 0
    try:
        with _open(path) as f:
            while line := f.readline(MAX_LINE):
                number += 1
                if not line.strip():
                    continue
                data = json.loads(line)
                if not isinstance(data, dict):
                    raise RecordingError(f"{path}:{number}: not an object")
                yield number, data
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise RecordingError(f"{path}: damaged after line {number}: {e}") from e
    except OSError as e:
        raise RecordingError(f"{path}: {e.strerror or e}") from e
    except (ValueError, RecursionError) as e:
        raise RecordingError(f"{path}:{number}: not JSON: {e}") from e


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape")
    return path.open(encoding="utf-8", errors="surrogateescape")


def _entries(
    path: Path, lines: Iterator[tuple[int, dict[str, Any]]], number: int
) -> Iterator[Entry]:
    """Yield the entries in the lines of a recording; unknown kinds are left out.

    ``number`` is that of the head. Raise RecordingError for one without a time.
    """
    for number, data in lines:
        at = _number(data.get("at"))
        if at is None:
            raise RecordingError(f"{path}:{number}: no time (“at”)")
        if "journal" in data:
            yield LogLine(at, _text(data["journal"]), _text(data.get("identifier")))
        elif "command" in data:
            yield _answer(at, data)
        elif "note" in data:
            yield Note(at, _text(data["note"]))


def _answer(at: float, data: dict[str, Any]) -> RecordedAnswer:
    """Return a recorded answer from its line's object; a value of a wrong type counts as absent."""
    return RecordedAnswer(
        at=at,
        command=_text(data["command"]),
        stdout=_text(data.get("stdout")),
        stderr=_text(data.get("stderr")),
        exit=_whole(data.get("exit")),
        mono=_number(data.get("mono")),
        took=max(0.0, _number(data.get("took")) or 0.0),
        timed_out=bool(data.get("timed_out")),
        error=_text(data.get("error")) or None,
        raw=data,
    )


def settled(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries in the order in which they were known: an answer when it was complete.

    In the file an answer is at the time of its question. What is from between the two, such as log
    lines, is yielded before it.
    """
    waiting: RecordedAnswer | None = None
    for entry in entries:
        if waiting is not None and (
            isinstance(entry, RecordedAnswer) or entry.at > waiting.at + waiting.took
        ):
            yield waiting
            waiting = None
        if isinstance(entry, RecordedAnswer):
            waiting = entry
        else:
            yield entry
    if waiting is not None:
        yield waiting


def poll(answer: RecordedAnswer, reader: Reader) -> Poll:
    """Return the Poll of a recorded answer to ``status``, as the service makes it of a live one."""
    mono = answer.at if answer.mono is None else answer.mono
    if answer.timed_out or answer.exit == _TIMED_OUT:
        return Poll(answer.at, mono, pluto=PlutoState.UNREACHABLE, why="timed out")
    if not answer.stdout:
        why = answer.error or answer.stderr or "no answer"
        return Poll(answer.at, mono, pluto=_pluto(why), why=why.partition("\n")[0])
    return Poll(answer.at, mono, reader.read(answer.stdout, answer.command))


_TIMED_OUT: Final = 124
"""timeout(1)'s exit code where the time was over."""


def _pluto(why: str) -> PlutoState:
    """Return pluto's state by an error message, of whack (any release) or of pluto/query.py.

    It is STOPPED if ``why`` says that pluto isn't running, or that the connection was refused, and
    UNREACHABLE otherwise.
    """
    if "not running" in why or "Connection refused" in why:
        return PlutoState.STOPPED
    return PlutoState.UNREACHABLE


def create(path: Path) -> IO[bytes]:
    """Create a file that only its owner may read, and return it, opened for writing.

    pluto itself gives its answers to root only, too.

    Raise OSError where it can't be created, or exists already.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


class Writer:
    """Writes a recording. Each entry is in the file at once, even if the program is killed later.

    Raise OSError where the file can't be created, or exists already.
    """

    def __init__(self, path: Path) -> None:
        self._raw = create(path)
        # gzip's head has no name: it would show what the file was called at first.
        packed = path.suffix == ".gz"
        self._file = gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0) if packed else self._raw

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._raw.close()

    def head(self, libreswan: str | None, interval: float, **more: object) -> None:
        """Write the recording's first line: its format, the release, the pause between questions.

        ``more`` are further keys.
        """
        known = {"format": FORMAT, "kind": KIND, "libreswan": libreswan, "interval": interval}
        self.write({**known, **more})

    def write(self, entry: dict[str, Any]) -> None:
        """Write an entry as a line of ASCII.

        All other characters become JSON escapes, also lone surrogates (bytes that aren't UTF-8).
        """
        self._file.write((json.dumps(entry) + "\n").encode("ascii"))
        self._file.flush()
