# SPDX-License-Identifier: MIT
"""The enumerations of SAs: their kind, our role, how far they have come, and the version of IKE."""

from __future__ import annotations

from enum import StrEnum


class SaKind(StrEnum):
    """Whether a state is an IKE SA or a Child SA."""

    IKE = "ike"
    CHILD = "child"


class Role(StrEnum):
    """Our role in the exchange that a state belongs to."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class Stage(StrEnum):
    """How far an SA has come, from its negotiation to its end (for each state: state_table.py)."""

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
    """The IKE versions that a connection allows (both at once only up to 3.27)."""

    V1 = "1"
    V2 = "2"
    BOTH = "both"
