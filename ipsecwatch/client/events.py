# SPDX-License-Identifier: MIT
"""What clients of the service see of it: tunnels, and what happens to them. Pure data.

Words and keys that this version doesn't know, from a newer service, are taken for "unknown" and
"other" or left out: they end nobody's program.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from ipsecwatch.reasons import IPSEC
from ipsecwatch.sanitize import clean
from ipsecwatch.states import LogState, PlutoState, Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ipsecwatch.dbus.messages import Variant

Told = Literal["up", "down", "stuck"]


@dataclass(frozen=True, slots=True)
class View:
    """One tunnel's public properties.

    ``since`` is wall clock in seconds since the epoch, ``since_mono`` and ``since_boot`` the same
    in seconds of CLOCK_MONOTONIC and CLOCK_BOOTTIME of this machine (0: an older service doesn't
    tell). Where ``since_known`` is False it has been so for longer. ``last_state`` is the last
    known one.
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
    """What pluto calls it, where ``name`` is what NetworkManager calls it."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it is known by: the one that is shown first."""
        return (self.name, self.uuid) if self.uuid else (self.name,)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that there is, at ``serial``. The first event, and again whenever signals were lost."""

    run_id: str
    """Another one than before: the service was started again, and serials with it."""
    serial: int
    pluto_state: PlutoState
    tunnels: dict[str, View]
    """By object path."""
    log: LogState | None = None
    """Where pluto's log is heard; None: an older service doesn't tell."""
    complete: bool = True
    """pluto's last answer was whole and made sense."""
    unrecognised: int = 0
    """Lines of it that no release is known to print."""
    last_poll: float | None = None
    """When that was, in seconds since the epoch; None: not yet."""
    unit: str = IPSEC
    """The systemd unit that runs pluto, for the words of a reason; "": none is known to."""
    version: str = ""
    """The service's version, as it says."""
    pluto_version: str = ""
    """libreswan's version as pluto tells it; empty where it hasn't."""
    missed: int | None = None
    """SAs that came and went between two polls, since the service began; None: it doesn't tell."""


@dataclass(frozen=True, slots=True)
class Change:
    """One transition of one tunnel, none left out between two snapshots."""

    name: str
    path: str
    old: TunnelState
    new: TunnelState
    reason: Reason
    serial: int
    at: float
    """Wall clock, seconds since the epoch."""
    told: Told | None
    """What the service made of it: TunnelUp, TunnelDown, TunnelStuck, or none of these."""
    view: View
    """The tunnel after it."""


@dataclass(frozen=True, slots=True)
class Update:
    """A tunnel's properties changed without a transition: it appeared, went, or has news.

    ``view`` is None for a tunnel that is no longer listed.
    """

    path: str
    view: View | None


@dataclass(frozen=True, slots=True)
class Pluto:
    """pluto itself is in another state, or is run by another unit."""

    state: PlutoState
    unit: str = IPSEC
    """As a Snapshot has it."""


@dataclass(frozen=True, slots=True)
class Log:
    """pluto's log is heard elsewhere now, or not at all: that tells what reasons are worth."""

    state: LogState


@dataclass(frozen=True, slots=True)
class Answer:
    """pluto's last answer can be trusted more than the one before, or less; as in a Snapshot."""

    complete: bool = True
    unrecognised: int = 0


@dataclass(frozen=True, slots=True)
class Lost:
    """The service can't be heard (any more), or for another reason than before.

    A Snapshot follows when it can be heard again.
    """

    why: str
    """One line, fit to be shown."""
    hint: str = ""
    denied: bool = False
    """The service is there, and this user may not hear it."""


Event = Snapshot | Change | Update | Pluto | Log | Answer | Lost


@dataclass(frozen=True, slots=True)
class ManagerView:
    """What the service says of pluto itself; None: it hasn't yet."""

    pluto: PlutoState | None = None
    log: LogState | None = None
    unit: str | None = None
    complete: bool | None = None
    unrecognised: int | None = None


def tunnel_state(code: str) -> TunnelState:
    """Read a state's word."""
    return TunnelState(code) if code in _STATES else TunnelState.UNKNOWN


def reason(code: str) -> Reason:
    """Read a reason's code."""
    return Reason(code) if code in _REASONS else Reason.OTHER


def pluto_state(code: str | None) -> PlutoState:
    """Read the word of pluto's state. One that we don't know: it isn't one in which pluto runs."""
    return PlutoState(code) if code in _PLUTO_STATES else PlutoState.UNREACHABLE


def log_state(code: str | None) -> LogState | None:
    """Read the word of where the log is heard; None: it isn't told, or not understood."""
    return LogState(code) if code in _LOG_STATES else None


def manager_view(properties: Mapping[str, Variant], before: ManagerView) -> ManagerView:
    """Read the Manager's properties; what they don't tell is as it was before."""
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
    """Turn the API's µs into seconds."""
    return micros / 1e6


def word(properties: Mapping[str, Variant], name: str) -> str | None:
    """Find a property that is a string; None where it isn't told, or isn't one."""
    found = value(properties, name, "s")
    return str(found) if found is not None else None


def value(properties: Mapping[str, Variant], name: str, signature: str) -> Any:  # noqa: ANN401
    """Find a property of that type; None where it isn't told, or is of another."""
    found = properties.get(name)
    return found.value if found is not None and found.signature == signature else None


def view(path: str, properties: Mapping[str, Variant], before: View | None = None) -> View:
    """Read a tunnel's properties; what they don't tell is as it was before."""
    fields: dict[str, Any] = {}
    for key, (name, signature, read) in _FIELDS.items():
        told = properties.get(key)
        if told is not None and told.signature == signature:
            fields[name] = read(told.value)
    return replace(before or _blank(path), **fields)


def _blank(path: str) -> View:
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
