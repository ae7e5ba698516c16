# SPDX-License-Identifier: MIT
"""What has been read so far of one answer of pluto."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.report import MAX_UNRECOGNISED, Totals, Unrecognised

if TYPE_CHECKING:
    from ipsecwatch.libreswan.status.connections import Odd
    from ipsecwatch.report import Connection, Pending, SaState, Shunt, Traffic

MAX_TEXT: Final = 1024
"""Characters of an unrecognised line that are kept; pluto's own lines are no longer."""


@dataclass(slots=True)
class PartialReport:
    """What has been read so far of one answer."""

    listed: dict[str, Connection] = field(default_factory=dict)
    """The connections, by ``Block.key``: name and instance as printed, and a colon."""
    odd: dict[str, tuple[int, Odd]] = field(default_factory=dict)
    """For each odd connection, the number of its first line, and what is odd."""
    tangled: bool = False
    """The lines of some connection are in several places, or behind the totals."""
    connections: tuple[Connection, ...] = ()
    """Those in ``listed``, in the same order, once they were checked; empty before."""

    states: list[SaState] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """The numbers of the lines that show these SAs."""
    tainted: int | None = None
    """SAs from this index on come after a user name, which is the peer's text."""

    pending: list[Pending] = field(default_factory=list)
    behind: list[int] = field(default_factory=list)
    """For each pending line, how many SAs come before it."""
    traffic: dict[int, Traffic] = field(default_factory=dict)
    shunts: list[Shunt] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    heads: dict[str, str] = field(default_factory=dict)
    """The lines that begin or sum up a section, by their first words."""
    totals: Totals = field(default_factory=Totals)
    version: str | None = None

    error: str | None = None
    """The line in which whack, or pluto, says that there is no answer; None: none does."""
    doubled: bool = False
    """Something is there twice that an answer has only once: there may be two answers."""
    doubt: str | None = None
    """Why what it says cannot be believed, in words; None: it can."""
    strange: list[Unrecognised] = field(default_factory=list)
    strange_count: int = 0

    def unrecognised(self, number: int, line: str) -> None:
        """Count a line that isn't known, or isn't believed. Keep the first MAX_UNRECOGNISED."""
        self.strange_count += 1
        if len(self.strange) < MAX_UNRECOGNISED:
            self.strange.append(Unrecognised(number, line[:MAX_TEXT]))

    def copy(self) -> PartialReport:
        """Return a copy whose lists and dictionaries are its own."""
        values = [getattr(self, f.name) for f in fields(self)]
        copies: list[Any] = [v.copy() if isinstance(v, (list, dict)) else v for v in values]
        return PartialReport(*copies)
