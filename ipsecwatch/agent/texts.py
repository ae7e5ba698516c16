# SPDX-License-Identifier: MIT
"""All sentences in notifications, as tables. Their readers never saw ipsec.conf. Pure.

Each is a whole sentence with named placeholders. No sentence is put together from pieces, so that
each can be translated by itself (packaging/po). A placeholder stands for a name, a number, one of
DURATIONS or a list. What an administrator wants to read (leftid=, UDP 500) is in
ipsecwatch/reasons.py, for ``status``, ``monitor`` and the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent.rules import Button, Kind
from ipsecwatch.agent.translation import Plural
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

APP_NAME: Final = "VPN"
"""The name of the program that the notification server shows with our notifications. It is that in
our desktop file."""


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence that says why something is so, and advice on what a user can do ("": none)."""

    sentence: str
    advice: str = ""


TITLES: Final = {
    Kind.CONNECTED: "VPN {name} is connected",
    Kind.BACK: "VPN {name} is back",
    Kind.ENDED: "VPN {name} is disconnected",
    Kind.IN_PART: "VPN {name} works in part",
    Kind.DEVICES: "VPN {name} serves other devices",
    Kind.PARTIAL: "VPN {name} works in part",
    Kind.UNSTABLE: "VPN {name} is unstable",
    Kind.RECONNECTING: "VPN {name} is down",
    Kind.DOWN: "VPN {name} is down",
    Kind.STUCK: "VPN {name} can't connect",
    Kind.OFFLINE: "No network for the VPN",
    Kind.STOPPED: "The VPN service has stopped",
    Kind.UNKNOWN: "VPN status unknown",
    Kind.SETTINGS: "VPN notifications: mistake in the settings",
    Kind.DETAILS: "VPN {name}: details",
    Kind.MUTED: "VPN {name} is muted",
}

SUMMARY_TITLES: Final = {
    Plural("{n} VPN is connected", "{n} VPNs are connected"): {Kind.CONNECTED},
    Plural("{n} VPN is back", "{n} VPNs are back"): {Kind.BACK, Kind.CONNECTED},
    Plural("{n} VPN is disconnected", "{n} VPNs are disconnected"): {Kind.ENDED},
    Plural("{n} VPN serves other devices", "{n} VPNs serve other devices"): {Kind.DEVICES},
    Plural("{n} VPN works in part", "{n} VPNs work in part"): {Kind.IN_PART, Kind.PARTIAL},
    Plural("{n} VPN is unstable", "{n} VPNs are unstable"): {Kind.UNSTABLE},
    Plural("{n} VPN can't connect", "{n} VPNs can't connect"): {Kind.STUCK},
    Plural("{n} VPN is down", "{n} VPNs are down"): {Kind.DOWN, Kind.RECONNECTING, Kind.STUCK},
    Plural("{n} VPN has problems", "{n} VPNs have problems"): {
        Kind.DOWN, Kind.RECONNECTING, Kind.STUCK, Kind.PARTIAL, Kind.UNSTABLE,
    },
}  # fmt: skip
"""The titles of a summary, each with the kinds of news that it fits. The first title counts that
fits all news in the summary."""
CHANGED: Final = Plural("{n} VPN has changed", "{n} VPNs have changed")
SUMMARY_LINES: Final = {
    Kind.CONNECTED: "Connected: {names}.",
    Kind.BACK: "Back: {names}.",
    Kind.ENDED: "Disconnected: {names}.",
    Kind.IN_PART: "Working in part: {names}.",
    Kind.DEVICES: "Serving other devices: {names}.",
    Kind.PARTIAL: "Working in part: {names}.",
    Kind.UNSTABLE: "Unstable: {names}.",
    Kind.RECONNECTING: "Down: {names}.",
    Kind.DOWN: "Down: {names}.",
    Kind.STUCK: "Can't connect: {names}.",
}
NAMES_AND_MORE: Final = Plural("{names} and {n} more", "{names} and {n} more")
"""A list of names of which only some are in the text, and the others are counted."""
NAME_IN_FULL: Final = "Its full name: {name}"
"""The line in a body with the whole name, if the title has only a part of it."""

BUTTONS: Final = {
    Button.DETAILS: "Details",
    Button.TERMINAL: "Show in a terminal",
    Button.MUTE_HOUR: "Mute for an hour",
    Button.MUTE_LOGIN: "Mute until next login",
    Button.MUTE_EVER: "Mute for good",
    Button.UNMUTE: "Unmute",
}
DETAILS_OF_ALL: Final = "VPN details"
"""The title of the details about several tunnels."""
DETAILS_COMMAND: Final = "All that is known: {command}"
MUTED: Final = {
    Button.MUTE_HOUR: "No notifications about it for an hour.",
    Button.MUTE_LOGIN: "No notifications about it until your next login.",
    Button.MUTE_EVER: "No more notifications about it. To undo this, see: ipsecwatch mute --help",
}
NOT_CHANGED: Final = "Nothing was changed: {mistake}"

