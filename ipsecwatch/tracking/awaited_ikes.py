# SPDX-License-Identifier: MIT
"""IKE SAs for which Child SAs wait, mostly of other connections than the IKE SA's own.

Connections to one peer share an IKE SA: one negotiates it, and the others have no SA to show
meanwhile. What keeps the one from coming up keeps them, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import Role, SaKind, Stage

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, ConnectionKey, Report, SaState

    Ends = tuple[str | None, str | None]
    """The hosts of a connection, ours first."""


def awaited_ikes(report: Report) -> dict[ConnectionKey, list[SaState]]:
    """Return for each connection the IKE SAs under which it waits to negotiate a Child SA.

    A connection that waits for none is left out, or has an empty list.
    A ``pending`` line names both; but 4.0 to 4.15 print the IKE SA's own connection there. So a
    connection that is wanted up and has no SA is assumed to wait for the IKE SAs between the same
    two hosts that the peer hasn't answered.
    """
    states = {s.serial: s for s in report.states}
    found: dict[ConnectionKey, list[SaState]] = {}
    for p in report.pending:
        if p.serial in states:
            found.setdefault((p.name, p.instance), []).append(states[p.serial])
    unanswered = [s for s in report.states if _is_unanswered(s)]
    if unanswered:
        ends = {c.key: _ends(c) for c in report.connections}
        calls: dict[Ends | None, list[SaState]] = {}
        for s in unanswered:
            calls.setdefault(ends.get(s.key), []).append(s)
        busy = {s.key for s in report.states}
        for c in report.connections:
            if c.wanted_up and c.key not in busy and c.key not in found and ends[c.key]:
                found[c.key] = calls.get(ends[c.key], [])
    return found


def _is_unanswered(s: SaState) -> bool:
    return s.kind is SaKind.IKE and s.role is Role.INITIATOR and s.stage is Stage.HALF_OPEN


def _ends(c: Connection) -> Ends | None:
    first = c.topologies[0] if c.topologies else None
    if first is None or first.remote_host is None or first.remote_host.startswith("%"):
        return None
    return first.local_host, first.remote_host
