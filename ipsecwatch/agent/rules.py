# SPDX-License-Identifier: MIT
"""Which states of a tunnel are reported to the user, and how: the agent's rules, as tables. Pure.

WRONG decides what is wrong with a tunnel, if anything: its first row that fits counts. RULES has
the properties of each kind of notification: how bad it is, how long it waits, how long it stays,
and how it looks. policy.py applies both over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from ipsecwatch.tunnel import Reason, TunnelState


class Kind(StrEnum):
    """What a notification is about."""

    CONNECTED = "connected"
    BACK = "back"
    """The tunnel was lost, and is up again."""
    ENDED = "ended"
    """The tunnel ended as it was meant to: by hand, or until traffic starts it again."""
    IN_PART = "in-part"
    """The tunnel is coming up, and a part of it stays down."""
    DEVICES = "devices"
    """The number of devices that a template for any peer serves."""
    PARTIAL = "partial"
    """A part of the tunnel is lost, or doesn't come up."""
    UNSTABLE = "unstable"
    """The tunnel is lost again and again."""
    RECONNECTING = "reconnecting"
    """The tunnel is lost, and is being tried again."""
    DOWN = "down"
    """The tunnel is lost, and isn't being tried again."""
    STUCK = "stuck"
    """The tunnel doesn't come up: it is still being tried, or pluto gave up."""
    OFFLINE = "offline"
    """Tunnels aren't up, as this machine has no network."""
    STOPPED = "stopped"
    """pluto stopped, and all tunnels with it."""
    UNKNOWN = "unknown"
    """The tunnels' state isn't known."""
    SETTINGS = "settings"
    """The agent's settings have a mistake, or a mute couldn't be changed."""
    DETAILS = "details"
    """The facts that the user asked for with a button."""
    MUTED = "muted"
    """A tunnel is muted now."""


class Button(StrEnum):
    """What a notification's button does."""

    DETAILS = "details"
    TERMINAL = "terminal"
    """Show the tunnel in a terminal."""
    MUTE_HOUR = "mute-1h"
    MUTE_LOGIN = "mute-login"
    """Until the next login."""
    MUTE_EVER = "mute-ever"
    UNMUTE = "unmute"


class Urgency(StrEnum):
    """How much a notification asks for attention.

    None is critical, since a critical one is shown even in "do not disturb". A lost tunnel is news,
    not an alarm.
    """

    LOW = "low"
    NORMAL = "normal"


Switch = Literal["up", "down", "stuck", ""]
"""The setting that decides about a kind of notification; "": it is always shown."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The properties of a kind of notification."""

    rank: int
    """How bad it is, from 0 (good news) to 3. After the user closed a notification, only one of a
    higher rank is shown."""
    switch: Switch
    settles: bool
    """Whether it is reported only after it has lasted for ``settle`` seconds."""
    lasting: bool
    """Whether it stays on the screen until it is over; others disappear by themselves."""
    urgency: Urgency
    icon: str
    """Its name in the desktop's icon theme."""
    category: str
    """A category of the Desktop Notifications specification (table "Categories") in its class
    network; "": the class itself."""


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
"""Reasons why a tunnel ended on purpose: somebody on this machine caused it, and knows that."""
OF_PLUTO: Final = frozenset(
    {
        Reason.PLUTO_STOPPED, Reason.PLUTO_STARTING, Reason.PLUTO_UNREACHABLE, Reason.BAD_OUTPUT,
    }
)  # fmt: skip
"""Reasons that are pluto's, not the tunnel's: they are over once pluto gives a good answer."""
LOSSES: Final = frozenset(
    {
        Reason.PEER_DELETED, Reason.PEER_DEAD, Reason.EXPIRED, Reason.REPLACED,
        Reason.PLUTO_RESTARTED, Reason.OTHER,
    }
)  # fmt: skip
"""Reasons why a tunnel that was up is lost, except those in MEANT and OF_PLUTO."""
FAILURES: Final = frozenset(Reason) - MEANT - OF_PLUTO - LOSSES - {Reason.NONE}
"""Reasons why a tunnel doesn't come up."""
TROUBLES: Final = LOSSES | FAILURES


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of WRONG: what is wrong with a tunnel of this state, reason and ``was_up``."""

    state: TunnelState
    kind: Kind | None
    """What is wrong; None: nothing."""
    reasons: frozenset[Reason] | None = None
    """The reasons that fit; None: any."""
    was_up: bool | None = None
    """Whether the user has a reason to believe that the tunnel is up, or will be; None: any."""


_ALL = TunnelState
WRONG: Final = (
    _Row(_ALL.UP, None),
    _Row(_ALL.PARTIAL, Kind.PARTIAL, reasons=TROUBLES),
    _Row(_ALL.PARTIAL, None, reasons=MEANT),
    _Row(_ALL.PARTIAL, Kind.PARTIAL, was_up=True),
    _Row(_ALL.STUCK, Kind.STUCK),
    _Row(_ALL.CONNECTING, Kind.RECONNECTING, was_up=True),
    # Lost before the agent started. A tunnel that doesn't come up is stuck soon, and reported then.
    _Row(_ALL.CONNECTING, Kind.RECONNECTING, reasons=LOSSES),
    # On demand, and healthy, whatever ended it.
    _Row(_ALL.WAITING, None),
    _Row(_ALL.DOWN, None, reasons=MEANT),
    _Row(_ALL.DOWN, Kind.DOWN, was_up=True),
    _Row(_ALL.DOWN, Kind.DOWN, reasons=LOSSES),
    _Row(_ALL.DOWN, Kind.STUCK, reasons=FAILURES),
    # There is no row for UNKNOWN, nor for DOWN without a reason: nobody wants such a tunnel up.
)
"""What is wrong with a tunnel: the first row that fits counts."""


def wrong(state: TunnelState, reason: Reason, *, was_up: bool) -> Kind | None:
    """Return what is wrong with a tunnel, by the first row of WRONG that fits; None: nothing.

    Return None for UNKNOWN, too. ``was_up`` is explained in _Row.
    """
    for row in WRONG:
        fits = row.reasons is None or reason in row.reasons
        if row.state is state and fits and row.was_up in (None, was_up):
            return row.kind
    return None
