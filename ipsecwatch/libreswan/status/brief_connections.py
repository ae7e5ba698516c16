# SPDX-License-Identifier: MIT
"""Parse ``briefconnectionstatus`` (from 5.0 on): a line for each pair of subnets that is up.

    10.1.0.0/16 <==> 10.2.0.0/16 from 192.0.2.1 to 198.51.100.7 (336B/84B) "office", reqid=16

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
    """A pair of subnets of a connection that is up, with the hosts of both ends, and counters."""

    name: str
    instance: tuple[int, ...]
    local_client: str
    remote_client: str
    """The peer's subnet, or its host if the tunnel has no subnet there; so is ``local_client``."""
    local_host: str
    remote_host: str
    bytes_in: int | None
    bytes_out: int | None
    reqid: int


def is_brief(line: str) -> bool:
    """Return whether a line has the form of a connection's line of ``briefconnectionstatus``."""
    return " <==> " in line[:420] and _BRIEF.fullmatch(line) is not None


def briefs(lines: Iterable[str]) -> list[Brief]:
    """Return what the lines of ``briefconnectionstatus`` in ``Report.other`` say; skip others."""
    return [_brief(m) for m in map(_BRIEF.fullmatch, lines) if m is not None]


def _brief(m: re.Match[str]) -> Brief:
    ours, theirs, here, there, got, sent, name, numbers, reqid = m.groups()
    return Brief(
        name, instance(numbers), ours, theirs, here, there, _bytes(got), _bytes(sent), int(reqid)
    )


def _bytes(text: str) -> int | None:
    """Return the number of bytes in ``336B`` or ``2KiB``, or None for a text of another form.

    pluto rounds down to the unit that it prints.
    """
    try:
        return amount(text)
    except ValueError:
        return None
