# SPDX-License-Identifier: MIT
"""All tunnels that a verb has found, and where that is known from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ipsecwatch.reasons import IPSEC
from ipsecwatch.states import LogState, PlutoState, TunnelState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.cli.display.terminal import Row

Details = dict[str, Any]
"""What GetDetails tells of a tunnel, by its keys."""


class Depth(Enum):
    """How much is wanted of each tunnel."""

    PUBLIC = auto()
    """What everybody may know."""
    BRIEF = auto()
    """What fits into a table, as far as this user may know it."""
    FULL = auto()
    """All of it."""


@dataclass(frozen=True, slots=True)
class Found:
    """All tunnels, and where that is known from."""

    rows: list[Row]
    source: str
    """service, pluto or file."""
    pluto: PlutoState | None = None
    remark: str = ""
    """What isn't well with the source itself, in a line."""
    log: LogState | None = None
    """Where reasons come from, where that is told."""
    complete: bool = True
    """The last answer was whole; of a text ``remark`` says so."""
    unrecognised: int = 0
    """Lines of the last answer that no release is known to print."""
    last_poll: float | None = None
    """When pluto last answered, in seconds since the epoch."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, for advice; "": none is known to."""
    details: Mapping[str, Details] = field(default_factory=dict)
    """By name, of those of which they were asked for and told."""
    unwatched: str = ""
    """Why it was pluto itself that was asked, and not the service; "": it wasn't."""
    refused: bool = False
    """This user may not know details, or not without giving a password."""

    @property
    def known(self) -> bool:
        """Whether the state of pluto, or of one tunnel, is known, whatever it is."""
        if self.pluto not in (PlutoState.UNREACHABLE, None):
            return True
        # Without tunnels a text was refused, or has a whole list, in which there is none.
        known = any(row.state is not TunnelState.UNKNOWN for row in self.rows)
        return known or (self.pluto is None and not self.rows)
