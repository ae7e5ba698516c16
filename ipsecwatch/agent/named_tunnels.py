# SPDX-License-Identifier: MIT
"""Tunnels by the names that people know them by: those of NetworkManager, where it has one.

A view of a connection that NetworkManager knows gets its name there, and the plugin that looks
after it, whether or not the connection is marked: NetworkManager-l2tp doesn't mark its own. Nothing
waits for that; a tunnel that turns out to have a name is told of once more.
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
    """Puts names into events. ``tell`` gets an event for each tunnel whose name comes later."""

    def __init__(self, tell: Callable[[Event], object]) -> None:
        self._tell = tell
        self._views: dict[str, View] = {}
        """Those that have a UUID for a name, by path."""
        self._names = ConnectionNames(self._found)

    def named(self, event: Event) -> Event:
        """Return an event with the names that are known."""
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
        """Ask for no more names."""
        await self._names.aclose()

    def _note(self, path: str, view: View | None) -> None:
        if view is not None and is_uuid(view.name):
            self._views[path] = view
        elif self._views.pop(path, None) is None:
            return
        self._keep()

    def _keep(self) -> None:
        self._names.keep(view.name for view in self._views.values())

    def _named(self, view: View) -> View:
        known = self._names.known.get(view.name)
        if known is None:
            return view
        managed = known.plugin or view.managed or "NetworkManager"
        return replace(view, name=known.name, managed=managed, uuid=known.uuid)

    def _found(self, found: list[Known]) -> None:
        names = {known.uuid for known in found}
        for path, view in list(self._views.items()):
            if view.name in names:
                self._tell(Update(path, self._named(view)))
