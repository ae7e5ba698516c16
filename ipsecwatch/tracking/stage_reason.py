# SPDX-License-Identifier: MIT
"""Why a tunnel isn't up, as far as the stage of its SAs shows it.

The log shows more: log_lines.py reads it, log_evidence.py remembers it. If the log was read and has
no failure, the stage shows what pluto waits for. If the log wasn't read, the stage shows much less.
For then an SA that waits for an answer looks the same in three cases: nobody answers, the network
reports that there is no route, or the peer refuses in an unencrypted message, which pluto only
logs. And an IKE SA without a Child SA looks the same whatever the peer has refused. No release
prints what an SA has received (show_state in programs/pluto).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.report import Role, SaKind, Stage
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import SaState


VAGUER: Final[dict[Reason, frozenset[Reason]]] = {
    # What is no longer listed was removed, perhaps by hand: a list shows no more than that.
    Reason.OPERATOR: frozenset({Reason.UNLOADED}),
}
"""For a reason, the other reasons that say only a part of the same. NONE and OTHER do so for every
reason, and aren't listed here."""


def is_no_more(vague: Reason, full: Reason) -> bool:
    """Return whether the reason ``vague`` says no more than the reason ``full``.

    That is so if both are the same, if ``vague`` is NONE or OTHER, or if VAGUER lists it for
    ``full``.
    """
    nothing = vague in (Reason.NONE, Reason.OTHER)
    return nothing or vague is full or vague in VAGUER.get(full, ())


def reason_by_stage(
    states: Iterable[SaState], *, wanted: bool, oriented: bool = True, logged: bool = True
) -> Reason:
    """Return what a tunnel that is being tried waits for, as a reason, as far as its SAs show it.

    The SA that has come furthest decides: NO_ANSWER until the peer has to authenticate us;
    AUTHENTICATION or CREDENTIALS (user name and password) until it has accepted that; then
    CHILD_MISSING. If no SA shows an attempt, it is OTHER for a tunnel that pluto is to keep up
    (``wanted``): from 5.0 on pluto pauses between attempts, and a refusal leaves no trace. For any
    other tunnel it is NONE. ``oriented``: an end of the tunnel is an address of this machine; if
    false, it is UNREACHABLE. ``logged``: pluto's log of these attempts was read, and has no
    failure; if false, an attempt gives OTHER at any stage.
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
    if not logged:
        return Reason.OTHER
    return max((_waits_for(s) for s in begun), key=_FURTHEST.index)


_FURTHEST: Final = (
    Reason.NO_ANSWER,
    Reason.AUTHENTICATION,
    Reason.CREDENTIALS,
    Reason.CHILD_MISSING,
)
"""What a negotiation waits for, from its beginning to its end."""


def _waits_for(s: SaState) -> Reason:
    """Return what the negotiation of one SA waits for, as a member of _FURTHEST."""
    if s.kind is not SaKind.IKE or s.stage in (Stage.ESTABLISHED, Stage.CONFIG):
        return Reason.CHILD_MISSING
    if s.stage is not Stage.AUTHENTICATING:
        return Reason.AUTHENTICATION if _answered(s) else Reason.NO_ANSWER
    # IKEv1's XAUTH follows phase 1. Before it, and in IKEv2's IKE_AUTH, the peer has answered
    # until it had to authenticate us: pluto calls that a possible authentication failure.
    return Reason.CREDENTIALS if "XAUTH" in s.story else Reason.AUTHENTICATION


_AT_WORK: Final = ("CRYPTO_TIMEOUT", "CRYPTO_FAILED")  # 3.22; to 3.21
"""The timers of an IKE SA while pluto computes something for it."""


def _answered(s: SaState) -> bool:
    """Return whether the peer has answered IKE_SA_INIT, but pluto hasn't sent IKE_AUTH.

    pluto doesn't repeat its request then, because our own secret or private key is missing. The
    timers of an IKEv2 SA show that up to 5.0. From 5.1 on there are other timers, and the result is
    False.
    """
    at_work = any(s.timer(name) is not None for name in _AT_WORK)
    return s.ike_version == 2 and at_work and s.timer("RETRANSMIT") is None
