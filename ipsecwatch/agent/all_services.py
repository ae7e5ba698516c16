# SPDX-License-Identifier: MIT
"""Combine the events of the machine's own service and of its instances into those of one service.

So the rest of the agent follows a single service. The name of an instance's tunnel gets the
instance's name before it: ``lab: office``. pluto's state and other facts about a service as a whole
come from one of the services: from the machine's own, or, while that can't be followed, from the
first instance (by name) that can. The tunnels of a service that can no longer be followed are
UNKNOWN.
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
"""What follow_all() calls the machine's own service, ``ipsecwatch.service``, which isn't an
instance."""


async def follow_as_one() -> AsyncGenerator[Event]:
    """Yield the events of the service and all its instances, merged into those of one service.

    AllServices.combine() says how: a Snapshot has the tunnels of all of them, and a Lost comes only
    if none of them can be followed.
    """
    services = AllServices()
    async with aclosing(client.follow_all()) as events:
        async for told in events:
            for event in services.combine(told):
                yield event


@dataclass(slots=True)
class _Service:
    """The last snapshot of one service, and its tunnels as they are by now.

    ``tunnels`` has their views by path; in both, name and path already have the instance in them.
    """

    snapshot: Snapshot
    tunnels: dict[str, View]
    lost: bool = False
    """Whether the service can't be followed any more. Its tunnels are UNKNOWN then."""


class AllServices:
    """Combines the events of several services into those of one. It does no I/O."""

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}

    def combine(self, told: InstanceEvent) -> Iterator[Event]:
        """Record one event of one service. Yield the combined event that it causes, if any.

        An Answer causes none. A Pluto or Log causes one only if it is from the ``_speaker``. Before
        a service's first Snapshot, only a Lost may cause an event.
        """
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
        """Keep a service's snapshot, in which pluto's state or the log's has just been changed.

        Yield the event of that change if the service is the ``_speaker``.
        """
        service.snapshot = now
        if service is self._speaker:
            yield event

    def _updated(self, service: _Service, event: Update, instance: str) -> Update:
        """Keep the tunnel's new view, or forget the tunnel if it is no longer listed.

        Return the Update with the instance's name in the path and in the view.
        """
        path = _path(event.path, instance)
        if event.view is None:
            service.tunnels.pop(path, None)
            return Update(path, None)
        after = service.tunnels[path] = _marked(event.view, instance)
        return Update(path, after)

    @property
    def _speaker(self) -> _Service | None:
        """The service whose pluto is shown: the first that can be followed. None: there is none.

        The machine's own service is the first, and the instances follow in order of their names.
        """
        services = (self._services[i] for i in sorted(self._services))
        return next((s for s in services if not s.lost), None)

    def _all(self) -> Snapshot:
        """Return one Snapshot with the tunnels of all services. All else is from the ``_speaker``.

        ``run_id`` is made of the ids of all services. Raise ValueError if no service can be
        followed.
        """
        speaker = self._speaker
        if speaker is None:
            raise ValueError("no service is followed")
        services = [self._services[i] for i in sorted(self._services)]
        return replace(
            speaker.snapshot,
            run_id="+".join(s.snapshot.run_id for s in services),
            tunnels={path: view for s in services for path, view in s.tunnels.items()},
        )

    def _lost(self, service: _Service | None, event: Lost, *, known: bool) -> Iterator[Event]:
        """Set the tunnels of a lost service to UNKNOWN, and yield a Snapshot of all services.

        If no other service can be followed, yield the Lost itself instead. If the service was lost
        before, nothing else has changed, so yield at most that Lost. ``service`` is None if it
        never had a Snapshot: then a Lost is yielded only for the machine's own service (``known``),
        not for an instance.
        """
        if service is not None and not service.lost:
            service.lost = True
            service.tunnels = {path: _unknown(view) for path, view in service.tunnels.items()}
            yield event if self._speaker is None else self._all()
        elif self._speaker is None and (known or service is not None):
            yield event


def _unknown(view: View) -> View:
    """Return a tunnel's view with the state UNKNOWN and the reason OTHER.

    The state that it had becomes ``last_state``. A view in UNKNOWN is returned unchanged.
    """
    if view.state is TunnelState.UNKNOWN:
        return view
    return replace(view, state=TunnelState.UNKNOWN, last_state=view.state, reason=Reason.OTHER)


def _marked(view: View, instance: str) -> View:
    """Return a tunnel's view with the instance in its ``name`` and ``path``; unchanged for ""."""
    if not instance:
        return view
    return replace(view, path=_path(view.path, instance), name=f"{instance}: {view.name}")


def _path(path: str, instance: str) -> str:
    return f"{path}@{instance}" if instance else path
