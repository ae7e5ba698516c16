# SPDX-License-Identifier: MIT
"""What each user was sent and hasn't shown to have read. Pure: the clock is an argument.

A bus stops reading from a sender whose messages, to whomever, lie unread in it for too many bytes
(dbus-daemon, ``max_incoming_bytes``: 127 MiB). So one local user that asks and never reads could
silence the service for all. The bus tells nobody what is unread. But messages to one connection
arrive in order: whoever answers a call of ours (Peer.Ping) has read all that was sent to it before.

A user may owe LARGEST_DEBT snapshots of the present size. Past that it is refused, which is counted
as well, and after MAX_REFUSALS refusals it is sent nothing any more until it shows that it reads.
Some programs answer no calls: a snapshot's worth is forgiven each FORGIVE_EVERY seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LARGEST_DEBT: Final = 8
"""Snapshots that a user may owe."""
FLOOR: Final = 32 << 10
"""Bytes that a snapshot counts for at least: introspection data takes some kilobytes, too."""
MAX_TOTAL: Final = 64 << 20
"""Bytes that all users may owe together: half of what a bus bears. Past that, one snapshot each."""
MAX_REFUSALS: Final = 32
"""Refusals that a user is sent without having read."""
SILENT: Final = 0.5
"""Seconds after a refusal too many in which a user's calls aren't even counted."""
FORGIVE_EVERY: Final = 60.0
"""Seconds in which a snapshot's worth is forgiven."""


@dataclass(slots=True)
class _Debt:
    """What one user owes."""

    forgiven_at: float
    by_connection: dict[str, int] = field(default_factory=dict)
    """Bytes, by unique name."""
    refusals: int = 0
    silent_until: float = 0.0
    """Until then it is certain enough that the user is sent nothing."""
    asked: tuple[str, int] | None = None
    """The connection that was asked to show that it reads, and what it owed then."""

    @property
    def total(self) -> int:
        return sum(self.by_connection.values())


class Unread:
    """Keeps account by user id. ``snapshot`` is the present size of a snapshot, in bytes."""

    def __init__(self) -> None:
        self.snapshot = 0
        self._debts: dict[int, _Debt] = {}

    def sent(self, uid: int, connection: str, size: int, now: float) -> None:
        """Take note of what was sent to a connection of a user's."""
        debt = self._debts.setdefault(uid, _Debt(now))
        debt.by_connection[connection] = debt.by_connection.get(connection, 0) + size

    def may_answer(self, uid: int, now: float) -> bool:
        """Return whether a user may be sent answers."""
        debt = self._debts.get(uid)
        if debt is None:
            return True
        self._forgive(debt, now)
        most = LARGEST_DEBT * self._portion
        if sum(d.total for d in self._debts.values()) > MAX_TOTAL:
            most = self._portion
        return debt.total < most

    def may_refuse(self, uid: int, now: float) -> bool:
        """Return whether a user may be sent a refusal, and count it."""
        debt = self._debts.setdefault(uid, _Debt(now))
        debt.refusals += 1
        if debt.refusals <= MAX_REFUSALS:
            return True
        debt.silent_until = now + SILENT
        return False

    def silent(self, uid: int, now: float) -> bool:
        """Return whether a user had all his refusals just now, and has shown nothing since."""
        debt = self._debts.get(uid)
        return debt is not None and now < debt.silent_until

    def to_ask(self, uid: int) -> str | None:
        """Return which connection is to show that it reads; None: none, or one is asked already.

        From then on that connection counts as asked, until answered() or not_asked().
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
        """Take note that the connection that was asked has read, or is gone."""
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
        """Take note that the question never arrived: the connection may be asked again."""
        if (debt := self._debts.get(uid)) is not None:
            debt.asked = None

    def clear(self) -> None:
        """Forget all: nothing that was sent is left."""
        self._debts.clear()

    def worst(self) -> int | None:
        """Return the user that owes most; None: nobody owes anything."""
        return max(self._debts, key=lambda uid: self._debts[uid].total, default=None)

    @property
    def _portion(self) -> int:
        return max(FLOOR, self.snapshot)

    def _forgive(self, debt: _Debt, now: float) -> None:
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
