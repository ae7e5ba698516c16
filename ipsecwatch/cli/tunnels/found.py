# SPDX-License-Identifier: MIT
"""The tunnels that a verb has found, and from which source."""

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
"""The details of a tunnel, by the keys of GetDetails."""


class Depth(Enum):
    """How much is asked about each tunnel."""

    PUBLIC = auto()
    """What every user may know."""
    BRIEF = auto()
    """What fits into a table, as far as this user may know it."""
    FULL = auto()
    """Everything, as far as this user may know it."""


@dataclass(frozen=True, slots=True)
class Found:
    """All tunnels, with the source that they are from."""

    rows: list[Row]
    source: str
    """``service``, ``pluto`` or ``file``."""
    pluto: PlutoState | None = None
    remark: str = ""
    """What isn't well with the source itself, in one line."""
    log: LogState | None = None
    """Where pluto's log is read, on which reasons depend; None: not known."""
    complete: bool = True
    """Whether the last answer was complete; for a text, ``remark`` says so."""
    unrecognised: int = 0
    """Lines of the last answer that no release is known to print."""
    last_poll: float | None = None
    """When pluto last answered, in seconds since the epoch."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, for advice; "": none is known to."""
    details: Mapping[str, Details] = field(default_factory=dict)
    """By name; tunnels whose details weren't asked for, or were refused, are missing."""
    unwatched: str = ""
    """Why pluto itself was asked instead of the service; "": it wasn't."""
    refused: bool = False
    """Whether this user may not know details, or only with a password."""

    @property
    def known(self) -> bool:
        """Whether pluto's state, or the state of at least one tunnel, is known."""
        if self.pluto not in (PlutoState.UNREACHABLE, None):
            return True
        # A text without tunnels is accepted only if its whole list is empty.
        known = any(row.state is not TunnelState.UNKNOWN for row in self.rows)
        return known or (self.pluto is None and not self.rows)
