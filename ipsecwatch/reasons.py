# SPDX-License-Identifier: MIT
"""A sentence and a next step, for people, for each reason why a tunnel isn't up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipsecwatch.states import LogState, Reason


@dataclass(frozen=True, slots=True)
class ReasonText:
    """A reason in plain words: a sentence, and a next step for the reader ("" if there is none)."""

    sentence: str
    advice: str = ""


IPSEC: Final = "ipsec.service"
"""libreswan's own systemd unit, the same in all distributions."""

_RESTARTED: Final = (
    "Tunnels that start by themselves come back within seconds. If nobody restarted it, "
)
_BY_UNIT: Final = {
    Reason.PLUTO_STOPPED: (
        "Start it: systemctl start {}",
        "Find out what runs pluto here (NetworkManager, a container, a script), and start that.",
    ),
    Reason.PLUTO_RESTARTED: (
        f"{_RESTARTED}read its log: journalctl -u {{}}",
        f"{_RESTARTED}read pluto's log.",
    ),
    Reason.PLUTO_UNREACHABLE: (
        "Check whether it hangs: systemctl status {}",
        "Check whether the pluto process hangs, and read its log.",
    ),
    Reason.OTHER: (
        "Read the log of the IPsec service: journalctl -u {}",
        "Read pluto's log.",
    ),
}
"""Advice for the reasons that are about pluto itself, in two forms. The first has ``{}`` for the
name of the systemd unit that runs pluto. The second is for when no such unit is known, because
NetworkManager or a container may have started pluto."""


def advice_about_pluto(reason: Reason, unit: str) -> str:
    """Return the advice for one of the reasons in _BY_UNIT. Any other reason raises KeyError.

    ``unit`` is the systemd unit that runs pluto, which the advice names without ``.service``; "" if
    none is known.
    """
    named, unnamed = _BY_UNIT[reason]
    return named.format(unit.removesuffix(".service")) if unit else unnamed


REASON_TEXTS: Final[dict[Reason, ReasonText]] = {
    Reason.NONE: ReasonText("Nothing is known to be wrong."),
    Reason.NO_ANSWER: ReasonText(
        "The peer does not answer.",
        "Check its address, that UDP 500 and 4500 pass in both directions, and that it runs IPsec.",
    ),
    Reason.UNREACHABLE: ReasonText(
        "The peer cannot be reached from here.",
        "Check this machine's address, network and DNS, the route to the peer, and that the peer "
        "runs IPsec.",
    ),
    Reason.AUTHENTICATION: ReasonText(
        "The key, certificate or identity was refused.",
        "Compare leftid, rightid and the secret or certificate on both sides. "
        "A certificate may have expired.",
    ),
    Reason.PROPOSAL: ReasonText(
        "The two sides have no algorithms in common.",
        "Compare ike=, esp= and pfs= on both sides.",
    ),
    Reason.TRAFFIC_SELECTORS: ReasonText(
        "The two sides do not agree on the subnets.",
        "Compare leftsubnet and rightsubnet on both sides: they must mirror each other.",
    ),
    Reason.CREDENTIALS: ReasonText(
        "The user name or password was refused.",
        "Check the user name and password here, and that the server knows them.",
    ),
    Reason.CHILD_MISSING: ReasonText(
        "The two sides accepted each other, but no tunnel was set up.",
        "Compare leftsubnet, rightsubnet, esp= and pfs= on both sides.",
    ),
    Reason.PEER_DELETED: ReasonText(
        "The peer closed the tunnel.",
        "If it does not come back by itself, ask the peer's administrator why.",
    ),
    Reason.PEER_DEAD: ReasonText(
        "The peer stopped answering.",
        "Check the network between the two sides, and whether the peer is running.",
    ),
    Reason.OPERATOR: ReasonText("It was taken down on this machine."),
    Reason.EXPIRED: ReasonText(
        "Its lifetime ran out, and it was not renewed.",
        "If it should stay up, set rekey=yes here or on the peer, and check that the peer answers.",
    ),
    Reason.REPLACED: ReasonText(
        "The same identity connected again.",
        "This is usually the same device on another network. If it is another device, give each "
        "device its own identity.",
    ),
    Reason.PLUTO_STOPPED: ReasonText(
        "The IPsec service is not running.", advice_about_pluto(Reason.PLUTO_STOPPED, IPSEC)
    ),
    Reason.PLUTO_RESTARTED: ReasonText(
        "The IPsec service was restarted.", advice_about_pluto(Reason.PLUTO_RESTARTED, IPSEC)
    ),
    Reason.PLUTO_STARTING: ReasonText("The IPsec service is starting.", "Wait a few seconds."),
    Reason.PLUTO_UNREACHABLE: ReasonText(
        "The IPsec service does not answer.", advice_about_pluto(Reason.PLUTO_UNREACHABLE, IPSEC)
    ),
    Reason.BAD_OUTPUT: ReasonText(
        "The IPsec service's answer cannot be trusted.",
        "ipsecwatch asks it again. If this stays, report it, with the file that this writes: "
        "ipsecwatch record --redact FILE",
    ),
    Reason.UNLOADED: ReasonText("It was removed from the configuration."),
    Reason.OTHER: ReasonText("The cause isn't known.", advice_about_pluto(Reason.OTHER, IPSEC)),
}
"""The sentence and advice for each reason, if libreswan's own unit runs pluto. A test checks that
none is missing."""


def words_for(reason: Reason, unit: str) -> ReasonText:
    """Return the sentence and advice for any reason.

    ``unit`` is the systemd unit that runs pluto, which some of the advice names; "" if none is
    known.
    """
    told = REASON_TEXTS[reason]
    if reason not in _BY_UNIT or unit == IPSEC:
        return told
    return ReasonText(told.sentence, advice_about_pluto(reason, unit))


LOG_TEXTS: Final = {
    LogState.JOURNAL: "Reasons are read from pluto's log in the journal.",
    LogState.FILE: "Reasons are read from pluto's log file.",
    LogState.CUT: "The journal dropped lines of pluto's log: some reasons are guesses, or unknown.",
    LogState.NONE: "pluto's log isn't available: reasons are guesses from its states, or unknown.",
}
"""For each place from which pluto's log is read: a sentence that says where reasons come from."""
