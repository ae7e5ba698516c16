# SPDX-License-Identifier: MIT
"""Why a tunnel isn't up: in words for people, and as far as the stage of its states tells.

What pluto logged tells more: log_evidence.py remembers it, log_lines.py reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.report import Role, SaKind, SaState, Stage
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Words:
    """A reason in plain words: a sentence, and a next step (empty where there is none)."""

    sentence: str
    advice: str = ""


WORDS: Final[dict[Reason, Words]] = {
    Reason.NONE: Words("Nothing is wrong."),
    Reason.NO_ANSWER: Words(
        "The peer does not answer.",
        "Check its address, that UDP 500 and 4500 pass in both directions, and that it runs IPsec.",
    ),
    Reason.UNREACHABLE: Words(
        "The peer cannot be reached from here.",
        "Check this machine's address, network and DNS, the route to the peer, and that the peer "
        "runs IPsec.",
    ),
    Reason.AUTHENTICATION: Words(
        "The key, certificate or identity was refused.",
        "Compare leftid, rightid and the secret or certificate on both sides. "
        "A certificate may have expired.",
    ),
    Reason.PROPOSAL: Words(
        "The two sides have no algorithms in common.",
        "Compare ike=, esp= and pfs= on both sides.",
    ),
    Reason.TRAFFIC_SELECTORS: Words(
        "The two sides do not agree on the subnets.",
        "Compare leftsubnet and rightsubnet on both sides: they must mirror each other.",
    ),
    Reason.CREDENTIALS: Words(
        "The user name or password was refused.",
        "Check the user name and password here, and that the server knows them.",
    ),
    Reason.CHILD_MISSING: Words(
        "The peers know each other, but no tunnel came of it.",
        "Compare leftsubnet, rightsubnet, esp= and pfs= on both sides.",
    ),
    Reason.PEER_DELETED: Words(
        "The peer closed the tunnel.",
        "Ask its administrator why, if it does not come back by itself.",
    ),
    Reason.PEER_DEAD: Words(
        "The peer stopped answering.",
        "Check the network between the two sides, and whether the peer is running.",
    ),
    Reason.OPERATOR: Words("It was taken down by hand."),
    Reason.PLUTO_STOPPED: Words(
        "The IPsec service is not running.",
        "Start it: systemctl start ipsec",
    ),
    Reason.PLUTO_STARTING: Words("The IPsec service is starting.", "Wait some seconds."),
    Reason.PLUTO_UNREACHABLE: Words(
        "The IPsec service does not answer.",
        "See whether it hangs: systemctl status ipsec",
    ),
    Reason.BAD_OUTPUT: Words(
        "The IPsec service's answer cannot be trusted.",
        "It is asked again; if this stays, report it with a recording: ipsecwatch record",
    ),
    Reason.UNLOADED: Words("It was removed from the configuration."),
    Reason.OTHER: Words(
        "It is none of the usual causes.",
        "See what the IPsec service says: journalctl -u ipsec",
    ),
}
"""What to tell a person, for each code; a test holds it complete."""


def by_stage(states: Iterable[SaState], *, wanted: bool, oriented: bool = True) -> Reason:
    """Say what a tunnel that is trying waits for, as far as its states tell.

    The honest guess where there is no log: an exchange that nobody answers, a proof of who we are
    that the peer doesn't take, or an IKE SA to which no Child SA comes. ``wanted``: it is to be
    up, but there may be no state at all (from 5.0 on pluto pauses between attempts, and a refusal
    leaves no trace). ``oriented``: one of its ends is an address of this machine.
    """
    if not oriented:
        return Reason.UNREACHABLE
    begun = [
        s for s in states
        if (s.role is Role.INITIATOR and s.stage not in (Stage.ESTABLISHED, Stage.DELETING))
        or (s.kind is SaKind.IKE and s.stage is Stage.ESTABLISHED)
    ]  # fmt: skip
    if not begun:
        return Reason.OTHER if wanted else Reason.NONE
    return max((_waits_for(s) for s in begun), key=_FURTHEST.index)


_FURTHEST: Final = (
    Reason.NO_ANSWER,
    Reason.AUTHENTICATION,
    Reason.CREDENTIALS,
    Reason.CHILD_MISSING,
)
"""What a negotiation waits for, in order."""


def _waits_for(s: SaState) -> Reason:
    """Say what one negotiation waits for."""
    if s.kind is not SaKind.IKE or s.stage in (Stage.ESTABLISHED, Stage.CONFIG):
        return Reason.CHILD_MISSING
    if s.stage is not Stage.AUTHENTICATING:
        return Reason.NO_ANSWER
    # IKEv1's XAUTH comes behind phase 1. Before it, and in IKEv2's IKE_AUTH, the peer has
    # answered until it was to believe us: pluto calls that a possible authentication failure.
    return Reason.CREDENTIALS if "XAUTH" in s.story else Reason.AUTHENTICATION
