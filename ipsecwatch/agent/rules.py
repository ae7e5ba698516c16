# SPDX-License-Identifier: MIT
"""Which states of a tunnel are reported to the user, and how: the agent's rules, as tables. Pure.

WRONG says what is wrong with a tunnel, if anything: its first row that fits counts. RULES says for
each kind of notification how bad it is, how long it waits, how long it stays, and how it looks.
tunnel_notification.py and policy.py apply both over time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ipsecwatch.tunnel import Reason, TunnelState


class Kind(StrEnum):
    """What a notification is about."""

    CONNECTED = "connected"
    BACK = "back"
    """The tunnel was lost, and is UP again."""
    ENDED = "ended"
    """The tunnel ended as it was meant to: somebody took it down, or it waits for traffic now."""
    IN_PART = "in-part"
    """The tunnel comes up, but only a part of it. Nothing was lost."""
    DEVICES = "devices"
    """The number of devices that are connected to a template for any peer has changed."""
    PARTIAL = "partial"
    """The tunnel is PARTIAL, because a part of it was lost, or doesn't come up."""
    UNSTABLE = "unstable"
    """The tunnel is lost and comes back again and again."""
    RECONNECTING = "reconnecting"
    """The tunnel is lost, and pluto tries to bring it up again."""
    DOWN = "down"
    """The tunnel is lost, and pluto doesn't try to bring it up."""
    STUCK = "stuck"
    """The tunnel can't connect: pluto still tries in vain, or has given up."""
    OFFLINE = "offline"
    """This machine has no network, and so its tunnels aren't up."""
    STOPPED = "stopped"
    """pluto has stopped, and all tunnels with it."""
    UNKNOWN = "unknown"
    """It isn't known whether the tunnels are up."""
    SETTINGS = "settings"
    """The agent's settings file has a mistake, or a tunnel couldn't be muted or unmuted."""
    DETAILS = "details"
    """The facts for an administrator, for which the user pressed a button."""
    MUTED = "muted"
    """The user has muted a tunnel with a button."""


class Button(StrEnum):
    """A button of a notification. The value is its name for the notification server."""

    DETAILS = "details"
    TERMINAL = "terminal"
    """Open a terminal that shows the tunnel's state."""
    MUTE_HOUR = "mute-1h"
    MUTE_LOGIN = "mute-login"
    """Mute the tunnel until the user's next login."""
    MUTE_EVER = "mute-ever"
    UNMUTE = "unmute"


class Urgency(StrEnum):
    """How urgent a notification is for the notification server.

    No notification is critical, because critical ones are shown even in "do not disturb". A lost
    tunnel is news, and not an alarm.
    """

    LOW = "low"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Rule:
    """How notifications of one kind behave and look."""

    rank: int
    """How bad the news is, from 0 (good) to 3. If the user closed a notification, only one with a
    higher rank is shown after it."""
    settles: bool
    """Whether it is reported only after the matter has lasted for ``settle`` seconds."""
    lasting: bool
    """Whether it stays on the screen until the matter is over. Others disappear by themselves."""
    urgency: Urgency
    icon: str
    """The name of the icon in the desktop's icon theme."""
    category: str
    """Which category in the class ``network`` it has, by the table "Categories" of the Desktop
    Notifications specification; "": only the class."""


_LOW, _NORMAL = Urgency.LOW, Urgency.NORMAL

# Icons: names of the freedesktop icon naming specification, but for network-vpn, which Adwaita,
# Breeze and Papirus have all the same. Those that end in -symbolic are dark on a dark ground where
# the server doesn't recolour them (dunst), and network-vpn-error-symbolic is blank in Adwaita.
RULES: Final[dict[Kind, Rule]] = {
    kind: Rule(*row)  # type: ignore[arg-type]
    for kind, *row in (
        # kind              rank settles lasting urgency icon          category
        (Kind.CONNECTED,    0, False, False, _NORMAL, "network-vpn",      "connected"),
        (Kind.BACK,         0, False, False, _NORMAL, "network-vpn",      "connected"),
        (Kind.ENDED,        0, True,  False, _LOW,    "network-offline",  "disconnected"),
        (Kind.IN_PART,      0, True,  False, _NORMAL, "network-vpn",      "connected"),
        (Kind.DEVICES,      0, True,  False, _LOW,    "network-vpn",      "connected"),
        (Kind.DETAILS,      0, False, False, _NORMAL, "dialog-information", ""),
        (Kind.MUTED,        0, False, False, _LOW,    "dialog-information", ""),
        (Kind.OFFLINE,      1, False, True,  _LOW,    "network-offline",  "disconnected"),
        (Kind.SETTINGS,     1, False, True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.PARTIAL,      1, True,  True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.UNSTABLE,     1, False, True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.UNKNOWN,      2, False, True,  _NORMAL, "dialog-question",  "error"),
        (Kind.RECONNECTING, 2, True,  True,  _NORMAL, "network-offline",  "disconnected"),
        (Kind.DOWN,         3, True,  True,  _NORMAL, "network-offline",  "disconnected"),
        (Kind.STUCK,        3, False, True,  _NORMAL, "dialog-warning",   "error"),
        (Kind.STOPPED,      3, True,  True,  _NORMAL, "network-offline",  "disconnected"),
    )
}  # fmt: skip


MEANT: Final = frozenset({Reason.OPERATOR, Reason.UNLOADED})
"""Reasons that say that somebody on this machine ended the tunnel on purpose, and so knows of
it."""
OF_PLUTO: Final = frozenset(
    {
        Reason.PLUTO_STOPPED, Reason.PLUTO_STARTING, Reason.PLUTO_UNREACHABLE, Reason.BAD_OUTPUT,
    }
)  # fmt: skip
"""Reasons that are about pluto and not about the tunnel. They no longer hold as soon as pluto gives
an answer that can be trusted."""
LOSSES: Final = frozenset(
    {
        Reason.PEER_DELETED, Reason.PEER_DEAD, Reason.EXPIRED, Reason.REPLACED,
        Reason.PLUTO_RESTARTED, Reason.OTHER,
    }
)  # fmt: skip
"""Reasons for which a tunnel that was up is lost, except those in MEANT and OF_PLUTO."""
FAILURES: Final = frozenset(Reason) - MEANT - OF_PLUTO - LOSSES - {Reason.NONE}
"""Reasons for which a tunnel doesn't come up."""
TROUBLES: Final = LOSSES | FAILURES


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of WRONG: for tunnels in this state, with one of these reasons, ``kind`` is wrong."""

    state: TunnelState
    kind: Kind | None
    """What is wrong with such a tunnel; None: nothing."""
    reasons: frozenset[Reason] | None = None
    """The reasons for which the row fits; None: it fits for any reason."""
    was_up: bool | None = None
    """Whether the row fits only for tunnels of which the user must believe that they are up, or
    will be (True), or only for others (False); None: for both."""


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
"""What is wrong with a tunnel. The first row that fits its state and reason counts."""


def wrong(state: TunnelState, reason: Reason, *, was_up: bool) -> Kind | None:
    """Return what is wrong with a tunnel, by the first row of WRONG that fits; None if nothing is.

    Return None also if no row fits, as for UNKNOWN. ``was_up`` says whether the user must believe
    that the tunnel is up, or will be.
    """
    for row in WRONG:
        fits = row.reasons is None or reason in row.reasons
        if row.state is state and fits and row.was_up in (None, was_up):
            return row.kind
    return None
