# SPDX-License-Identifier: MIT
"""The result of looking up tunnels: the tunnels, the source, and remarks about it."""

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
    """How much is asked for about each tunnel."""

    PUBLIC = auto()
    """Only what every user may know."""
    BRIEF = auto()
    """Also the details that fit into a table, if this user may know them."""
    FULL = auto()
    """Also all details, if this user may know them."""


@dataclass(frozen=True, slots=True)
class Found:
    """All tunnels, and where they are from."""

    rows: list[Row]
    source: str
    """``service``, ``pluto`` or ``file``."""
    pluto: PlutoState | None = None
    remark: str = ""
    """What is wrong with the source itself, in one line; "": nothing."""
    log: LogState | None = None
    """Where pluto's log is read, on which reasons depend; None: not known."""
    complete: bool = True
    """Whether pluto's last answer was complete; for a file, ``remark`` says so instead."""
    unrecognised: int = 0
    """The number of lines of pluto's last answer that no release is known to print."""
    last_poll: float | None = None
    """When pluto last answered, in seconds since the epoch."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, for advice; "": none is known to."""
    details: Mapping[str, Details] = field(default_factory=dict)
    """Details by tunnel name, as far as they were asked for, and not refused."""
    unwatched: str = ""
    """Why pluto itself was asked instead of the service; "": the service was asked."""
    refused: bool = False
    """Whether the service refused details to this user, who may need a password for them."""

    @property
    def known(self) -> bool:
        """Whether pluto's state, or the state of at least one tunnel, is known."""
        if self.pluto not in (PlutoState.UNREACHABLE, None):
            return True
        # A text without tunnels is accepted only if its whole list is empty.
        known = any(row.state is not TunnelState.UNKNOWN for row in self.rows)
        return known or (self.pluto is None and not self.rows)
