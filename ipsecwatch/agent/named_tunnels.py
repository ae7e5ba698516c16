# SPDX-License-Identifier: MIT
"""Replaces the UUIDs of NetworkManager's tunnels by the names that its users know.

The view of a connection that NetworkManager knows gets the connection's name there, and the plugin
in ``managed``, even if pluto doesn't mark the connection: NetworkManager-l2tp doesn't mark its own.
No event waits for a name; when one is found later, an Update of the tunnel follows.
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
    """Puts NetworkManager's names into events.

    ``tell`` is called with an Update for each tunnel whose name is found after its event.
    """

    def __init__(self, tell: Callable[[Event], object]) -> None:
        self._tell = tell
        self._views: dict[str, View] = {}
        """The tunnels that have a UUID for a name, by path."""
        self._names = ConnectionNames(self._found)

    def named(self, event: Event) -> Event:
        """Return an event, with the names that are known by now in its views; ask for the others.

        A tunnel keeps its UUID as its name until NetworkManager's name is known. Events without a
        view are returned unchanged.
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
        """Cancel the requests to NetworkManager that aren't answered yet."""
        await self._names.aclose()

    def _note(self, path: str, view: View | None) -> None:
        """Keep the view of a tunnel that has a UUID for a name, or forget the tunnel (None).

        Ask for the names that are needed now.
        """
        if view is not None and is_uuid(view.name):
            self._views[path] = view
        elif self._views.pop(path, None) is None:
            return
        self._keep()

    def _keep(self) -> None:
        """Ask NetworkManager for the names of all tunnels in ``_views``; forget those of others."""
        self._names.keep(view.name for view in self._views.values())

    def _named(self, view: View) -> View:
        """Return a view with its connection's name in NetworkManager, if that is known."""
        known = self._names.known.get(view.name)
        if known is None:
            return view
        managed = known.plugin or view.managed or "NetworkManager"
        return replace(view, name=known.name, managed=managed, uuid=known.uuid)

    def _found(self, found: list[Known]) -> None:
        """Call ``tell`` with an Update for each tunnel whose name was found just now."""
        names = {known.uuid for known in found}
        for path, view in list(self._views.items()):
            if view.name in names:
                self._tell(Update(path, self._named(view)))
