# SPDX-License-Identifier: MIT
"""The file format of recordings: read and write what pluto answered and logged over time.

A recording is a file of JSON Lines, compressed by gzip if its name ends in ``.gz``. Its first line
is the head. Its other lines are entries in order of time: answers, log lines and notes. From a
recording, ``ipsecwatch replay`` repeats what happened on a machine, with the code of the service.
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
"""How many characters of a line are read at most. No answer of pluto is as long."""


# A value of a wrong type counts as absent, so that an odd line doesn't spoil a whole recording.
_text: Final = jsonutil.otherwise(jsonutil.any_text, "")
_whole: Final = jsonutil.otherwise(jsonutil.whole(), None)
_number: Final = jsonutil.otherwise(jsonutil.number(), None)
_interval: Final = jsonutil.otherwise(jsonutil.number(), 1.0)


class RecordingError(Exception):
    """A file can't be read, or isn't a recording. The message is one line, with the file's path."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first line of a recording."""

    libreswan: str | None
    """The release of libreswan; None: it isn't known."""
    interval: float
    """Seconds between two rounds of questions to pluto, at least; 1.0 if the head has no number."""
    raw: dict[str, Any]
    """The JSON object with all keys of the line."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """One question to pluto, and its outcome."""

    at: float
    """When pluto was asked, by the wall clock: seconds since the epoch."""
    command: str
    """The command that was sent, as ``status``."""
    stdout: str
    """The answer: what whack printed, or what came from the socket; "" if nothing came."""
    stderr: str
    """whack's error messages, or ""."""
    exit: int | None
    """whack's exit code. None: it had none, or the socket was asked."""
    mono: float | None
    """When pluto was asked, by the monotonic clock, in seconds. None: it wasn't recorded."""
    took: float
    """How many seconds the answer took; 0.0 if it wasn't recorded."""
    timed_out: bool
    """Whether the whole answer didn't come in time."""
    error: str | None
    """Why there is no whole answer. None: there is one, or the reason wasn't recorded."""
    raw: dict[str, Any]
    """The JSON object with all keys of the entry."""


@dataclass(frozen=True, slots=True)
class Note:
    """A note of the person who made the recording: what happened or was done at a time.

    ``at`` is in seconds since the epoch.
    """

    at: float
    text: str


Entry = RecordedAnswer | LogLine | Note


def read(path: Path) -> tuple[Head, Iterator[Entry]]:
    """Open a recording. Return its head, and an iterator that reads its entries.

    Raise RecordingError if the file can't be read, or isn't a recording in this format. The
    iterator raises RecordingError, too, when it comes to a damaged line or an entry without a time.
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
    """Yield the JSON objects of a recording, each with the number of its line. Skip blank lines.

    Raise RecordingError if the file can't be read, or a line isn't a JSON object.
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
    """Yield the entries in the lines behind a recording's head. Skip entries of unknown kinds.

    Raise RecordingError for an entry without a time.
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
    """Return a recorded answer from the JSON object of its line.

    A value that is missing, or of a wrong type, becomes "", None, 0.0 or False.
    """
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
    """Yield the entries of a recording in the order in which the service would have got them.

    In the file, an answer stands at the time of its question, but it was complete only ``took``
    seconds later. Log lines and notes from before that are yielded before the answer to ``status``.
    journald may have delivered them so late that they stand behind other answers of the same round;
    a round ends with the next answer to ``status``.
    """
    held: list[Entry] = []
    """The answer to ``status`` that waits for log lines, and what follows it."""
    end = 0.0
    for entry in entries:
        if isinstance(entry, RecordedAnswer) and entry.command == "status":
            yield from held
            held, end = [entry], entry.at + entry.took
        elif held and (isinstance(entry, RecordedAnswer) or entry.at > end):
            held.append(entry)
        else:
            yield entry
    yield from held


def poll(answer: RecordedAnswer, reader: Reader) -> Poll:
    """Return the Poll that the service would have made of a recorded answer to ``status``.

    It has a report if there is any answer. Otherwise pluto is unreachable or stopped: the recorded
    error decides. If the question timed out, pluto is unreachable, even if a part of the answer
    came. If the monotonic time wasn't recorded, the wall clock's is used for it.
    """
    mono = answer.at if answer.mono is None else answer.mono
    if answer.timed_out or answer.exit == _TIMED_OUT:
        return Poll(answer.at, mono, pluto=PlutoState.UNREACHABLE, why="timed out")
    if not answer.stdout:
        why = answer.error or answer.stderr or "no answer"
        return Poll(answer.at, mono, pluto=_pluto(why), why=why.partition("\n")[0])
    return Poll(answer.at, mono, reader.read(answer.stdout, answer.command))


_TIMED_OUT: Final = 124
"""The exit code of timeout(1) if the command timed out."""


def _pluto(why: str) -> PlutoState:
    """Return the state of pluto that an error message shows, of whack (any release) or query.py.

    It is STOPPED if the message says that pluto isn't running, or that the connection was refused.
    Otherwise it is UNREACHABLE.
    """
    if "not running" in why or "Connection refused" in why:
        return PlutoState.STOPPED
    return PlutoState.UNREACHABLE


def create(path: Path) -> IO[bytes]:
    """Create a file that only its owner may read and write, and return it, open for writing.

    The answers in it are private: pluto itself gives them only to root. Raise OSError if the file
    exists already, or can't be created.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


class Writer:
    """Creates and writes a recording.

    Each entry is in the file at once, even if the program is killed later. The constructor raises
    OSError if the file exists already, or can't be created.
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
        """Write the recording's first line, with the release of libreswan and the interval.

        ``interval`` is in seconds (``Head.interval``). ``more`` are further keys of the line.
        """
        known = {"format": FORMAT, "kind": KIND, "libreswan": libreswan, "interval": interval}
        self.write({**known, **more})

    def write(self, entry: dict[str, Any]) -> None:
        """Write an entry as one line of JSON, in ASCII.

        Other characters become JSON escapes. So do lone surrogates, which stand for bytes that
        aren't UTF-8.
        """
        self._file.write((json.dumps(entry) + "\n").encode("ascii"))
        self._file.flush()
