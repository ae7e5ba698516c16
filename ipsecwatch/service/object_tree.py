# SPDX-License-Identifier: MIT
"""The objects on the bus as data: their properties, and the signals for a poll's changes.

Pure: no connection, no clock. methods.py answers calls from it, and bus.py sends the signals.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.introspection import emits, interfaces
from ipsecwatch.dbus.marshal import array, entry, followed, joined, marshal
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.dbus.names import (
    INTROSPECTABLE,
    MANAGER,
    OBJECT_MANAGER,
    PEER,
    PROPERTIES,
    ROOT,
    TUNNEL,
)
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.sanitize import clean, path_element
from ipsecwatch.service.recent_transitions import RecentTransitions
from ipsecwatch.tracking.sa_times import SaTimes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipsecwatch.tunnel import Transition, Tunnel

TUNNELS: Final = "/org/ipsecwatch1/tunnel"
TYPICAL: Final = 512
"""Bytes that one tunnel takes in an answer to GetSnapshot, unless its name is unusually long."""

_MANAGER_HAS: Final = (MANAGER, OBJECT_MANAGER, PROPERTIES, INTROSPECTABLE, PEER)
_TUNNEL_HAS: Final = (TUNNEL, PROPERTIES, INTROSPECTABLE, PEER)
_PARENT_HAS: Final = (INTROSPECTABLE, PEER)
_PARENTS: Final = {"/": "org", "/org": "ipsecwatch1"}

Properties = dict[str, Variant]


@dataclass(frozen=True, slots=True)
class Publication:
    """The state of all tunnels and of pluto after a poll, and the transitions that it brought."""

    tunnels: Iterable[Tunnel] = ()
    """All tunnels that are listed after the poll, changed or not."""
    transitions: Sequence[tuple[int, Transition]] = ()
    """The transitions about which subscribers get signals, each with its serial. The first one in a
    run of the service has the serial 1, and each further one has one more than the one before."""
    pluto: PlutoState = PlutoState.STOPPED
    pluto_version: str | None = None
    complete: bool = False
    """Whether the poll had a report that is complete and doesn't contradict itself."""
    unrecognised: int = 0
    """The number of lines that weren't recognised in the last report that there was."""
    missed: int = 0
    """The number of SAs since the service's start that no poll has shown, since they came and went
    between two polls."""
    log: LogState = LogState.NONE
    """Where pluto's log is read from."""
    unit: str = ""
    """The systemd unit that runs pluto; "": not known."""
    last_poll: float = 0.0
    """When pluto last answered, in seconds since the epoch; 0: it hasn't answered yet."""
    sa_times: SaTimes = field(default_factory=SaTimes)
    """The times since when SAs exist, and since when their counters haven't changed."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A D-Bus signal that is to be sent to all subscribers."""

    path: str
    interface: str
    member: str
    body: bytes
    """The signal's arguments, marshalled."""

    @property
    def signature(self) -> str:
        """The D-Bus signature of ``body``, from the XML of the interface."""
        return interfaces()[self.interface].signals[self.member]


