# SPDX-License-Identifier: MIT
"""The closed sets of words: how tunnels, pluto, its log and its SAs are.

They stand apart from report.py and tunnel.py for those who are in a hurry: to make the classes of
a report takes a tenth of the time in which `ipsecwatch status` starts.
"""

from __future__ import annotations

from enum import StrEnum


class TunnelState(StrEnum):
    """How a tunnel is: the first that fits, in this order."""

    UNKNOWN = "unknown"
    UP = "up"
    PARTIAL = "partial"
    STUCK = "stuck"
    CONNECTING = "connecting"
    WAITING = "waiting"
    DOWN = "down"

    @property
    def carries(self) -> bool:
        """Whether at least some of the tunnel's traffic passes."""
        return self in (TunnelState.UP, TunnelState.PARTIAL)


class Reason(StrEnum):
    """Why a tunnel isn't up. Codes are part of the D-Bus API: extend, never rename."""

    NONE = "none"
    NO_ANSWER = "no-answer"
    UNREACHABLE = "unreachable"
    AUTHENTICATION = "authentication"
    PROPOSAL = "proposal"
    TRAFFIC_SELECTORS = "traffic-selectors"
    CREDENTIALS = "credentials"
    CHILD_MISSING = "child-missing"
    PEER_DELETED = "peer-deleted"
    PEER_DEAD = "peer-dead"
    OPERATOR = "operator"
    EXPIRED = "expired"
    REPLACED = "replaced"
    PLUTO_STOPPED = "pluto-stopped"
    PLUTO_RESTARTED = "pluto-restarted"
    PLUTO_STARTING = "pluto-starting"
    PLUTO_UNREACHABLE = "pluto-unreachable"
    BAD_OUTPUT = "bad-output"
    UNLOADED = "unloaded"
    OTHER = "other"


class PlutoState(StrEnum):
    """How libreswan's daemon is, as far as can be told from outside."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"


class LogState(StrEnum):
    """Where pluto's log is heard."""

    JOURNAL = "journal"
    FILE = "file"
    NONE = "none"
    """Nowhere: it can't be read, or nothing was heard although something was negotiated."""
    CUT = "cut"
    """In the journal, which has dropped lines just now."""


class Extent(StrEnum):
    """How much of a part is there."""

    WHOLE = "whole"
    PARTIAL = "partial"
    ABSENT = "absent"


class Part(StrEnum):
    """The parts of an answer, each of which a text may have, or lack."""

    CONNECTIONS = "connections"
    """The connection list."""
    POLICIES = "policies"
    """The policy lines of the listed connections."""
    STATES = "states"
    """The IKE SAs and Child SAs."""
    COUNTERS = "counters"
    """The bytes that established Child SAs have carried."""
    TOTALS = "totals"
    """pluto's own counts of connections and SAs."""
    LOG = "log"
    """Lines of pluto's log."""


class SaKind(StrEnum):
    """Which of the two sorts of SA a state is."""

    IKE = "ike"
    CHILD = "child"


class Role(StrEnum):
    """Who began the exchange that a state belongs to."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class Stage(StrEnum):
    """How far a state has come."""

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
    """The IKE versions that a connection admits (both at once only up to 3.27)."""

    V1 = "1"
    V2 = "2"
    BOTH = "both"
