# SPDX-License-Identifier: MIT
"""Whether an administrator took a connection down: pluto then removes `UP` from its policy.

Nothing else removes it (terminate.c, whack_down.c), with two exceptions. From 5.2 on a
connection whose local address has gone may lose it, and is no longer oriented. Up to 4.15 an
IKEv1 connection may lose it when the peer sends a Delete (ikev1_main.c).
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
    """Record which connections of a tunnel were taken down by hand since the last report.

    They are those that were wanted up in the last report, and are not in the present one (``now``).
    That is remembered until they are wanted up again: their SAs may take half a minute to end.
    ``before_5``: pluto is of a release before 5.0. ``same_pluto``: it is known that pluto wasn't
    restarted since. If it isn't, none is recorded: a new pluto may not want up what the old one
    did.
    """
    wanted = frozenset([c.full_name for c in now if c.wanted_up])
    taken = [c for c in now if c.full_name in record.wanted - wanted]
    if taken and same_pluto:
        hands = [c.full_name for c in taken if not _may_lose_up(c, before_5=before_5)]
        record.by_hand = record.by_hand.union(hands)
    record.by_hand -= wanted
    record.wanted = wanted


def _may_lose_up(c: Connection, *, before_5: bool) -> bool:
    """Return whether a connection may have lost `UP` by one of the two exceptions above."""
    return c.oriented is False or (before_5 and c.ike_version is not IkeVersion.V2)