class ObjectTree:
    """The service's objects on the bus: one for the service (ROOT), and one for each tunnel.

    The objects above these have no data. All show the state that was last passed to apply().
    """

    def __init__(self, version: str, run_id: str) -> None:
        self.tunnels: dict[str, Tunnel] = {}
        """All listed tunnels, by object path."""
        self._paths: dict[str, str] = {}
        """The object path of each tunnel, by the tunnel's name."""
        self.serial = 0
        self.pluto = PlutoState.STOPPED
        self.recent = RecentTransitions()
        self.sa_times = SaTimes()
        self.last_poll = 0.0
        """When pluto last answered, in seconds since the epoch; 0: it hasn't answered yet."""
        self._made: dict[str, bytes] = {}
        """The marshalled properties of tunnels, by object path. A tunnel whose properties weren't
        needed since they last changed is missing here."""
        self._manager: dict[str, Any] = {"Version": version, "RunId": run_id}
        self._take(Publication())

    def interfaces_of(self, path: str) -> tuple[str, ...]:
        """Return the names of an object's interfaces; empty: there is no object with this path."""
        if path == ROOT:
            return _MANAGER_HAS
        if path in self.tunnels:
            return _TUNNEL_HAS
        return _PARENT_HAS if path in _PARENTS or path == TUNNELS else ()

    def children_of(self, path: str) -> Iterator[str]:
        """Yield the last path elements of the objects right below an object, for introspection.

        Nothing is yielded for a tunnel, nor for a path that doesn't exist. ``busctl tree`` shows
        them.
        """
        if path == TUNNELS:
            yield from (p.removeprefix(f"{TUNNELS}/") for p in self.tunnels)
        elif path == ROOT:
            yield "tunnel"
        elif path in _PARENTS:
            yield _PARENTS[path]

    def properties(self, path: str, interface: str) -> Properties:
        """Return the D-Bus properties of an object in one of the object's interfaces, by name.

        The standard interfaces have none. The object must have the interface.
        """
        if interface == MANAGER:
            return _variants(MANAGER, self._manager)
        if interface == TUNNEL:
            return _variants(TUNNEL, _values(self.tunnels[path]))
        return {}

    def make(self, most: int) -> bool:
        """Marshal the properties of up to ``most`` tunnels that are new or have changed.

        Tunnels whose present properties are marshalled already are skipped. Return True once all
        tunnels are done, so that snapshot() and managed() are fast.
        """
        missing = islice((p for p in self.tunnels if p not in self._made), most)
        for path in list(missing):
            self._properties_of(path)
        return len(self._made) == len(self.tunnels)

    @property
    def snapshot_size(self) -> int:
        """The approximate size of an answer to GetSnapshot now, in bytes."""
        return TYPICAL * (len(self.tunnels) + 1)

    def snapshot(self) -> bytes:
        """Return the marshalled answer to GetSnapshot.

        Properties of tunnels that make() hasn't marshalled yet are marshalled now, which takes long
        for thousands of them.
        """
        head = marshal("st", self._manager["RunId"], self.serial)
        tunnels = [array(marshal("o", path), self._properties_of(path)) for path in self.tunnels]
        return array(head, joined(tunnels))

    def managed(self) -> bytes:
        """Return the marshalled answer to GetManagedObjects: all tunnels with their properties.

        Properties of tunnels that make() hasn't marshalled yet are marshalled now, which takes long
        for thousands of them.
        """
        return array(b"", joined([self._interfaces_at(path) for path in self.tunnels]))

    def _interfaces_at(self, path: str) -> bytes:
        return _interfaces(path, self._properties_of(path))

    def _properties_of(self, path: str) -> bytes:
        if (made := self._made.get(path)) is None:
            made = self._made[path] = _entries(_values(self.tunnels[path]))
        return made

    def path_of(self, name: str) -> str | None:
        """Return the object path of the tunnel with the name ``name``; None: there is none.

        ``name`` may be any text, since it comes from callers.
        """
        return self._paths.get(name)

    def apply(self, news: Publication) -> Iterator[Announcement]:
        """Replace the state by a new one. Return an iterator over the signals to be sent for it.

        The state is replaced at once, while the signals are only made when the iterator is read.
        They come in this order, so that each is about an object that clients know: new objects,
        changed properties of the manager, transitions, changed properties of tunnels, and removed
        objects.
        """
        old, old_manager = self.tunnels, self._manager
        self._take(news)
        return self._announcements(old, old_manager, self.tunnels, self._manager, news.transitions)

    def _take(self, news: Publication) -> None:
        """Replace the state by that of a Publication, and add its transitions to the recent ones.

        The marshalled properties of a tunnel are kept if the tunnel hasn't changed.
        """
        old = self.tunnels
        self.tunnels = {_path(t.name): t for t in news.tunnels}
        self._paths = {tunnel.name: path for path, tunnel in self.tunnels.items()}
        self._made = {
            path: made
            for path, made in self._made.items()
            if path in self.tunnels and self.tunnels[path] == old[path]
        }
        self.pluto = news.pluto
        self.recent.note(news.transitions, self._paths)
        self.sa_times = news.sa_times
        self.last_poll = news.last_poll
        self.serial = max([self.serial, *(serial for serial, _ in news.transitions)])
        self._manager = {
            **self._manager,
            "PlutoState": str(news.pluto),
            "PlutoVersion": clean(news.pluto_version or ""),
            "Complete": news.complete,
            "Unrecognised": news.unrecognised,
            "Serial": self.serial,
            "Missed": news.missed,
            "LogState": str(news.log),
            "PlutoUnit": clean(news.unit),
            "LastPoll": _micros(news.last_poll),
            "Counts": {
                str(s): n for s, n in Counter(t.state for t in self.tunnels.values()).items()
            },
        }

    def _announcements(
        self,
        old: dict[str, Tunnel],
        old_manager: dict[str, Any],
        new: dict[str, Tunnel],
        new_manager: dict[str, Any],
        transitions: Sequence[tuple[int, Transition]],
    ) -> Iterator[Announcement]:
        """Yield the signals for the changes from an old state to a new one, and for transitions.

        ``old`` and ``new`` are the tunnels by object path, the others the properties of the
        manager. The docstring of apply() says in which order signals come.
        """
        for path, tunnel in new.items():
            if path not in old:
                body = _interfaces(path, _entries(_values(tunnel)))
                yield Announcement(ROOT, OBJECT_MANAGER, "InterfacesAdded", body)
        yield from _changed(ROOT, MANAGER, old_manager, new_manager)
        for serial, transition in transitions:
            yield from _happened(serial, transition)
        for path, tunnel in new.items():
            if path in old and old[path] != tunnel:
                yield from _changed(path, TUNNEL, _values(old[path]), _values(tunnel))
        for path in old:
            if path not in new:
                body = marshal("oas", path, [TUNNEL])
                yield Announcement(ROOT, OBJECT_MANAGER, "InterfacesRemoved", body)


