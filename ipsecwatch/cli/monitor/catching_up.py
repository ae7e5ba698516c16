# SPDX-License-Identifier: MIT
"""Derives transitions from events, also those whose signals were lost, and each only once.

A second Snapshot comes where signals were lost, or the service was restarted. It is compared with
the tunnels that were known before: each difference is a transition that wasn't signalled. A state
that a tunnel had only in between can't be found so; such transitions are counted.
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
    """One transition, from a signal, the comparison of two Snapshots, or the journal."""

    name: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    at: float
    """When it was, in seconds since the epoch; when it was noticed, if that isn't known."""
    serial: int
    """The transition's own number, or that of the Snapshot that shows it."""
    told: Told | None
    """Which signal the service sent for it, or would have sent; None: neither up, down nor
    stuck."""
    run_id: str
    """The run of the service that ``serial`` belongs to."""
    caught_up: bool = False
    """Whether no signal reported it: it is from a comparison of Snapshots, or from the journal."""


class KnownTunnels:
    """The last known view of each tunnel. ``now`` is always the wall clock, in seconds."""

    def __init__(self) -> None:
        self.views: dict[str, View] = {}
        """The listed tunnels, by name; while pluto can't be asked, also those that were listed."""
        self.gone: set[str] = set()
        """The names of tunnels that were listed, and aren't any more."""
        self.run_id = ""
        """The service's run that sent the last Snapshot; "": none has come yet."""
        self.serial = 0
        """The number of the last transition in that run that is known."""
        self.missed = 0
        """The number of transitions between the last Snapshot and the event before it that weren't
        shown by comparing the tunnels before and after; 0 for the first Snapshot."""
        self._names: dict[str, str] = {}
        """The names of the listed tunnels, by object path."""

    def apply(self, event: Event, now: float) -> list[Transition]:
        """Record an event, and return the transitions that it brought.

        They are that of a Change, or the differences that a Snapshot shows; the first Snapshot, and
        all other events, bring none.
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
        """Return a signalled transition; record the tunnel's view after it if it is listed."""
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
        """Replace all views by a Snapshot's; return the differences as transitions.

        Return none for the first Snapshot. While pluto is neither RUNNING nor STOPPED, tunnels that
        aren't listed any more stay, with the state UNKNOWN.
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
        """Yield a transition for each listed tunnel whose state differs from that in ``before``.

        ``before`` has the views of before by name; a tunnel that it lacks counts as down then.
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
        """Return the transition of a tunnel that isn't listed any more: it is down, as UNLOADED."""
        down = replace(view, state=TunnelState.DOWN)
        return Transition(
            view.name, view.state, down.state, Reason.UNLOADED, now, self.serial,
            signal_for(view.last_state, down.state), self.run_id, caught_up=True,
        )  # fmt: skip


def signal_for(known: TunnelState, new: TunnelState) -> Told | None:
    """Return the signal that the service sends when a tunnel gets the state ``new``; None: none.

    "up": it is UP, and wasn't. "down": it was UP or PARTIAL, and is known to be neither. "stuck":
    it is STUCK, and was none of the three. ``known`` is the tunnel's last known state before, so
    that a time in UNKNOWN between them makes no difference.
    """
    if new is TunnelState.UP and known is not TunnelState.UP:
        return "up"
    if known.carries and not (new.carries or new is TunnelState.UNKNOWN):
        return "down"
    if new is TunnelState.STUCK and known is not TunnelState.STUCK:
        return "stuck"
    return None
