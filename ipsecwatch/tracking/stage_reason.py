# SPDX-License-Identifier: MIT
"""Why a tunnel isn't up, as far as the stage of its states tells.

What pluto logged tells more: log_evidence.py remembers it, log_lines.py reads it. Where the log
was heard and named no failure, the stage says what is waited for. Where it wasn't heard, the stage
tells much less: a state that waits for an answer looks the same whether nobody answers, the network
says that there is no way, or the peer refuses in the clear, which pluto logs and otherwise ignores;
an IKE SA without a Child SA looks the same whatever the peer has refused. No release prints what a
state has received (show_state in programs/pluto).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.report import Role, SaKind, Stage
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import SaState


VAGUER: Final[dict[Reason, frozenset[Reason]]] = {
    # Whoever is no longer listed was removed, perhaps by hand: that is all that a list tells.
    Reason.OPERATOR: frozenset({Reason.UNLOADED}),
}
"""Reasons that say less than another one, and nothing else than it. NONE and OTHER say less than
all; no other reason may be told without the log of what has another one with it."""


def is_no_more(vague: Reason, full: Reason) -> bool:
    """Return whether a reason says the same as another one, or less, and nothing else."""
    nothing = vague in (Reason.NONE, Reason.OTHER)
    return nothing or vague is full or vague in VAGUER.get(full, ())


def reason_by_stage(
    states: Iterable[SaState], *, wanted: bool, oriented: bool = True, heard: bool = True
) -> Reason:
    """Return what a tunnel that is being tried waits for, as far as its states show it.

    An exchange that nobody answers, a proof of who we are that the peer doesn't take, or an IKE SA
    to which no Child SA comes. ``wanted``: it is to be up, but there may be no state at all (from
    5.0 on pluto pauses between attempts, and a refusal leaves no trace). ``oriented``: one of its
    ends is an address of this machine. ``heard``: pluto's log of these attempts was heard, and
    names no failure.
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
    if not heard:
        return Reason.OTHER
    return max((_waits_for(s) for s in begun), key=_FURTHEST.index)


_FURTHEST: Final = (
    Reason.NO_ANSWER,
    Reason.AUTHENTICATION,
    Reason.CREDENTIALS,
    Reason.CHILD_MISSING,
)
"""What a negotiation waits for, in order."""


def _waits_for(s: SaState) -> Reason:
    """Return what one negotiation waits for."""
    if s.kind is not SaKind.IKE or s.stage in (Stage.ESTABLISHED, Stage.CONFIG):
        return Reason.CHILD_MISSING
    if s.stage is not Stage.AUTHENTICATING:
        return Reason.AUTHENTICATION if _answered(s) else Reason.NO_ANSWER
    # IKEv1's XAUTH comes behind phase 1. Before it, and in IKEv2's IKE_AUTH, the peer has
    # answered until it was to believe us: pluto calls that a possible authentication failure.
    return Reason.CREDENTIALS if "XAUTH" in s.story else Reason.AUTHENTICATION


_AT_WORK: Final = ("CRYPTO_TIMEOUT", "CRYPTO_FAILED")  # 3.22; to 3.21
"""The timers of an IKE SA that pluto works on."""


def _answered(s: SaState) -> bool:
    """Return whether the peer has answered IKE_SA_INIT, and pluto didn't go on from there.

    It neither repeats its request nor sends the next: our own secret or private key is missing.
    libreswan up to 5.0 shows it so; from 5.1 on IKEv2 has other timers.
    """
    at_work = any(s.timer(name) is not None for name in _AT_WORK)
    return s.ike_version == 2 and at_work and s.timer("RETRANSMIT") is None
