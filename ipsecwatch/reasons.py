# SPDX-License-Identifier: MIT
"""Why a tunnel isn't up, in words for people: a sentence and a next step for each reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ipsecwatch.states import LogState, Reason


@dataclass(frozen=True, slots=True)
class ReasonText:
    """A reason in plain words: a sentence, and a next step (empty where there is none)."""

    sentence: str
    advice: str = ""


REASON_TEXTS: Final[dict[Reason, ReasonText]] = {
    Reason.NONE: ReasonText("Nothing is wrong."),
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
        "The peers know each other, but no tunnel came of it.",
        "Compare leftsubnet, rightsubnet, esp= and pfs= on both sides.",
    ),
    Reason.PEER_DELETED: ReasonText(
        "The peer closed the tunnel.",
        "Ask its administrator why, if it does not come back by itself.",
    ),
    Reason.PEER_DEAD: ReasonText(
        "The peer stopped answering.",
        "Check the network between the two sides, and whether the peer is running.",
    ),
    Reason.OPERATOR: ReasonText("It was taken down by hand."),
    Reason.EXPIRED: ReasonText(
        "Its lifetime ran out, and it was not renewed.",
        "If it is to stay up, set rekey=yes here or on the peer, and see whether the peer answers.",
    ),
    Reason.REPLACED: ReasonText(
        "The same identity connected anew.",
        "Usually the same device on another network. Two devices need an identity each.",
    ),
    Reason.PLUTO_STOPPED: ReasonText(
        "The IPsec service is not running.",
        "Start it: systemctl start ipsec",
    ),
    Reason.PLUTO_RESTARTED: ReasonText(
        "The IPsec service was restarted.",
        "What starts by itself comes back within some seconds. If nobody restarted it, see: "
        "journalctl -u ipsec",
    ),
    Reason.PLUTO_STARTING: ReasonText("The IPsec service is starting.", "Wait some seconds."),
    Reason.PLUTO_UNREACHABLE: ReasonText(
        "The IPsec service does not answer.",
        "See whether it hangs: systemctl status ipsec",
    ),
    Reason.BAD_OUTPUT: ReasonText(
        "The IPsec service's answer cannot be trusted.",
        "It is asked again; if this stays, report it with what this writes: "
        "ipsecwatch record --redact FILE",
    ),
    Reason.UNLOADED: ReasonText("It was removed from the configuration."),
    Reason.OTHER: ReasonText(
        "The cause isn't known.",
        "See what the IPsec service says: journalctl -u ipsec",
    ),
}
"""What to tell a person, for each code; a test holds it complete."""

LOG_TEXTS: Final = {
    LogState.JOURNAL: "Reasons are read from pluto's log in the journal.",
    LogState.FILE: "Reasons are read from pluto's log file.",
    LogState.CUT: "The journal dropped lines of pluto's log: some reasons are guesses.",
    LogState.NONE: "pluto's log isn't heard: reasons are guesses from its states, or unknown.",
}
"""Where reasons come from, in a line."""
