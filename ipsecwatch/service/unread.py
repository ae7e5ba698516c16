# SPDX-License-Identifier: MIT
"""Count how many bytes each user was sent, and may not have read yet. Pure: no clock.

A bus stops reading from a sender when too many bytes of its messages, to all receivers together,
are unread (dbus-daemon, ``max_incoming_bytes``: 127 MiB). So one local user that calls and never
reads could silence the service for all. The bus doesn't report what is unread. But messages to one
connection arrive in order: if it answers a call of ours (Peer.Ping), it has read all that was sent
to it before.

The bytes that a user may not have read are its debt. It may be as large as LARGEST_DEBT snapshots
(answers to GetSnapshot) of the present size. Past that the user's calls are refused, and after
MAX_REFUSALS refusals not even a refusal is sent, until one of the user's connections shows that it
reads. Some programs never answer calls. So every FORGIVE_EVERY seconds the debt becomes smaller by
a snapshot, and the refusals are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LARGEST_DEBT: Final = 8
"""A user may have less than so many snapshots unread, to be answered."""
FLOOR: Final = 32 << 10
"""Bytes that a snapshot counts for, even if it is smaller: introspection data takes some kilobytes,
too."""
MAX_TOTAL: Final = 64 << 20
"""Bytes: half of what a bus allows. If all users together have more unread, each user may have only
one snapshot unread, instead of LARGEST_DEBT."""
MAX_REFUSALS: Final = 32
"""Refusals that a user is sent at most, counted since it last showed that it reads, or since
refusals were last forgotten (FORGIVE_EVERY)."""
SILENT: Final = 0.5
"""Seconds for which a user's calls are skipped after a refusal that wasn't sent because of
MAX_REFUSALS."""
FORGIVE_EVERY: Final = 60.0
"""Every so many seconds, the size of one snapshot no longer counts as unread, and a user's refusals
are forgotten."""


@dataclass(slots=True)
class _Debt:
    """The bytes that one user was sent and may not have read."""

    forgiven_at: float
    by_connection: dict[str, int] = field(default_factory=dict)
    """The number of bytes that each connection of the user may not have read, by unique name."""
    refusals: int = 0
    silent_until: float = 0.0
    """The time (loop's clock) until which the user's calls are skipped; 0: they aren't."""
    asked: tuple[str, int] | None = None
    """The connection that was pinged last, and how many bytes it had unread then. None: it has
    answered or is gone, or there was no ping."""

    @property
    def total(self) -> int:
        return sum(self.by_connection.values())


class Unread:
    """Counts the bytes that each user may not have read, by user id.

    ``snapshot`` is the size in bytes of an answer to GetSnapshot now, which the owner of this
    object sets.
    """

    def __init__(self) -> None:
        self.snapshot = 0
        self._debts: dict[int, _Debt] = {}

    def sent(self, uid: int, connection: str, size: int, now: float) -> None:
        """Count ``size`` bytes that were sent to a connection of the user ``uid`` as unread."""
        debt = self._debts.setdefault(uid, _Debt(now))
        debt.by_connection[connection] = debt.by_connection.get(connection, 0) + size

    def may_answer(self, uid: int, now: float) -> bool:
        """Return whether a user has so little unread that another of its calls may be answered.

        That is so if it has less than LARGEST_DEBT snapshots unread; or less than one snapshot, if
        all users together have more than MAX_TOTAL bytes unread. ``now``: the loop's clock.
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
        """Count a refusal of a call of a user. Return whether the refusal may be sent.

        Only MAX_REFUSALS refusals may be sent, until the user shows that it reads or until they are
        forgotten (FORGIVE_EVERY). If this one may not be sent, silent() is true of the user for
        SILENT seconds.
        """
        debt = self._debts.setdefault(uid, _Debt(now))
        debt.refusals += 1
        if debt.refusals <= MAX_REFUSALS:
            return True
        debt.silent_until = now + SILENT
        return False

    def silent(self, uid: int, now: float) -> bool:
        """Return whether a user's calls should be skipped now, without an answer or an error.

        That is so for SILENT seconds after may_refuse() has returned False, unless the user shows
        before that it reads.
        """
        debt = self._debts.get(uid)
        return debt is not None and now < debt.silent_until

    def to_ask(self, uid: int) -> str | None:
        """Return which connection of a user should be pinged: the one with most unread bytes.

        The connection counts as pinged from now on, until answered() or not_asked(). None: no ping
        is needed. So it is if one of the user's connections counts as pinged already, if the user
        has nothing unread, or if it has less than a snapshot unread and had less than half of
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
        """Record that the pinged connection of a user has answered, or has left the bus (``gone``).

        If it has answered, all that it was sent before the ping counts as read; if it is gone, all
        that it was sent. The user's refusals are forgotten in both cases. Do nothing if no
        connection of the user counts as pinged.
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
        """Record that a ping to a user wasn't delivered, so that to_ask() may name a connection."""
        if (debt := self._debts.get(uid)) is not None:
            debt.asked = None

    def clear(self) -> None:
        """Forget the counts of all users. Called when the bus, which held the messages, is gone."""
        self._debts.clear()

    def worst(self) -> int | None:
        """Return the id of the user with most unread bytes; None: no user has any."""
        owing = {uid: debt.total for uid, debt in self._debts.items() if debt.total}
        return max(owing, key=lambda uid: owing[uid], default=None)

    @property
    def _portion(self) -> int:
        """The number of bytes that count as one snapshot: its present size, but at least FLOOR."""
        return max(FLOOR, self.snapshot)

    def _forgive(self, debt: _Debt, now: float) -> None:
        """Reduce a user's debt by one snapshot for each FORGIVE_EVERY seconds since the last time.

        The connection with most unread bytes comes first. The user's refusals are forgotten, too.
        """
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
