# SPDX-License-Identifier: MIT
"""Count how many bytes each user was sent and may not have read. Pure: no clock.

A bus stops reading from a sender when too many bytes of its messages, to all receivers together,
are unread (dbus-daemon, ``max_incoming_bytes``: 127 MiB). So one local user that calls and never
reads could silence the service for all. The bus doesn't report what is unread. But messages to one
connection arrive in order: if it answers a call of ours (Peer.Ping), it has read all that was sent
to it before.

The bytes that a user may not have read are its debt. It may be LARGEST_DEBT snapshots of the
present size. Past that the user's calls are refused, and after MAX_REFUSALS refusals it is sent
nothing until one of its connections shows that it reads. Some programs never answer calls. So the
debt becomes smaller by a snapshot every FORGIVE_EVERY seconds, and the refusals are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LARGEST_DEBT: Final = 8
"""Snapshots that a user may have unread."""
FLOOR: Final = 32 << 10
"""Bytes that a snapshot counts for at least: introspection data takes some kilobytes, too."""
MAX_TOTAL: Final = 64 << 20
"""Bytes that all users together may have unread, half of what a bus allows; past it, each user may
have one snapshot."""
MAX_REFUSALS: Final = 32
"""Refusals that a user is sent, counted since it last showed that it reads."""
SILENT: Final = 0.5
"""Seconds for which a user's calls are skipped after a refusal that wasn't sent."""
FORGIVE_EVERY: Final = 60.0
"""Seconds after which the size of one snapshot is forgiven."""


@dataclass(slots=True)
class _Debt:
    """The bytes that one user was sent and may not have read."""

    forgiven_at: float
    by_connection: dict[str, int] = field(default_factory=dict)
    """Bytes, by unique name."""
    refusals: int = 0
    silent_until: float = 0.0
    """Until then (loop's clock) the user's calls are skipped."""
    asked: tuple[str, int] | None = None
    """The connection that is being pinged, and the bytes that it had unread then; None: none is."""

    @property
    def total(self) -> int:
        return sum(self.by_connection.values())


class Unread:
    """Counts unread bytes by user id. ``snapshot`` is the present size of a snapshot, in bytes."""

    def __init__(self) -> None:
        self.snapshot = 0
        self._debts: dict[int, _Debt] = {}

    def sent(self, uid: int, connection: str, size: int, now: float) -> None:
        """Add the bytes that were sent to a connection of a user."""
        debt = self._debts.setdefault(uid, _Debt(now))
        debt.by_connection[connection] = debt.by_connection.get(connection, 0) + size

    def may_answer(self, uid: int, now: float) -> bool:
        """Return whether a user has so little unread that it may be sent another answer.

        It may with less than LARGEST_DEBT snapshots unread; with less than one if all users
        together have more than MAX_TOTAL bytes unread.
        """
        debt = self._debts.get(uid)
        if debt is None:
            return True
        self._forgive(debt, now)
        most = LARGEST_DEBT * self._portion
        if sum(d.total for d in self._debts.values()) > MAX_TOTAL:
            most = self._portion
        return debt.total < most

    def may_refuse(self, uid: int, now: float) -> bool:
        """Count a refusal. Return whether it may be sent: the first MAX_REFUSALS may.

        They are counted since the user last showed that it reads. After one that may not be sent,
        the user is silent() for SILENT seconds.
        """
        debt = self._debts.setdefault(uid, _Debt(now))
        debt.refusals += 1
        if debt.refusals <= MAX_REFUSALS:
            return True
        debt.silent_until = now + SILENT
        return False

    def silent(self, uid: int, now: float) -> bool:
        """Return whether a user's calls are skipped: for SILENT seconds after an unsent refusal."""
        debt = self._debts.get(uid)
        return debt is not None and now < debt.silent_until

    def to_ask(self, uid: int) -> str | None:
        """Return the connection of a user that should be pinged: the one with most unread bytes.

        It counts as pinged until answered() or not_asked(). None: one is pinged already, the user
        has nothing unread, or it has less than a snapshot unread and had less than half of
        MAX_REFUSALS refusals.
        """
        debt = self._debts.get(uid)
        if debt is None or debt.asked is not None or not debt.by_connection:
            return None
        if debt.total < self._portion and debt.refusals < MAX_REFUSALS // 2:
            return None
        connection = max(debt.by_connection, key=lambda c: debt.by_connection[c])
        debt.asked = connection, debt.by_connection[connection]
        return connection

    def answered(self, uid: int, *, gone: bool = False) -> None:
        """Record that the pinged connection has read all sent before the ping, or is ``gone``.

        What was sent before the ping no longer counts as unread; for one that is ``gone``, nothing
        does. The user's refusals no longer count in either case.
        """
        debt = self._debts.get(uid)
        if debt is None or debt.asked is None:
            return
        connection, owed = debt.asked
        debt.asked, debt.refusals, debt.silent_until = None, 0, 0.0
        left = 0 if gone else max(0, debt.by_connection.get(connection, 0) - owed)
        if left:
            debt.by_connection[connection] = left
        else:
            debt.by_connection.pop(connection, None)
        if not debt.by_connection:
            del self._debts[uid]

    def not_asked(self, uid: int) -> None:
        """Record that the ping wasn't delivered, so that the user may be pinged again."""
        if (debt := self._debts.get(uid)) is not None:
            debt.asked = None

    def clear(self) -> None:
        """Forget all counts, because the bus that held the messages is gone."""
        self._debts.clear()

    def worst(self) -> int | None:
        """Return the id of the user with most unread bytes; None: nothing counts of any user."""
        owing = {uid: debt.total for uid, debt in self._debts.items() if debt.total}
        return max(owing, key=lambda uid: owing[uid], default=None)

    @property
    def _portion(self) -> int:
        """The bytes that count as one snapshot."""
        return max(FLOOR, self.snapshot)

    def _forgive(self, debt: _Debt, now: float) -> None:
        """Reduce a debt by one snapshot for each FORGIVE_EVERY seconds, the largest parts first."""
        while now - debt.forgiven_at >= FORGIVE_EVERY and debt.by_connection:
            debt.forgiven_at += FORGIVE_EVERY
            debt.refusals = 0
            left = self._portion
            for connection in sorted(debt.by_connection, key=lambda c: -debt.by_connection[c]):
                taken = min(left, debt.by_connection[connection])
                debt.by_connection[connection] -= taken
                left -= taken
                if not debt.by_connection[connection]:
                    del debt.by_connection[connection]
        if not debt.by_connection:
            debt.forgiven_at = now
