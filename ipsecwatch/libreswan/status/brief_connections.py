# SPDX-License-Identifier: MIT
"""Parse ``briefconnectionstatus`` (from 5.0 on): a line for each pair of subnets that is up.

Source: programs/pluto/whack_briefconnectionstatus.c.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.status.states import instance
from ipsecwatch.libreswan.status.values import amount

if TYPE_CHECKING:
    from collections.abc import Iterable

_BRIEF: Final = re.compile(
    r"([^\s\"]{1,200}) <==> ([^\s\"]{1,200})\s{1,8}from ([^\s\"]{1,300}) to ([^\s\"]{1,300}) "
    r"\(([\w^]{1,30})/([\w^]{1,30})\)\s{1,8}"
    rf'"({grammar.name()})"({grammar.instances()}), reqid=(\d{{1,10}})\s*',
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Brief:
    """A connection that is up: its two subnets, two hosts, and counters."""

    name: str
    instance: tuple[int, ...]
    local_client: str
    remote_client: str
    """The subnets; where a host itself is the end of the tunnel, the host."""
    local_host: str
    remote_host: str
    bytes_in: int | None
    bytes_out: int | None
    reqid: int


def is_brief(line: str) -> bool:
    """Return whether a line has the form of one of ``briefconnectionstatus``."""
    return " <==> " in line[:420] and _BRIEF.fullmatch(line) is not None


def briefs(lines: Iterable[str]) -> list[Brief]:
    """Return the connections that such lines show; other lines of ``Report.other`` are skipped."""
    return [_brief(m) for m in map(_BRIEF.fullmatch, lines) if m is not None]


def _brief(m: re.Match[str]) -> Brief:
    ours, theirs, here, there, got, sent, name, numbers, reqid = m.groups()
    return Brief(
        name, instance(numbers), ours, theirs, here, there, _bytes(got), _bytes(sent), int(reqid)
    )


def _bytes(text: str) -> int | None:
    """Return the bytes of ``336B``, or of ``2KiB``, which pluto rounds down; None: neither."""
    try:
        return amount(text)
    except ValueError:
        return None
