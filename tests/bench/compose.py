# SPDX-License-Identifier: MIT
"""Several statuses of one release as one pluto's: their tunnels side by side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import sections

if TYPE_CHECKING:
    from collections.abc import Iterable

APART: Final = 100
"""Serials that each status has for itself."""

_SERIAL: Final = re.compile(r"([#$])([1-9]\d{0,9})\b")
_COUNT: Final = re.compile(r"(?<=\()\d+(?=\))|(?<=loaded )\d+|(?<=routed )\d+|(?<=active )\d+")
_TOTALS: Final = (sections.CONNECTION_TOTAL, sections.IKE_TOTAL, sections.IPSEC_TOTAL)


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
