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
    """All tunnels, and where they are from.

    ``complete``, ``unrecognised`` and ``last_poll`` are what the service reports. For other sources
    they have their defaults, and ``remark`` says what is wrong with the text.
    """

    rows: list[Row]
    source: str
    """``service``, ``pluto`` or ``file``."""
    pluto: PlutoState | None = None
    """pluto's state; None: the tunnels are from one text, of a file or of pluto itself."""
    remark: str = ""
    """What is wrong with the source itself, in one line; "": nothing."""
    log: LogState | None = None
    """Where pluto's log is read, on which reasons depend; None: not known, as for a file."""
    complete: bool = True
    """Whether pluto's last answer to the service was complete."""
    unrecognised: int = 0
    """The number of lines of that answer that no release is known to print."""
    last_poll: float | None = None
    """When pluto last answered the service, in seconds since the epoch; None: not known."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, for advice; "": none is known to."""
    details: Mapping[str, Details] = field(default_factory=dict)
    """Details by tunnel name, as far as they were asked for, and not refused."""
    unwatched: str = ""
    """Why pluto itself was asked instead of the service; "": it wasn't asked."""
    refused: bool = False
    """Whether the service refused details to this user, who may need a password for them."""

    @property
    def known(self) -> bool:
        """Whether pluto's state, or the state of at least one tunnel, is known.

        True also for a text that shows that there are no tunnels.
        """
        if self.pluto not in (PlutoState.UNREACHABLE, None):
            return True
        # A text without tunnels is accepted only if its whole list is empty.
        known = any(row.state is not TunnelState.UNKNOWN for row in self.rows)
        return known or (self.pluto is None and not self.rows)
