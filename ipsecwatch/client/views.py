# SPDX-License-Identifier: MIT
"""What clients of the service see: its tunnels, pluto, and both in a snapshot. Pure data.

A newer service may send words and keys that this version doesn't know. States become "unknown",
reasons become "other", and unknown keys are left out, so that no client fails on them.
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

    ``since`` is when its state began, in seconds since the epoch; ``since_mono`` and ``since_boot``
    are the same moment by this machine's CLOCK_MONOTONIC and CLOCK_BOOTTIME, in seconds (0: the
    service is too old to send it). Where ``since_known`` is False, the state began before that.
    ``last_state`` is the last state that was known.
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
    """pluto's name of the tunnel, where ``name`` is NetworkManager's; "": ``name`` is pluto's."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the tunnel, first the one that is shown."""
        return (self.name, self.uuid) if self.uuid else (self.name,)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of pluto and of all tunnels, after the transition with the number ``serial``.

    It is the first event, or the first after a Lost, and comes again whenever signals were lost.
    """

    run_id: str
    """The service's run: if it differs from the last Snapshot's, the service was restarted, and the
    serial numbers have begun again."""
    serial: int
    pluto_state: PlutoState
    tunnels: dict[str, View]
    """The tunnels by object path."""
    log: LogState | None = None
    """Where pluto's log is read; None: the service is too old to report it."""
    complete: bool = True
    """Whether pluto's last answer was whole and made sense."""
    unrecognised: int = 0
    """The number of lines in pluto's last answer that no release is known to print."""
    last_poll: float | None = None
    """When pluto last answered, in seconds since the epoch; None: it hasn't answered yet."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, for the texts of reasons; "": none is known."""
    version: str = ""
    """The version that the service reports."""
    pluto_version: str = ""
    """The version of libreswan that pluto reports; "": not known."""
    missed: int | None = None
    """The number of SAs, since the service began, that came and went between two polls; None: the
    service doesn't report it."""


class ManagerView(NamedTuple):
    """What the service reports about pluto itself; None for what it hasn't reported yet."""

    pluto: PlutoState | None = None
    log: LogState | None = None
    unit: str | None = None
    complete: bool | None = None
    unrecognised: int | None = None


def tunnel_state(code: str) -> TunnelState:
    """Return the tunnel state with this code of the D-Bus API; UNKNOWN for an unknown code."""
    return TunnelState(code) if code in _STATES else TunnelState.UNKNOWN


def reason(code: str) -> Reason:
    """Return the reason with this code of the D-Bus API; OTHER for an unknown code."""
    return Reason(code) if code in _REASONS else Reason.OTHER


def pluto_state(code: str | None) -> PlutoState:
    """Return pluto's state with this code of the D-Bus API.

    Return UNREACHABLE for an unknown code, or none (None).
    """
    return PlutoState(code) if code in _PLUTO_STATES else PlutoState.UNREACHABLE


def log_state(code: str | None) -> LogState | None:
    """Return the log state with this code of the D-Bus API; None for an unknown code, or none."""
    return LogState(code) if code in _LOG_STATES else None


def manager_view(properties: Mapping[str, Variant], before: ManagerView) -> ManagerView:
    """Return a ManagerView with changed properties; all others stay as in ``before``.

    ``properties`` are by D-Bus name. One of another type is ignored, and so is a log state that
    isn't known here.
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
    """Return seconds for the microseconds of the D-Bus API."""
    return micros / 1e6


def word(properties: Mapping[str, Variant], name: str) -> str | None:
    """Return a property that is a string; None where it is missing, or of another type."""
    found = value(properties, name, "s")
    return str(found) if found is not None else None


def value(properties: Mapping[str, Variant], name: str, signature: str) -> Any:  # noqa: ANN401
    """Return a property of this D-Bus type; None where it is missing, or of another type."""
    found = properties.get(name)
    return found.value if found is not None and found.signature == signature else None


def view(path: str, properties: Mapping[str, Variant], before: View | None = None) -> View:
    """Return a View with a tunnel's changed properties; all others stay as in ``before``.

    ``properties`` are by D-Bus name; one of another type is ignored. Without ``before`` the others
    get defaults: the state is UNKNOWN, and the name is the last element of ``path``.
    """
    fields: dict[str, Any] = {}
    for key, (name, signature, read) in _FIELDS.items():
        told = properties.get(key)
        if told is not None and told.signature == signature:
            fields[name] = read(told.value)
    return replace(before or _blank(path), **fields)


def _blank(path: str) -> View:
    """Return a View of a tunnel about which only the object path is known."""
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
