# SPDX-License-Identifier: MIT
"""Makes one status of several of the same release, as if one pluto had all their tunnels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import sections

if TYPE_CHECKING:
    from collections.abc import Iterable

APART: Final = 100
"""By how much the serial numbers of each status are moved, so that none is used twice."""

_SERIAL: Final = re.compile(r"([#$])([1-9]\d{0,9})\b")
_COUNT: Final = re.compile(r"(?<=\()\d+(?=\))|(?<=loaded )\d+|(?<=routed )\d+|(?<=active )\d+")
_TOTALS: Final = (sections.CONNECTION_TOTAL, sections.IKE_TOTAL, sections.IPSEC_TOTAL)


def compose(texts: Iterable[str]) -> str:
    """Return a status with all connections and SAs of these statuses of one release.

    Its other lines are those of the first one, with the sums of all totals.
    """
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
    """Return a line with its serial numbers moved to those of the status number ``part``."""
    return _SERIAL.sub(lambda m: f"{m[1]}{int(m[2]) + part * APART}", text) if part else text


def _filled(
    frame: list[str], connections: list[str], states: list[str], counts: dict[str, list[int]]
) -> Iterable[str]:
    """Yield the lines of the status: the frame with new totals, the connections and the SAs."""
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
