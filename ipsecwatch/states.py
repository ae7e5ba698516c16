# SPDX-License-Identifier: MIT
"""The enumerations of tunnels and pluto: states, reasons, and the parts of an answer.

They are apart from report.py and tunnel.py so that commands can import them alone: making the
classes of a report takes a tenth of the time in which `ipsecwatch status` starts.
"""

from __future__ import annotations

from enum import StrEnum


class TunnelState(StrEnum):
    """The state of a tunnel: the first one that applies, in this order."""

    UNKNOWN = "unknown"
    """It can't be found out now: pluto gave no answer that can be trusted, or not all of it."""
    UP = "up"
    """All children of the tunnel have an established Child SA."""
    PARTIAL = "partial"
    """Some have one, and others don't."""
    STUCK = "stuck"
    """As CONNECTING, and pluto has been trying for ``stuck_after`` seconds."""
    CONNECTING = "connecting"
    """No child is up, and pluto is trying, or will try."""
    WAITING = "waiting"
    """On demand: the first packet, or a peer that connects, brings it up."""
    DOWN = "down"
    """None of the others; also a tunnel that is no longer listed."""

    @property
    def carries(self) -> bool:
        """Whether the tunnel carries at least some of its traffic: it is UP or PARTIAL."""
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
    """The state of libreswan's daemon, as far as it can be seen from outside."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"


class LogState(StrEnum):
    """Where pluto's log is read from."""

    JOURNAL = "journal"
    FILE = "file"
    NONE = "none"
    """Nowhere: it can't be read, or nothing was logged although something was negotiated."""
    CUT = "cut"
    """From the journal, which has dropped lines of it recently."""


class Extent(StrEnum):
    """How much of a part of pluto's answer a text contains."""

    WHOLE = "whole"
    PARTIAL = "partial"
    ABSENT = "absent"


class Part(StrEnum):
    """The parts of pluto's answer. A text that somebody pastes or saves may lack any of them."""

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
