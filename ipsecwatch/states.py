# SPDX-License-Identifier: MIT
"""Enumerations about tunnels and pluto: states, reasons, and the parts of pluto's answer.

They aren't in report.py and tunnel.py, so that a command can import them without the classes there:
making these takes a tenth of the time in which ``ipsecwatch status`` starts.
"""

from __future__ import annotations

from enum import StrEnum


class TunnelState(StrEnum):
    """The state of a tunnel.

    If several of these descriptions fit, the first one in this order counts.
    """

    UNKNOWN = "unknown"
    """The state can't be found out now: pluto gave no answer that can be trusted, or the answer
    lacks the part that would show it."""
    UP = "up"
    """All children of the tunnel have an established Child SA."""
    PARTIAL = "partial"
    """Some children of the tunnel have an established Child SA, and others don't."""
    STUCK = "stuck"
    """As CONNECTING, but pluto has been trying for ``stuck_after`` seconds or longer."""
    CONNECTING = "connecting"
    """No child has an established Child SA; pluto is negotiating, or is configured to bring the
    tunnel up."""
    WAITING = "waiting"
    """The tunnel isn't tried, but it comes up by itself on demand: by the first packet that needs
    it, or when a peer connects."""
    DOWN = "down"
    """None of the others. A tunnel that pluto no longer lists counts as DOWN, too."""

    @property
    def carries(self) -> bool:
        """Whether the tunnel carries all or some of its traffic: it is UP or PARTIAL."""
        return self in (TunnelState.UP, TunnelState.PARTIAL)


class Reason(StrEnum):
    """Why a tunnel isn't up, or isn't wholly up. NONE if nothing is known to be wrong.

    The codes are part of the D-Bus API: add new ones, but never rename one.
    """

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
    """The state of libreswan's daemon pluto, as far as it can be seen from outside."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPED = "stopped"
    UNREACHABLE = "unreachable"


class LogState(StrEnum):
    """From where the service reads pluto's log."""

    JOURNAL = "journal"
    FILE = "file"
    NONE = "none"
    """From nowhere: the log can't be read, or nothing was in it although pluto negotiated
    something."""
    CUT = "cut"
    """From the journal, but journald has recently dropped lines of it."""


class Extent(StrEnum):
    """How much of one part of pluto's answer is in a text: all, a portion, or nothing."""

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
    """The numbers of bytes that established Child SAs have carried."""
    TOTALS = "totals"
    """pluto's own counts of connections and SAs."""
    LOG = "log"
    """Lines of pluto's log."""
