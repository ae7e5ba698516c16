# SPDX-License-Identifier: MIT
"""What the policy tells of a hand: `UP` leaves it when somebody takes a connection down.

Nothing else takes it away (terminate.c, whack_down.c), with two exceptions. From 5.2 on a
connection whose local address went may lose it, and is no longer oriented. Up to 4.15 an IKEv1
connection may lose it by the peer's Delete (ikev1_main.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import IkeVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.report import Connection
    from ipsecwatch.tracking.records import TunnelRecord


def note_hand(
    record: TunnelRecord, now: Sequence[Connection], *, before_5: bool, same_pluto: bool
) -> None:
    """Remember in a tunnel's record whether it was taken down, by its connections before and now.

    It holds until somebody wants it up again; what it held may take half a minute to go.
    ``before_5``: pluto is of a release before 5.0. ``same_pluto``: it is known that no other one
    has taken its place, which would have forgotten what was wanted.
    """
    wanted = frozenset([c.full_name for c in now if c.wanted_up])
    taken = [c for c in now if c.full_name in record.wanted - wanted]
    if taken and same_pluto:
        hands = [c.full_name for c in taken if not _may_lose_it(c, before_5=before_5)]
        record.by_hand = record.by_hand.union(hands)
    record.by_hand -= wanted
    record.wanted = wanted


def _may_lose_it(c: Connection, *, before_5: bool) -> bool:
    return c.oriented is False or (before_5 and c.ike_version is not IkeVersion.V2)
