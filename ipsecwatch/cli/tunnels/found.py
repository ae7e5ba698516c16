# SPDX-License-Identifier: MIT
"""The result of looking up tunnels (source.py): the tunnels, and what is known of their source."""

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
"""The details of one tunnel, by the keys that the D-Bus method GetDetails has, such as BytesIn."""


class Depth(Enum):
    """How much a verb asks for about each tunnel."""

    PUBLIC = auto()
    """Only what every user may know; no details."""
    BRIEF = auto()
    """Also those details that the table of tunnels needs, if this user may know them."""
    FULL = auto()
    """All details, if this user may know them."""


@dataclass(frozen=True, slots=True)
class Found:
    """All tunnels, and what is known about their source.

    ``complete``, ``unrecognised`` and ``last_poll`` are what the service reports. If the tunnels
    aren't from the service, they have their defaults, and ``remark`` says what is wrong with the
    text.
    """

    rows: list[Row]
    source: str
    """Where the tunnels are from: ``service``, ``pluto`` (asked without the service), ``file``."""
    pluto: PlutoState | None = None
    """pluto's state by the service, or STOPPED where it was asked without the service, and isn't
    running; None: the tunnels are from one text, which is a file or an answer of pluto."""
    remark: str = ""
    """What is wrong, in one line, such as that pluto isn't running, or that the text is incomplete;
    "": nothing."""
    log: LogState | None = None
    """From where the service reads pluto's log, on which reasons depend; LogState.NONE where pluto
    answered without the service. None: not known, as for a file."""
    complete: bool = True
    """False: pluto runs, and its last answer to the service was incomplete or contradicted
    itself."""
    unrecognised: int = 0
    """How many lines of pluto's last answer to the service no known release prints."""
    last_poll: float | None = None
    """When pluto last answered the service, in seconds since the epoch; None: not known."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, which advice names; "": none is known to."""
    details: Mapping[str, Details] = field(default_factory=dict)
    """Details by pluto's name of the tunnel: of the tunnels for which they were asked, and not
    refused."""
    unwatched: str = ""
    """Why the service didn't answer, so that pluto itself was asked; "": pluto wasn't asked."""
    refused: bool = False
    """Whether the service refused details to this user, who may need a password for them."""

    @property
    def known(self) -> bool:
        """Whether anything is known: pluto's state, or the state of at least one tunnel.

        The state UNREACHABLE of pluto doesn't count as known. True also for a text that shows that
        there are no tunnels.
        """
        if self.pluto not in (PlutoState.UNREACHABLE, None):
            return True
        # A text without tunnels is accepted only if its whole list is empty.
        known = any(row.state is not TunnelState.UNKNOWN for row in self.rows)
        return known or (self.pluto is None and not self.rows)
