# SPDX-License-Identifier: MIT
"""The public Python API for other programs: ask the service once, or follow it.

Nothing here starts the service: a watcher that was stopped stays stopped.

    async with contextlib.aclosing(client.follow()) as events:
        async for event in events:
            ...

What is listed in ``__all__`` stays as it is; the modules of this package may change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.client.events import Change, Event, Log, Lost, Pluto, Snapshot, Told, Update, View
from ipsecwatch.client.requests import (
    ClientError,
    NoSuchTunnelError,
    NotAllowedError,
    PlutoUnavailableError,
    RefusedForNowError,
    ServiceUnavailableError,
    details,
    refresh,
    run_id,
    snapshot,
)

if TYPE_CHECKING:
    from ipsecwatch.client.subscription import follow

__all__ = [
    "Change",
    "ClientError",
    "Event",
    "Log",
    "Lost",
    "NoSuchTunnelError",
    "NotAllowedError",
    "Pluto",
    "PlutoUnavailableError",
    "RefusedForNowError",
    "ServiceUnavailableError",
    "Snapshot",
    "Told",
    "Update",
    "View",
    "details",
    "follow",
    "refresh",
    "run_id",
    "snapshot",
]


def __getattr__(name: str) -> object:
    """Import ``follow`` where it is used: who asks once starts faster without it."""
    if name != "follow":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ipsecwatch.client import subscription

    return subscription.follow
