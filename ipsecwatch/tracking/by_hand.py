# SPDX-License-Identifier: MIT
"""Whether an administrator took a connection down: pluto then removes `UP` from its policy.

Nothing else removes `UP` (terminate.c, whack_down.c), with two exceptions. From 5.2 on, it may be
removed when the connection's local address goes; the connection isn't oriented then. Up to 4.15, it
may be removed from an IKEv1 connection when the peer sends a Delete (ikev1_main.c).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import IkeVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.report import Connection
    from ipsecwatch.tracking.records import TunnelRecord


def note_taken_down(
    record: TunnelRecord, now: Sequence[Connection], *, before_5: bool, same_pluto: bool
) -> None:
    """Record in ``record.by_hand`` which connections of a tunnel were taken down by hand.

    These had `UP` in their policy in the last report, and haven't in the present one (``now``).
    Those from which pluto itself may have removed it are left out; see _may_lose_up(). A connection
    stays recorded until it has `UP` again, since its SAs may take half a minute to end.
    ``before_5``: pluto's release is older than 5.0. ``same_pluto``: a restart of pluto since the
    last report would be known. If it wouldn't, nothing is added: a new pluto may have another
    policy.
    """
    wanted = frozenset([c.full_name for c in now if c.wanted_up])
    taken = [c for c in now if c.full_name in record.wanted - wanted]
    if taken and same_pluto:
        hands = [c.full_name for c in taken if not _may_lose_up(c, before_5=before_5)]
        record.by_hand = record.by_hand.union(hands)
    record.by_hand -= wanted
    record.wanted = wanted


def _may_lose_up(c: Connection, *, before_5: bool) -> bool:
    """Return whether pluto itself may have removed `UP` from a connection's policy.

    It may if the connection isn't oriented, or if it isn't known to be IKEv2's only and pluto's
    release is older than 5.0 (``before_5``).
    """
    return c.oriented is False or (before_5 and c.ike_version is not IkeVersion.V2)
