# SPDX-License-Identifier: MIT
"""The tunnels, pluto's state, and both together in a snapshot, as clients see them. Pure data.

A newer service may send words and keys that this release doesn't know. An unknown state becomes
"unknown", an unknown reason becomes "other", and unknown keys are left out, so that no client
fails.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ipsecwatch.reasons import IPSEC
from ipsecwatch.sanitize import clean
from ipsecwatch.states import LogState, PlutoState, Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipsecwatch.dbus.messages import Variant


@dataclass(frozen=True, slots=True)
class View:
    """One tunnel's public properties.

    ``since`` is when it entered its state, in seconds since the epoch. ``since_mono`` and
    ``since_boot`` are the same moment on this machine's CLOCK_MONOTONIC and CLOCK_BOOTTIME, in
    seconds; ``since_boot`` is 0 if the service is too old to send it. If ``since_known`` is False,
    the state began earlier, at an unknown time. ``last_state`` is the last state other than
    UNKNOWN.
    """

    path: str
    name: str
    state: TunnelState
    last_state: TunnelState
    reason: Reason
    since: float
    since_mono: float
    children_up: int = 0
    children: int = 0
    instances: int = 0
    managed: str = ""
    attempts: int = 0
    since_boot: float = 0.0
    since_known: bool = True
    uuid: str = ""
    """pluto's name of the tunnel, if ``name`` is the one that NetworkManager shows; "" if ``name``
    is pluto's own."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the tunnel: ``name``, which is shown, then ``uuid`` if there is one."""
        return (self.name, self.uuid) if self.uuid else (self.name,)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """pluto's state and all tunnels at one moment: after the transition with the number ``serial``.

    For a program that follows the service, a Snapshot is the first event, or the first after a
    Lost. It comes again whenever signals were lost.
    """

    run_id: str
    """The id of the service's run. If it differs from that in the last Snapshot, the service was
    restarted, and its transitions are numbered from 1 again."""
    serial: int
    pluto_state: PlutoState
    tunnels: dict[str, View]
    """All tunnels, by their D-Bus object paths."""
    log: LogState | None = None
    """From where the service reads pluto's log; None: it doesn't report that, or in an unknown
    word."""
    complete: bool = True
    """Whether the last poll got an answer of pluto that was whole and didn't contradict itself.
    False also while pluto doesn't answer."""
    unrecognised: int = 0
    """How many lines of pluto's last answer no known release prints."""
    last_poll: float | None = None
    """When pluto last answered, in seconds since the epoch; None: it has never answered this
    service."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, which the advice for some reasons names; "": none is
    known."""
    version: str = ""
    """The version of the service; "": it doesn't say it."""
    pluto_version: str = ""
    """The version of libreswan, as pluto prints it; "": not known."""
    missed: int | None = None
    """How many SAs came and went between two polls, unseen, since the service started; None: the
    service doesn't say it."""


class ManagerView(NamedTuple):
    """What the service's Manager object says about pluto. None for what it hasn't said yet."""

    pluto: PlutoState | None = None
    log: LogState | None = None
    unit: str | None = None
    complete: bool | None = None
    unrecognised: int | None = None


def tunnel_state(code: str) -> TunnelState:
    """Return the tunnel state that has this word on D-Bus; UNKNOWN for an unknown word."""
    return TunnelState(code) if code in _STATES else TunnelState.UNKNOWN


def reason(code: str) -> Reason:
    """Return the reason that has this word on D-Bus; OTHER for an unknown word."""
    return Reason(code) if code in _REASONS else Reason.OTHER


def pluto_state(code: str | None) -> PlutoState:
    """Return pluto's state that has this word on D-Bus; UNREACHABLE for an unknown word or None."""
    return PlutoState(code) if code in _PLUTO_STATES else PlutoState.UNREACHABLE


def log_state(code: str | None) -> LogState | None:
    """Return the log state that has this word on D-Bus; None for an unknown word, or for None."""
    return LogState(code) if code in _LOG_STATES else None


def manager_view(properties: Mapping[str, Variant], before: ManagerView) -> ManagerView:
    """Return ``before`` with those values replaced that are in ``properties``.

    ``properties`` are the Manager's, by their D-Bus names. Those of a wrong type are ignored, and
    so is an unknown log state.
    """
    state, log = word(properties, "PlutoState"), word(properties, "LogState")
    unit = word(properties, "PlutoUnit")
    complete, count = value(properties, "Complete", "b"), value(properties, "Unrecognised", "u")
    return ManagerView(
        before.pluto if state is None else pluto_state(state),
        log_state(log) or before.log,
        before.unit if unit is None else clean(unit),
        before.complete if complete is None else complete,
        before.unrecognised if count is None else count,
    )


def seconds(micros: int) -> float:
    """Convert the microseconds of D-Bus properties to seconds."""
    return micros / 1e6


def word(properties: Mapping[str, Variant], name: str) -> str | None:
    """Return the property with this name if it is a string; None if it is missing or isn't one."""
    found = value(properties, name, "s")
    return str(found) if found is not None else None


def value(properties: Mapping[str, Variant], name: str, signature: str) -> Any:  # noqa: ANN401
    """Return the property with this name; None if it is missing, or isn't of this D-Bus type."""
    found = properties.get(name)
    return found.value if found is not None and found.signature == signature else None


def view(path: str, properties: Mapping[str, Variant], before: View | None = None) -> View:
    """Return a tunnel's View: ``before`` with those values replaced that are in ``properties``.

    ``properties`` are the tunnel's, by their D-Bus names; those of a wrong type are ignored.
    Without ``before``, missing values get defaults: the state is UNKNOWN, and the name is the last
    element of the object path.
    """
    fields: dict[str, Any] = {}
    for key, (name, signature, read) in _FIELDS.items():
        told = properties.get(key)
        if told is not None and told.signature == signature:
            fields[name] = read(told.value)
    return replace(before or _blank(path), **fields)


def _blank(path: str) -> View:
    """Return the View of a tunnel of which only the object path is known, for view() to fill."""
    name, unknown = path.rpartition("/")[2], TunnelState.UNKNOWN
    return View(path, name, unknown, unknown, Reason.NONE, since=0.0, since_mono=0.0)


_STATES: Final = frozenset(TunnelState)
_REASONS: Final = frozenset(Reason)
_PLUTO_STATES: Final = frozenset(PlutoState)
_LOG_STATES: Final = frozenset(LogState)

_FIELDS: Final[dict[str, tuple[str, str, Callable[[Any], object]]]] = {
    "Name": ("name", "s", str),
    "State": ("state", "s", tunnel_state),
    "LastState": ("last_state", "s", tunnel_state),
    "Reason": ("reason", "s", reason),
    "Since": ("since", "t", seconds),
    "SinceMonotonic": ("since_mono", "t", seconds),
    "SinceBoottime": ("since_boot", "t", seconds),
    "SinceKnown": ("since_known", "b", bool),
    "ChildrenUp": ("children_up", "u", int),
    "Children": ("children", "u", int),
    "Instances": ("instances", "u", int),
    "Managed": ("managed", "s", str),
    "Attempts": ("attempts", "u", int),
}
