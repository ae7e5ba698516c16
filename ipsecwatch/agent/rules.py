# SPDX-License-Identifier: MIT
"""What a tunnel's state is worth telling a person: the agent's rules, as tables. Pure.

First row that fits: what is wrong with a tunnel, if anything. What each kind of notice is like: how
bad, how long it waits, how long it stays, how it looks. policy.py applies them over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from ipsecwatch.tunnel import Reason, TunnelState


class Kind(StrEnum):
    """What a notice tells."""

    CONNECTED = "connected"
    BACK = "back"
    """It was lost, and is up again."""
    ENDED = "ended"
    """It ended as it was meant to: by hand, or until it is used again."""
    IN_PART = "in-part"
    """It comes up piece by piece, and has come to rest halfway."""
    DEVICES = "devices"
    """Who is connected by a template for anybody."""
    PARTIAL = "partial"
    """Some of it is lost, or doesn't come up."""
    UNSTABLE = "unstable"
    RECONNECTING = "reconnecting"
    """It is lost, and tried again."""
    DOWN = "down"
    """It is lost, and nobody tries."""
    STUCK = "stuck"
    """It doesn't come up."""
    OFFLINE = "offline"
    """It isn't up, as this machine has no network."""
    STOPPED = "stopped"
    """pluto stopped, and all tunnels with it."""
    UNKNOWN = "unknown"
    """Nobody knows."""
    SETTINGS = "settings"
    """The agent's settings have a mistake."""
    DETAILS = "details"
    """What the user asked for by a button."""
    MUTED = "muted"
    """The user hears nothing more of a tunnel."""


class Button(StrEnum):
    """What a notice's button does."""

    DETAILS = "details"
    TERMINAL = "terminal"
    """Show it in a terminal."""
    MUTE_HOUR = "mute-1h"
    MUTE_LOGIN = "mute-login"
    """Until the next login."""
    MUTE_EVER = "mute-ever"
    UNMUTE = "unmute"


class Urgency(StrEnum):
    """How loud a notice is.

    None is critical: that one would break through "do not disturb". A lost tunnel is news, not an
    alarm.
    """

    LOW = "low"
    NORMAL = "normal"


Switch = Literal["up", "down", "stuck", ""]
"""The setting that a kind of notice obeys; "": it is always told."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of notice is like."""

    rank: int
    """How bad it is. What the user has closed comes back only as something worse."""
    switch: Switch
    settles: bool
    """It has to be so for ``settle`` seconds before it is told."""
    lasting: bool
    """It stays on the screen until it is over; else it goes by itself."""
    urgency: Urgency
    icon: str
    """Its name in the desktop's icon theme."""
    category: str
    """One of the Desktop Notifications specification's (table "Categories") in its class network;
    "": the class itself."""


_LOW, _NORMAL = Urgency.LOW, Urgency.NORMAL

# Icons: names of the freedesktop icon naming specification, but for network-vpn, which Adwaita,
# Breeze and Papirus have all the same. Those that end in -symbolic are dark on a dark ground where
# the server doesn't recolour them (dunst), and network-vpn-error-symbolic is blank in Adwaita.
RULES: Final[dict[Kind, Rule]] = {
    kind: Rule(*row)  # type: ignore[arg-type]
    for kind, *row in (
        # kind              rank switch settles lasting urgency icon               category
        (Kind.CONNECTED,    0, "up",    False, False, _NORMAL, "network-vpn",      "connected"),
        (Kind.BACK,         0, "up",    False, False, _NORMAL, "network-vpn",      "connected"),
        (Kind.ENDED,        0, "down",  True,  False, _LOW,    "network-offline",  "disconnected"),
        (Kind.IN_PART,      0, "up",    True,  False, _NORMAL, "network-vpn",      "connected"),
        (Kind.DEVICES,      0, "up",    True,  False, _LOW,    "network-vpn",      "connected"),
        (Kind.DETAILS,      0, "",      False, False, _NORMAL, "dialog-information", ""),
        (Kind.MUTED,        0, "",      False, False, _LOW,    "dialog-information", ""),
        (Kind.OFFLINE,      1, "down",  False, True,  _LOW,    "network-offline",  "disconnected"),
        (Kind.SETTINGS,     1, "",      False, True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.PARTIAL,      1, "down",  True,  True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.UNSTABLE,     1, "down",  False, True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.UNKNOWN,      2, "",      False, True,  _NORMAL, "dialog-question",  "error"),
        (Kind.RECONNECTING, 2, "down",  True,  True,  _NORMAL, "network-offline",  "disconnected"),
        (Kind.DOWN,         3, "down",  True,  True,  _NORMAL, "network-offline",  "disconnected"),
        (Kind.STUCK,        3, "stuck", False, True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.STOPPED,      3, "down",  True,  True,  _NORMAL, "network-offline",  "disconnected"),
    )
}  # fmt: skip


MEANT: Final = frozenset({Reason.OPERATOR, Reason.UNLOADED})
"""Somebody of this machine's did it, and knows."""
OF_PLUTO: Final = frozenset(
    {
        Reason.PLUTO_STOPPED, Reason.PLUTO_STARTING, Reason.PLUTO_UNREACHABLE, Reason.BAD_OUTPUT,
    }
)  # fmt: skip
"""Not the tunnel's own: over as soon as pluto answers again."""
LOSSES: Final = frozenset(
    {
        Reason.PEER_DELETED, Reason.PEER_DEAD, Reason.EXPIRED, Reason.REPLACED,
        Reason.PLUTO_RESTARTED, Reason.OTHER,
    }
)  # fmt: skip
"""How a tunnel that was up is lost."""
FAILURES: Final = frozenset(Reason) - MEANT - OF_PLUTO - LOSSES - {Reason.NONE}
"""Why a tunnel doesn't come up."""
TROUBLES: Final = LOSSES | FAILURES


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of what is wrong. None: whatever it is."""

    state: TunnelState
    kind: Kind | None
    reasons: frozenset[Reason] | None = None
    was_up: bool | None = None
    """The user has reason to think that it is up, or is to be."""


_ALL = TunnelState
WRONG: Final = (
    _Row(_ALL.UP, None),
    _Row(_ALL.PARTIAL, Kind.PARTIAL, reasons=TROUBLES),
    _Row(_ALL.PARTIAL, None, reasons=MEANT),
    _Row(_ALL.PARTIAL, Kind.PARTIAL, was_up=True),
    _Row(_ALL.STUCK, Kind.STUCK),
    _Row(_ALL.CONNECTING, Kind.RECONNECTING, was_up=True),
    # What was lost before we came; what doesn't come up is stuck before long, and told then.
    _Row(_ALL.CONNECTING, Kind.RECONNECTING, reasons=LOSSES),
    # On demand, and healthy, whatever ended it.
    _Row(_ALL.WAITING, None),
    _Row(_ALL.DOWN, None, reasons=MEANT),
    _Row(_ALL.DOWN, Kind.DOWN, was_up=True),
    _Row(_ALL.DOWN, Kind.DOWN, reasons=LOSSES),
    _Row(_ALL.DOWN, Kind.STUCK, reasons=FAILURES),
    # UNKNOWN, and DOWN for no reason: nobody asks for it.
)
"""What is wrong with a tunnel: the first row that fits."""


def wrong(state: TunnelState, reason: Reason, *, was_up: bool) -> Kind | None:
    """Return what is wrong with a tunnel in a known state; None: nothing, or nobody knows."""
    for row in WRONG:
        fits = row.reasons is None or reason in row.reasons
        if row.state is state and fits and row.was_up in (None, was_up):
            return row.kind
    return None
