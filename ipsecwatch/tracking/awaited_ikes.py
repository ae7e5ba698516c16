# SPDX-License-Identifier: MIT
"""Which connections wait for an IKE SA, before a Child SA of theirs can be negotiated.

All connections to one peer share an IKE SA. One of them negotiates it, and meanwhile the others
have no SA of their own. If that IKE SA isn't established, none of them comes up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.report import Role, SaKind, Stage

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, ConnectionKey, Report, SaState

    Ends = tuple[str | None, str | None]
    """The hosts of a connection as printed: ours, the peer's."""


def awaited_ikes(report: Report) -> dict[ConnectionKey, list[SaState]]:
    """Return for each connection the IKE SAs that it waits for, to negotiate a Child SA under one.

    A connection that waits for none is left out, or has an empty list. A ``pending`` line names the
    connection and the IKE SA. But 4.0 to 4.15 name in it the connection that negotiates the IKE SA,
    not the one that waits. So a connection that pluto is to keep up, and that has no SA and no
    ``pending`` line, is assumed to wait for the IKE SAs that we began between the same two hosts,
    and that the peer hasn't answered yet.
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
