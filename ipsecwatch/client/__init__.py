# SPDX-License-Identifier: MIT
"""The public Python API for other programs: ask the service once, or follow it.

Nothing here starts the service: a watcher that was stopped stays stopped.

    async with contextlib.aclosing(client.follow()) as events:
        async for event in events:
            ...

All but follow_all() and instances() take the name of an ``instance`` (``ipsecwatch@NAME.service``),
where several plutos run on a machine; "" is the service itself.

What is listed in ``__all__`` stays as it is; the modules of this package may change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ipsecwatch.client.requests import (
    ClientError,
    NoSuchTunnelError,
    NotAllowedError,
    PlutoUnavailableError,
    RefusedForNowError,
    ServiceUnavailableError,
    details,
    instances,
    refresh,
    run_id,
    snapshot,
)
from ipsecwatch.client.views import Snapshot, View

if TYPE_CHECKING:
    from ipsecwatch.client.events import Answer, Change, Event, Log, Lost, Pluto, Told, Update
    from ipsecwatch.client.following_all import InstanceEvent, follow_all
    from ipsecwatch.client.subscription import follow

__all__ = [
    "Answer",
    "Change",
    "ClientError",
    "Event",
    "InstanceEvent",
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
    "follow_all",
    "instances",
    "refresh",
    "run_id",
    "snapshot",
]


_LATER: Final = {
    **dict.fromkeys(
        ("Answer", "Change", "Event", "Log", "Lost", "Pluto", "Told", "Update"), "events"
    ),
    "InstanceEvent": "following_all",
    "follow": "subscription",
    "follow_all": "following_all",
}
"""The names that are imported at their first use, each with its module in this package. A program
that asks only once doesn't need them, and starts faster without these modules."""


def __getattr__(name: str) -> object:
    """Import and return one of the names in _LATER. Raise AttributeError for any other name."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
