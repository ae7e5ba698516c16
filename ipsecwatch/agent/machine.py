# SPDX-License-Identifier: MIT
"""Events about the machine that the agent gets, beside those of the service. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """A systemd unit that the agent watches. The value is the unit's name in systemd."""

    IPSEC = "ipsec.service"
    OURS = "ipsecwatch.service"


@dataclass(frozen=True, slots=True)
class UnitState:
    """The state of a systemd unit has changed, or is reported for the first time."""

    unit: Unit
    active: bool
    """Whether the unit is running. That includes a unit that is stopping or reloading."""
    failed: bool
    """Whether the unit has ended with a failure. That includes a unit that systemd is starting
    again after a failure."""


@dataclass(frozen=True, slots=True)
class Network:
    """Whether this machine has any route to other machines now."""

    online: bool


@dataclass(frozen=True, slots=True)
class Sleep:
    """The machine is about to sleep (``asleep`` is true), or has woken up (false)."""

    asleep: bool


MachineEvent = UnitState | Network | Sleep
