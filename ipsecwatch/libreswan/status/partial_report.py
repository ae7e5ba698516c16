# SPDX-License-Identifier: MIT
"""PartialReport: what has been read so far of one answer of pluto."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.report import MAX_UNRECOGNISED, Totals, Unrecognised

if TYPE_CHECKING:
    from ipsecwatch.libreswan.status.connections import Odd
    from ipsecwatch.report import Connection, Pending, SaState, Shunt, Traffic

MAX_TEXT: Final = 1024
"""How many characters are kept of an unrecognised line. pluto prints no longer lines."""


@dataclass(slots=True)
class PartialReport:
    """What has been read so far of one answer of pluto.

    The parser adds to it line by line, and makes a Report of it at the end.
    """

    listed: dict[str, Connection] = field(default_factory=dict)
    """The connections. A key is the beginning of their lines (``Block.key``): ``"rw"[3]:``."""
    odd: dict[str, tuple[int, Odd]] = field(default_factory=dict)
    """What is odd about the lines of connections, with the number of the connection's first line.

    Keys as in ``listed``. A connection whose lines are as usual isn't here.
    """
    tangled: bool = False
    """The lines of one connection are in several places, or behind the totals of SAs."""
    connections: tuple[Connection, ...] = ()
    """The values of ``listed``, in the same order. Empty until the connection list was checked."""

    states: list[SaState] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """For each SA in ``states``, the number of its state line in the text, from 1."""
    tainted: int | None = None
    """The index in ``states`` of the first SA behind a user name; None: there is no user name.

    A user name is the peer's text, so the lines behind it may be forged.
    """

    pending: list[Pending] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    """For each entry in ``pending``, how many of the SAs in ``states`` come before it."""
    traffic: dict[int, Traffic] = field(default_factory=dict)
    shunts: list[Shunt] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    """The lines that begin or sum up a section, by their first words: ``IKE SAs:``."""
    totals: Totals = field(default_factory=Totals)
    version: str | None = None

    error: str | None = None
    """The first error message of whack or pluto in the text, or None."""
    doubled: bool = False
    """Something is there twice that an answer has only once: the text may be two answers."""
    doubt: str | None = None
    """Why the answer isn't believed, in words. None: there is no reason to doubt it."""
    strange: list[Unrecognised] = field(default_factory=list)
    """The first MAX_UNRECOGNISED lines that aren't known, or aren't believed."""
    strange_count: int = 0
    """The number of all such lines."""

    def unrecognised(self, number: int, line: str) -> None:
        """Count a line that isn't known or isn't believed, and keep it if few were kept so far.

        ``number`` is the line's number in the text. Only the first MAX_UNRECOGNISED lines are kept.
        """
        self.strange_count += 1
        if len(self.strange) < MAX_UNRECOGNISED:
            self.strange.append(Unrecognised(number, line[:MAX_TEXT]))

    def copy(self) -> PartialReport:
        """Return a copy that can be added to without changing this one."""
        values = [getattr(self, f.name) for f in fields(self)]
        copies: list[Any] = [v.copy() if isinstance(v, (list, dict)) else v for v in values]
        return PartialReport(*copies)
