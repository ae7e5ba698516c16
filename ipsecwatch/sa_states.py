# SPDX-License-Identifier: MIT
"""Enumerations about SAs: their kind, our role, how far they have come, and the version of IKE."""

from __future__ import annotations

from enum import StrEnum


class SaKind(StrEnum):
    """Whether one of pluto's states is an IKE SA or a Child SA."""

    IKE = "ike"
    CHILD = "child"


class Role(StrEnum):
    """Whether this machine began the exchange that a state of pluto belongs to, or answered."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class Stage(StrEnum):
    """How far an SA has come, from its first message to its end.

    The table in state_table.py says it for each of pluto's states.
    """

    HALF_OPEN = "half-open"
    OPEN = "open"
    AUTHENTICATING = "authenticating"
    CONFIG = "config"
    NEGOTIATING_CHILD = "negotiating-child"
    REKEYING = "rekeying"
    ESTABLISHED = "established"
    DELETING = "deleting"
    INFORMATIONAL = "informational"
    UNKNOWN = "unknown"


class IkeVersion(StrEnum):
    """The IKE versions that a connection allows.

    Only libreswan up to 3.27 can allow both at once.
    """

    V1 = "1"
    V2 = "2"
    BOTH = "both"
