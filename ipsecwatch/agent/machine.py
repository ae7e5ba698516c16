# SPDX-License-Identifier: MIT
"""The events about the machine, which the agent gets beside those of the service. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Unit(Enum):
    """A systemd unit that the agent follows; the value is its name in systemd."""

    IPSEC = "ipsec.service"
    OURS = "ipsecwatch.service"


@dataclass(frozen=True, slots=True)
class UnitState:
    """The state of a unit, as systemd reports it."""

    unit: Unit
    active: bool
    """Whether the unit runs; one that is just stopping or reloading still does."""
    failed: bool
    """The unit ended with a failure; True also while systemd restarts it again and again."""


@dataclass(frozen=True, slots=True)
class Network:
    """Whether there is any route out of this machine."""

    online: bool


@dataclass(frozen=True, slots=True)
class Sleep:
    """The machine is about to sleep, or has woken up."""

    asleep: bool


MachineEvent = UnitState | Network | Sleep
