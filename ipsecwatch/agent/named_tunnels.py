# SPDX-License-Identifier: MIT
"""Replace the UUIDs by which pluto knows NetworkManager's tunnels by the names that users know.

In the view of such a tunnel, ``name`` becomes the name in NetworkManager, ``uuid`` becomes the
UUID, and ``managed`` becomes the plugin, even if pluto doesn't say that NetworkManager manages the
tunnel (it doesn't for NetworkManager-l2tp). No event is delayed for that: if a name is found only
later, an Update of the tunnel follows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipsecwatch.client.connection_names import ConnectionNames, Known, is_uuid
from ipsecwatch.client.events import Change, Update
from ipsecwatch.client.views import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.client.events import Event
    from ipsecwatch.client.views import View


class NamedTunnels:
    """Puts the names that NetworkManager knows into events of the service.

    ``tell`` is called with an Update for each tunnel whose name is found after the event about it.
    """

    def __init__(self, tell: Callable[[Event], object]) -> None:
        self._tell = tell
        self._views: dict[str, View] = {}
        """The views of the tunnels whose names are UUIDs, as the service sent them, by path."""
        self._names = ConnectionNames(self._found)

    def named(self, event: Event) -> Event:
        """Return an event with those names in its views that are known by now. Ask for all others.

        A tunnel whose name isn't known yet keeps its UUID. Events without a view are returned
        unchanged.
        """
        match event:
            case Snapshot():
                self._views = {p: v for p, v in event.tunnels.items() if is_uuid(v.name)}
                self._keep()
                return replace(event, tunnels={p: self._named(v) for p, v in event.tunnels.items()})
            case Change():
                self._note(event.path, event.view)
                return replace(event, view=self._named(event.view))
            case Update():
                self._note(event.path, event.view)
                return replace(event, view=None if event.view is None else self._named(event.view))
        return event

    async def aclose(self) -> None:
        """Cancel the questions that NetworkManager hasn't answered, and wait for their end."""
        await self._names.aclose()

    def _note(self, path: str, view: View | None) -> None:
        """Keep a tunnel's view if its name is a UUID. Otherwise, and for None, forget the tunnel.

        Ask NetworkManager for the names that are needed then.
        """
        if view is not None and is_uuid(view.name):
            self._views[path] = view
        elif self._views.pop(path, None) is None:
            return
        self._keep()

    def _keep(self) -> None:
        """Ask NetworkManager for the names of the tunnels in ``_views``; forget all other names."""
        self._names.keep(view.name for view in self._views.values())

    def _named(self, view: View) -> View:
        """Return a view with NetworkManager's name of the tunnel, if that is known by now."""
        known = self._names.known.get(view.name)
        if known is None:
            return view
        managed = known.plugin or view.managed or "NetworkManager"
        return replace(view, name=known.name, managed=managed, uuid=known.uuid)

    def _found(self, found: list[Known]) -> None:
        """Call ``tell`` with an Update for each tunnel whose name NetworkManager has just told."""
        names = {known.uuid for known in found}
        for path, view in list(self._views.items()):
            if view.name in names:
                self._tell(Update(path, self._named(view)))
