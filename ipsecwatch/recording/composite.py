# SPDX-License-Identifier: MIT
"""Several recordings as one pluto: their tunnels side by side in one status.

Each keeps its own clock and its own name; serials of states and connections are moved apart, as
one pluto would have numbered them. For `demo`, and for tests that want many tunnels at once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch import recording
from ipsecwatch.libreswan.status import sections
from ipsecwatch.report import LogLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

APART: Final = 100
"""Serials that each recording has for itself."""

_SERIAL: Final = re.compile(r"([#$])([1-9]\d{0,9})\b")
_COUNT: Final = re.compile(r"(?<=\()\d+(?=\))|(?<=loaded )\d+|(?<=routed )\d+|(?<=active )\d+")
_TOTALS: Final = (sections.CONNECTION_TOTAL, sections.IKE_TOTAL, sections.IPSEC_TOTAL)


@dataclass(frozen=True, slots=True)
class Part:
    """One recording: its statuses and log lines by seconds since its start."""

    answers: tuple[tuple[float, str], ...]
    log: tuple[tuple[float, LogLine], ...]
    delay: float = 0.0
    """Seconds to wait before it begins; until then its first status stands."""

    @property
    def length(self) -> float:
        """Seconds from the begin of the play to its last status."""
        return self.delay + self.answers[-1][0]

    def status(self, second: float) -> str:
        """Give the status of a second; before the first and after the last, that one."""
        at = bisect_right(self.answers, second - self.delay, key=lambda a: a[0])
        return self.answers[max(0, at - 1)][1]


def load(path: Path, delay: float = 0.0, until: float = float("inf")) -> Part:
    """Read a recording, up to a second of it. Raises recording.RecordingError."""
    start: float | None = None
    answers: list[tuple[float, str]] = []
    log: list[tuple[float, LogLine]] = []
    for entry in recording.settled(recording.read(path)[1]):
        start = entry.at if start is None else start
        second = entry.at - start
        if second > until:
            break
        if isinstance(entry, LogLine):
            log.append((second, entry))
        elif (
            isinstance(entry, recording.RecordedAnswer)
            and entry.command == "status"
            and entry.stdout
        ):
            answers.append((second, entry.stdout))
    if not answers:
        raise recording.RecordingError(f"{path}: no status in it")
    return Part(tuple(answers), tuple(log), delay)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Some recordings of the same release, played together."""

    parts: Sequence[Part]

    @property
    def length(self) -> float:
        """Seconds until the last of them has ended."""
        return max(part.length for part in self.parts)

    def status(self, second: float) -> str:
        """Put the statuses of a second together."""
        return compose(part.status(second) for part in self.parts)

    def log(self) -> list[tuple[float, LogLine]]:
        """List all log lines with the seconds at which they come, renumbered as the states are."""
        lines = [
            (part.delay + second, LogLine(line.at, _moved(line.text, i), line.identifier))
            for i, part in enumerate(self.parts)
            for second, line in part.log
        ]
        return sorted(lines, key=lambda pair: pair[0])


def compose(texts: Iterable[str]) -> str:
    """Put several statuses of one release together as one: the head and the end of the first."""
    connections: list[str] = []
    states: list[str] = []
    counts: dict[str, list[int]] = {}
    frame: list[str] = []
    for i, text in enumerate(texts):
        for line in text.split("\n"):
            bare = line[4:] if line[:3].isdigit() and line[3:4] == " " else line
            if bare.startswith('"'):
                connections.append(_moved(line, i))
            elif bare.startswith("#"):
                states.append(_moved(line, i))
            else:
                for total in _TOTALS:
                    if bare.startswith(total):
                        found = [int(n) for n in _COUNT.findall(line)]
                        known = counts.get(total, [0] * len(found))
                        counts[total] = [a + b for a, b in zip(known, found, strict=True)]
                if i == 0:
                    frame.append(line)
    return "\n".join(_filled(frame, connections, states, counts))


def _moved(text: str, part: int) -> str:
    """Move the serials of a text to where this part has its own."""
    return _SERIAL.sub(lambda m: f"{m[1]}{int(m[2]) + part * APART}", text) if part else text


def _filled(
    frame: list[str], connections: list[str], states: list[str], counts: dict[str, list[int]]
) -> Iterable[str]:
    blank = next((line for line in frame if not line.strip(" 0")), "")
    for line in frame:
        for total, numbers in counts.items():
            if total in line:
                left = iter(numbers)
                line = _COUNT.sub(lambda _, left=left: str(next(left)), line)  # type: ignore[misc]
        if sections.CONNECTION_TOTAL in line:
            yield from connections
            yield blank
        yield line
        if sections.IPSEC_TOTAL in line and states:
            yield blank
            yield from states