DURATIONS: Final = {
    "s": "{s} s",
    "min": "{min} min",
    "h": "{h} h",
    "h min": "{h} h {min} min",
    "d h": "{d} d {h} h",
}
CONNECTED: Final = "Connected."
NETWORKS: Final = Plural(
    "{up} of {n} networks behind it can be reached.",
    "{up} of {n} networks behind it can be reached.",
)
SOME_NETWORKS: Final = "Some networks behind it can't be reached."
BACK_AFTER: Final = "Back after {duration}."
LOST: Final = "The connection was lost."
TRYING: Final = "Trying without success."
LOST_OFTEN: Final = Plural("Lost {n} time within {duration}.", "Lost {n} times within {duration}.")
UNSTABLE_ADVICE: Final = "Check the network of this computer."
RECONNECTING: Final = "Reconnecting."
RECONNECTS_WHEN_USED: Final = "It reconnects when you use it."
DEVICES: Final = Plural("{n} device is connected.", "{n} devices are connected.")
OFFLINE: Final = Words(
    "This computer is offline.", "The VPN can connect when there is a network again."
)
STOPPED: Final = Words(
    "The VPN service on this computer isn't running.",
    "Ask whoever looks after this computer to start it.",
)
STOPPED_TUNNELS: Final = "Down because of this: {names}."
UNREACHABLE: Final = Words(
    "The VPN service on this computer doesn't answer, so it isn't known whether the VPN works.",
    "If this stays, restart the computer or ask whoever looks after it.",
)
UNREADABLE: Final = Words(
    "The state of the VPN can't be read, so it isn't known whether the VPN works.",
    "If this stays, ask whoever looks after this computer.",
)
UNWATCHED: Final = Words(
    "The program that watches it isn't running.",
    "If this stays, restart the computer or ask whoever looks after it.",
)
UNWATCHED_HANGS: Final = Words(
    "The program that watches it doesn't answer.",
    "If this stays, restart the computer or ask whoever looks after it.",
)
SETTINGS: Final = "Until it is corrected, the previous settings are used."

REASONS: Final[dict[Reason, Words]] = {
    Reason.NONE: Words(""),
    Reason.NO_ANSWER: Words(
        "The VPN server doesn't answer.",
        "Are you online? Some hotel and guest networks block VPNs.",
    ),
    Reason.UNREACHABLE: Words(
        "The VPN server can't be reached.", "Check that this computer is online."
    ),
    Reason.AUTHENTICATION: Words(
        "This computer and the VPN server don't accept each other's key or certificate.",
        "Ask whoever runs the VPN; a certificate may have expired.",
    ),
    Reason.PROPOSAL: Words(
        "This computer and the VPN server have no encryption in common.",
        "Ask whoever runs the VPN.",
    ),
    Reason.TRAFFIC_SELECTORS: Words(
        "This computer and the VPN server disagree on which networks to connect.",
        "Ask whoever runs the VPN.",
    ),
    Reason.CREDENTIALS: Words(
        "The user name or password was refused.",
        "Check both; if they are right, ask whoever runs the VPN.",
    ),
    Reason.CHILD_MISSING: Words(
        "The VPN server accepted this computer, but the connection wasn't set up.",
        "Ask whoever runs the VPN.",
    ),
    Reason.PEER_DELETED: Words(
        "The VPN server ended the connection.",
        "If it doesn't come back, ask whoever runs the VPN.",
    ),
    Reason.PEER_DEAD: Words(
        "The VPN server stopped answering.", "Check that this computer is online."
    ),
    Reason.OPERATOR: Words("Disconnected on this computer."),
    Reason.EXPIRED: Words(
        "The connection expired and wasn't renewed.",
        "If it doesn't come back, ask whoever runs the VPN.",
    ),
    Reason.REPLACED: Words(
        "The same account connected again, usually this device on another network.",
        "If it wasn't a device of yours, ask whoever runs the VPN.",
    ),
    Reason.PLUTO_STOPPED: STOPPED,
    Reason.PLUTO_RESTARTED: Words("The VPN service on this computer was restarted."),
    Reason.PLUTO_STARTING: Words("The VPN service on this computer is starting."),
    Reason.PLUTO_UNREACHABLE: UNREACHABLE,
    Reason.BAD_OUTPUT: UNREADABLE,
    Reason.UNLOADED: Words("It was removed from this computer's settings."),
    Reason.OTHER: Words(
        "The cause isn't known.", "If it doesn't come back, ask whoever runs the VPN."
    ),
}
"""Why a VPN isn't up, for each reason, in words for a user. A test checks that none is missing."""


def messages() -> list[str | Plural]:
    """Return all texts of this module that are to be translated, in their order, each once."""
    tables = [v for name, v in globals().items() if name.isupper() and name != "APP_NAME"]
    return messages_of(*tables)


def messages_of(*tables: object) -> list[str | Plural]:
    """Return all texts in these tables, each once. Empty texts are left out.

    A table may be a text, a Plural, Words, or a dictionary of them.
    """
    found = dict.fromkeys(text for table in tables for text in _texts(table))
    return [text for text in found if text]


def _texts(value: object) -> Iterator[str | Plural]:
    """Yield the texts in a table, and also those of its keys that are Plurals."""
    match value:
        case str() | Plural():
            yield value
        case Words():
            yield from (value.sentence, value.advice)
        case dict():
            for key, text in value.items():
                yield from _texts(text)
                if isinstance(key, Plural):
                    yield key
