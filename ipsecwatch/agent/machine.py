# SPDX-License-Identifier: MIT
"""What the agent hears of the machine beside the service's events. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """The units that matter; the value is systemd's name."""

    IPSEC = "ipsec.service"
    OURS = "ipsecwatch.service"


@dataclass(frozen=True, slots=True)
class UnitState:
    """What systemd says of a unit."""

    unit: Unit
    active: bool
    failed: bool
    """It ended by a failure; also while systemd starts it again and again."""


@dataclass(frozen=True, slots=True)
class Network:
    """Whether there is any route out of this machine."""

    online: bool


@dataclass(frozen=True, slots=True)
class Sleep:
    """The machine is about to sleep, or has woken up."""

    asleep: bool


MachineEvent = UnitState | Network | Sleep
