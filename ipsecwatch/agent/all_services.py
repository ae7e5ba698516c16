# SPDX-License-Identifier: MIT
"""All services on the bus as if they were one: that of the machine, and instances of it.

A tunnel of an instance is shown with the instance's name in front. What is told of pluto and of
the service as a whole is that of the machine's own, as long as it is heard; else of who is. What
a service knew that isn't heard any more is unknown.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ipsecwatch import client
from ipsecwatch.client import Change, Log, Lost, Pluto, Snapshot, Update
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from ipsecwatch.client import Event, InstanceEvent, View

MACHINES: Final = ""
"""The instance that is none: ``ipsecwatch.service`` itself."""


async def follow_as_one() -> AsyncGenerator[Event]:
    """Follow the service and all instances of it, for ever, as client.follow() does with one."""
    services = AllServices()
    async with aclosing(client.follow_all()) as events:
        async for told in events:
            for event in services.hear(told):
                yield event


@dataclass(slots=True)
class _Service:
    """What a service said, with its tunnels as they are now."""

    snapshot: Snapshot
    tunnels: dict[str, View]
    lost: bool = False
    """It isn't heard any more."""


class AllServices:
    """Makes one service of several. No I/O."""

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}

    def hear(self, told: InstanceEvent) -> Iterator[Event]:
        """Return what an event of a service's is, with all of them taken for one."""
        instance, event = told.instance, told.event
        service = self._services.get(instance)
        match event:
            case Snapshot():
                views = [_marked(view, instance) for view in event.tunnels.values()]
                self._services[instance] = _Service(event, {v.path: v for v in views})
                yield self._all()
            case Lost():
                yield from self._lost(service, event, known=instance == MACHINES)
            case Change() if service is not None:
                after = _marked(event.view, instance)
                service.tunnels[after.path] = after
                yield replace(event, name=after.name, path=after.path, view=after)
            case Update() if service is not None:
                yield self._updated(service, event, instance)
            case Pluto() if service is not None:
                snapshot = replace(service.snapshot, pluto_state=event.state, unit=event.unit)
                yield from self._of_pluto(service, snapshot, event)
            case Log() if service is not None:
                snapshot = replace(service.snapshot, log=event.state)
                yield from self._of_pluto(service, snapshot, event)

    def _of_pluto(self, service: _Service, now: Snapshot, event: Event) -> Iterator[Event]:
        service.snapshot = now
        if service is self._speaker:
            yield event

    def _updated(self, service: _Service, event: Update, instance: str) -> Update:
        path = _path(event.path, instance)
        if event.view is None:
            service.tunnels.pop(path, None)
            return Update(path, None)
        after = service.tunnels[path] = _marked(event.view, instance)
        return Update(path, after)

    @property
    def _speaker(self) -> _Service | None:
        """The service that speaks for all; None: none is heard."""
        heard = (self._services[i] for i in sorted(self._services))
        return next((s for s in heard if not s.lost), None)

    def _all(self) -> Snapshot:
        """Return what is known of all. Raise ValueError where none is heard."""
        speaker = self._speaker
        if speaker is None:
            raise ValueError("no service is heard")
        services = [self._services[i] for i in sorted(self._services)]
        return replace(
            speaker.snapshot,
            run_id="+".join(s.snapshot.run_id for s in services),
            tunnels={path: view for s in services for path, view in s.tunnels.items()},
        )

    def _lost(self, service: _Service | None, event: Lost, *, known: bool) -> Iterator[Event]:
        """Say that a service isn't heard; while others are, that its tunnels are unknown."""
        if service is not None and not service.lost:
            service.lost = True
            service.tunnels = {path: _unknown(view) for path, view in service.tunnels.items()}
            yield event if self._speaker is None else self._all()
        elif self._speaker is None and (known or service is not None):
            yield event


def _unknown(view: View) -> View:
    if view.state is TunnelState.UNKNOWN:
        return view
    return replace(view, state=TunnelState.UNKNOWN, last_state=view.state, reason=Reason.OTHER)


def _marked(view: View, instance: str) -> View:
    """Return a tunnel as it is shown among those of others."""
    if not instance:
        return view
    return replace(view, path=_path(view.path, instance), name=f"{instance}: {view.name}")


def _path(path: str, instance: str) -> str:
    return f"{path}@{instance}" if instance else path
