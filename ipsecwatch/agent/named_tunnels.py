# SPDX-License-Identifier: MIT
"""Gives tunnels the names that NetworkManager's users know them by.

A view of a connection that NetworkManager knows gets its name there, and its plugin as what manages
it, even if pluto doesn't mark the connection: NetworkManager-l2tp doesn't mark its own. No event
waits for that; when a name is found later, the tunnel has another event.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipsecwatch.client.connection_names import ConnectionNames, Known, is_uuid
from ipsecwatch.client.events import Change, Snapshot, Update

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.client.events import Event, View


class NamedTunnels:
    """Puts names into events. ``tell`` gets an Update for each name that is found later."""

    def __init__(self, tell: Callable[[Event], object]) -> None:
        self._tell = tell
        self._views: dict[str, View] = {}
        """The tunnels that have a UUID for a name, by path."""
        self._names = ConnectionNames(self._found)

    def named(self, event: Event) -> Event:
        """Return an event with the names that are known by now."""
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
        """Cancel all questions that are still open."""
        await self._names.aclose()

    def _note(self, path: str, view: View | None) -> None:
        """Remember a view that has a UUID for a name, or forget it; ask for the names needed."""
        if view is not None and is_uuid(view.name):
            self._views[path] = view
        elif self._views.pop(path, None) is None:
            return
        self._keep()

    def _keep(self) -> None:
        """Ask for the names of all tunnels that have a UUID for a name."""
        self._names.keep(view.name for view in self._views.values())

    def _named(self, view: View) -> View:
        """Return a view with its name in NetworkManager, if that is known."""
        known = self._names.known.get(view.name)
        if known is None:
            return view
        managed = known.plugin or view.managed or "NetworkManager"
        return replace(view, name=known.name, managed=managed, uuid=known.uuid)

    def _found(self, found: list[Known]) -> None:
        """Report each tunnel whose name was found just now."""
        names = {known.uuid for known in found}
        for path, view in list(self._views.items()):
            if view.name in names:
                self._tell(Update(path, self._named(view)))