def _happened(serial: int, transition: Transition) -> Iterator[Announcement]:
    """Yield the signals about a transition: those for its kind, then TunnelStateChanged.

    TunnelUp, TunnelDown and TunnelStuck are for a transition whose ``goes_up``, ``goes_down`` and
    ``gets_stuck`` are true. There may be none of them, or two: a transition from UP to STUCK has
    TunnelDown and TunnelStuck.
    """
    tunnel = transition.tunnel
    path, name, reason = _path(tunnel.name), tunnel.name, str(transition.reason)
    if transition.goes_up:
        body = marshal("osta{sv}", path, name, serial, {})
        yield Announcement(ROOT, MANAGER, "TunnelUp", body)
    if transition.goes_down:
        body = marshal("ossta{sv}", path, name, reason, serial, {})
        yield Announcement(ROOT, MANAGER, "TunnelDown", body)
    if transition.gets_stuck:
        body = marshal("ossta{sv}", path, name, reason, serial, {})
        yield Announcement(ROOT, MANAGER, "TunnelStuck", body)
    old, new = str(transition.old or "down"), str(transition.becomes)
    at = _micros(transition.at)
    head = marshal("osssstt", path, name, old, new, reason, serial, at)
    body = array(head, _entries(_values(tunnel)))
    yield Announcement(ROOT, MANAGER, "TunnelStateChanged", body)


def _changed(
    path: str, interface: str, old: dict[str, Any], new: dict[str, Any]
) -> Iterator[Announcement]:
    """Yield one PropertiesChanged for an object, with the properties that have changed.

    Properties whose changes aren't announced (EmitsChangedSignal) are left out. Yield nothing if no
    other has changed. ``old``, ``new``: the values before and now, by name.
    """
    types = _ANNOUNCED[interface]
    changed = {n: v for n, v in new.items() if n in types and v != old[n]}
    if changed:
        pieces = [_entry(types[name], name, value) for name, value in changed.items()]
        body = followed(array(marshal("s", interface), joined(pieces)), marshal("as", []))
        yield Announcement(path, PROPERTIES, "PropertiesChanged", body)


def _interfaces(path: str, properties: bytes) -> bytes:
    """Return a tunnel's object as a marshalled entry of an a{oa{sa{sv}}}.

    ``properties``: the tunnel's marshalled properties. TUNNEL is the only interface in the entry.
    """
    return array(marshal("o", path), array(marshal("s", TUNNEL), properties))


def _values(tunnel: Tunnel) -> dict[str, Any]:
    """Return the D-Bus properties of a tunnel as plain Python values, by name."""
    return {
        "Name": tunnel.name,
        "State": str(tunnel.state),
        "LastState": str(tunnel.last_state),
        "Reason": str(tunnel.reason),
        "Since": _micros(tunnel.since),
        "SinceMonotonic": _micros(tunnel.since_mono),
        "SinceBoottime": _micros(tunnel.since_boot),
        "SinceKnown": tunnel.since_known,
        "ChildrenUp": tunnel.children_up,
        "Children": tunnel.children,
        "Instances": tunnel.instances,
        "Managed": tunnel.managed,
        "Attempts": tunnel.attempts,
    }


def _variants(interface: str, values: dict[str, Any]) -> Properties:
    properties = interfaces()[interface].properties
    return {n: Variant(properties[n].signature, v, verify=False) for n, v in values.items()}


def _entries(values: dict[str, Any]) -> bytes:
    """Return a tunnel's properties (_values()) as marshalled entries of an a{sv}."""
    return joined([_entry(_TYPES[name], name, value) for name, value in values.items()])


def _entry(signature: str, name: str, value: object) -> bytes:
    return (entry if name in _OWN else _shared)(signature, name, value)


_shared: Final = lru_cache(maxsize=1 << 10)(entry)
"""marshal.entry() with a cache, for properties whose values many tunnels have in common."""

_OWN: Final = frozenset({"Name", "Since", "SinceMonotonic", "SinceBoottime"})
_TYPES: Final = {n: p.signature for n, p in interfaces()[TUNNEL].properties.items()}
_ANNOUNCED: Final = {
    i: {n: p.signature for n, p in interfaces()[i].properties.items() if emits(p) == "true"}
    for i in (MANAGER, TUNNEL)
}


def _micros(seconds: float) -> int:
    return max(0, round(seconds * 1e6))


@lru_cache(maxsize=1 << 15)
def _path(name: str) -> str:
    return f"{TUNNELS}/{path_element(name)}"
