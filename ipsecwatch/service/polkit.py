# SPDX-License-Identifier: MIT
"""Ask polkit whether a caller on the bus may do something that not every user may.

polkit is asked about the caller's bus connection, whose user the bus knows for certain: a process
id may have been reused by the time polkit checks it (CVE-2013-4288 and similar). Every error counts
as a no, except if too many checks wait already: then the caller can try again.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from enum import StrEnum
from itertools import count
from typing import TYPE_CHECKING, Final

from ipsecwatch.dbus.connection import BUS
from ipsecwatch.dbus.errors import BusError, ErrorReplyError, NoReplyError
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.dbus.names import STANDARD_ERROR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ipsecwatch.dbus.connection import BusConnection

logger = logging.getLogger(__name__)

READ_DETAILS: Final = "org.ipsecwatch1.read-details"
"""polkit's name for reading the details of tunnels; org.ipsecwatch1.policy says who may do it."""

LIMIT: Final = 10.0
"""Seconds that polkit may take to answer if no person is asked. It may have to be started first."""
INTERACTIVE_LIMIT: Final = 120.0
"""Seconds that polkit may take to answer if a person may be asked for a password."""

MAX_CHECKS: Final = 64
"""Checks that may wait for polkit's answer at a time. The bus limits the answers that we wait for
(dbus-daemon: 128), and past that it refuses all our calls."""
MAX_CHECKS_USER: Final = 8
"""Checks of one user's callers that may wait for polkit's answer at a time, so that one user can't
block the checks of others."""

_NAME: Final = "org.freedesktop.PolicyKit1"
_PATH: Final = "/org/freedesktop/PolicyKit1/Authority"
_AUTHORITY: Final = "org.freedesktop.PolicyKit1.Authority"
_BUS_LIMIT: Final = STANDARD_ERROR + "LimitsExceeded"
_MAY_INTERACT: Final = 1
_numbers: Final = count(1)


class TooManyChecksError(Exception):
    """polkit wasn't asked, because too many checks wait for its answer already.

    Either PendingChecks allows no more of one user or in all, or the bus allows us no more calls
    that wait for answers (check()).
    """


class PendingChecks:
    """Counts the checks that wait for polkit's answer, for each user and in all."""

    def __init__(self) -> None:
        self._by_user: Counter[int] = Counter()

    @contextmanager
    def one_more(self, uid: int) -> Iterator[None]:
        """Count a check of user ``uid`` while the context lasts.

        Raise TooManyChecksError if MAX_CHECKS wait already, or MAX_CHECKS_USER of this user.
        """
        if self._by_user[uid] >= MAX_CHECKS_USER or self._by_user.total() >= MAX_CHECKS:
            raise TooManyChecksError
        self._by_user[uid] += 1
        try:
            yield
        finally:
            self._by_user[uid] -= 1
            if not self._by_user[uid]:
                del self._by_user[uid]


class Verdict(StrEnum):
    """polkit's answer to a check: whether the caller may do what was asked about."""

    YES = "yes"
    NO = "no"
    ASK = "ask"
    """Only with a password, and the caller didn't allow that a person is asked for one."""


async def check(
    connection: BusConnection, sender: str, action: str, *, interactive: bool
) -> Verdict:
    """Ask polkit whether the connection ``sender`` may do ``action``, and return polkit's answer.

    ``interactive``: polkit may ask a person for a password. Without an answer after LIMIT seconds
    (``interactive``: INTERACTIVE_LIMIT), the result is NO, and polkit's check is cancelled; it is
    cancelled, too, if this call is. Raise TooManyChecksError if the bus refuses the call because we
    wait for too many answers. Any other error counts as NO.
    """
    within = INTERACTIVE_LIMIT if interactive else LIMIT
    cancellation = f"ipsecwatch-{next(_numbers)}"
    flags = _MAY_INTERACT if interactive else 0
    subject = ["system-bus-name", {"name": Variant("s", sender)}]
    question = [subject, action, {}, flags, cancellation]
    try:
        reply = await connection.call(
            _NAME,
            _PATH,
            _AUTHORITY,
            "CheckAuthorization",
            "(sa{sv})sa{ss}us",
            question,
            within=within,
            starts=True,
        )
    except BusError as e:
        logger.debug("polkit was asked about %s in vain: %s", action, e)
        if isinstance(e, NoReplyError):
            _cancel(connection, cancellation)
        if isinstance(e, ErrorReplyError) and (e.sender, e.name) == (BUS, _BUS_LIMIT):
            raise TooManyChecksError from None
        return Verdict.NO
    except BaseException:
        _cancel(connection, cancellation)
        raise
    return _verdict(reply.signature, reply.body, interactive=interactive)


def _verdict(signature: str, body: list[Any], *, interactive: bool) -> Verdict:
    """Return the verdict that polkit's reply means. A reply of an unknown form means NO.

    If polkit says that a password is needed, it is ASK; but NO if ``interactive``, since then a
    person has been asked for it already.
    """
    if signature != "(bba{ss})":
        return Verdict.NO
    authorized, challenge, _ = body[0]
    if authorized:
        return Verdict.YES
    return Verdict.ASK if challenge and not interactive else Verdict.NO


def _cancel(connection: BusConnection, cancellation: str) -> None:
    """Ask polkit to cancel a check, and to close the dialog that it may have opened."""
    connection.tell(_NAME, _PATH, _AUTHORITY, "CancelCheckAuthorization", "s", [cancellation])
