# SPDX-License-Identifier: MIT
"""Derives all transitions from the service's events, also those whose signals were lost.

A Snapshot after the first one comes if signals were lost, or if the service was restarted. It is
compared with the tunnels that were known before: each difference is a transition that wasn't
signalled. If a tunnel changed several times in between, only one transition is found. The number of
the others is known from the serials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipsecwatch.client import Change, Snapshot, Update
from ipsecwatch.states import PlutoState, Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.client import Event, Told, View


@dataclass(frozen=True, slots=True)
class Transition:
    """One transition. It is from a signal, from comparing two Snapshots, or from the journal."""

    name: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    at: float
    """When the state changed, in seconds since the epoch; if that isn't known, when the change was
    noticed."""
    serial: int
    """The transition's number; if it is from comparing Snapshots, the serial of the later one."""
    told: Told | None
    """The signal that the service sends for such a transition: TunnelUp, TunnelDown or TunnelStuck;
    None: none of them."""
    run_id: str
    """The run of the service in which ``serial`` was counted."""
    caught_up: bool = False
    """Whether no signal reported it: it is from comparing Snapshots, or from the journal."""


class KnownTunnels:
    """Keeps the last known view of each tunnel, and finds transitions.

    In its methods, ``now`` is the present time, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        """The listed tunnels, by name. If the last Snapshot came while pluto didn't answer, also
        those that were listed before it, as UNKNOWN."""
        self.gone: set[str] = set()
        """The names of the tunnels that were listed once, and no longer are."""
        self.run_id = ""
        """The run of the service that sent the last Snapshot; "": no Snapshot has come yet."""
        self.serial = 0
        """The serial of the last known transition of this run."""
        self.missed = 0
        """How many transitions are missing before the last Snapshot: by its serial they happened,
        but comparing the tunnels didn't show them. It is 0 for the first Snapshot."""
        self._names: dict[str, str] = {}
        """The names of the listed tunnels, by object path, since a removal tells only the path."""

    def apply(self, event: Event, now: float) -> list[Transition]:
        """Record an event, and return the transitions that follow from it.

        A Change is one transition. From a Snapshot, all differences to the tunnels known before
        follow. Return [] for the first Snapshot, and for all other events.
        """
        match event:
            case Snapshot():
                return self._compare(event, now)
            case Change():
                return [self._change(event)]
            case Update():
                self._update(event)
        return []

    def _change(self, event: Change) -> Transition:
        """Return the transition that a signal reports. Record the new view of a listed tunnel."""
        self.serial = event.serial
        if event.path in self._names or event.name in self.views:
            self.views[event.name] = event.view
        return Transition(
            event.name, event.old, event.new, event.reason, event.at, event.serial, event.told,
            self.run_id,
        )  # fmt: skip

    def _update(self, event: Update) -> None:
        if event.view is not None:
            self._names[event.path] = event.view.name
            self.views[event.view.name] = event.view
            self.gone.discard(event.view.name)
        elif (name := self._names.pop(event.path, None)) is not None:
            self.views.pop(name, None)
            self.gone.add(name)

    def _compare(self, seen: Snapshot, now: float) -> list[Transition]:
        """Replace all views by those of a Snapshot, and return the differences as transitions.

        Return [] for the first Snapshot. If pluto is starting or unreachable, a tunnel that is no
        longer listed may still exist: it stays in ``views`` as UNKNOWN, and hasn't changed.
        """
        before, first = self.views, not self.run_id
        since = self.serial if seen.run_id == self.run_id else 0
        self.run_id, self.serial = seen.run_id, seen.serial
        self._names = {path: view.name for path, view in seen.tunnels.items()}
        self.views = {view.name: view for view in seen.tunnels.values()}
        lost = [view for name, view in before.items() if name not in self.views]
        if seen.pluto_state in (PlutoState.RUNNING, PlutoState.STOPPED):
            self.gone |= {view.name for view in lost}
        else:  # while pluto doesn't answer, they may still be loaded
            self.views |= {v.name: replace(v, state=TunnelState.UNKNOWN) for v in lost}
            lost = []
        self.gone -= self.views.keys()
        if first:
            self.missed = 0
            return []
        found = [self._left(view, now) for view in lost if view.state is not TunnelState.DOWN]
        found += self._differences(before, now)
        self.missed = max(0, seen.serial - since - len(found))
        return found

    def _differences(self, before: dict[str, View], now: float) -> Iterable[Transition]:
        """Yield a transition for each tunnel in ``views`` whose state isn't the same in ``before``.

        ``before`` has the earlier views, by name. A tunnel that isn't there was DOWN.
        """
        for name, view in self.views.items():
            was = before.get(name)
            old = was.state if was is not None else TunnelState.DOWN
            if view.state is old:
                continue
            known = was.last_state if was is not None else TunnelState.DOWN
            at = view.since if view.since_known and view.since else now
            yield Transition(
                name, old, view.state, view.reason, at, self.serial, signal_for(known, view.state),
                self.run_id, caught_up=True,
            )  # fmt: skip

    def _left(self, view: View, now: float) -> Transition:
        """Return the transition of a tunnel that is no longer listed: to DOWN, reason UNLOADED."""
        down = replace(view, state=TunnelState.DOWN)
        return Transition(
            view.name, view.state, down.state, Reason.UNLOADED, now, self.serial,
            signal_for(view.last_state, down.state), self.run_id, caught_up=True,
        )  # fmt: skip


def signal_for(known: TunnelState, new: TunnelState) -> Told | None:
    """Return the signal that the service sends when a tunnel gets the state ``new``, or None.

    ``known`` is the tunnel's last known state before ``new``: a time in UNKNOWN between them makes
    no difference. Return "up" if ``new`` is UP, and ``known`` isn't. Return "down" if ``known`` is
    UP or PARTIAL, and ``new`` is neither of these nor UNKNOWN. Return "stuck" if ``new`` is STUCK,
    and ``known`` is none of the three.
    """
    if new is TunnelState.UP and known is not TunnelState.UP:
        return "up"
    if known.carries and not (new.carries or new is TunnelState.UNKNOWN):
        return "down"
    if new is TunnelState.STUCK and known is not TunnelState.STUCK:
        return "stuck"
    return None
