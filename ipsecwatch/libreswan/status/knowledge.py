# SPDX-License-Identifier: MIT
"""Find out how much of each part of an answer is there: the whole part, some of it, or nothing.

A connection or SA that a whole part doesn't list doesn't exist. pluto prints how many connections
and SAs it has. So one part of a status may be known to be whole although another one isn't: a
status that lost its beginning has all SAs, but not all connections.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import sections
from ipsecwatch.report import Extent, Knowledge, SaKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.libreswan.status.partial_report import PartialReport
    from ipsecwatch.report import SaState, Totals

_TOTALS: Final = (sections.CONNECTION_TOTAL, sections.IKE_TOTAL, sections.IPSEC_TOTAL)


def knowledge(
    command: str | None, answer: PartialReport, states: Sequence[SaState], *, complete: bool
) -> Knowledge:
    """Return how much of each part is there: connections, policies, SAs, counters and totals.

    ``command`` is what the answer is for, or None if that isn't known. ``states`` are the SAs that
    are believed. ``complete`` says whether the whole answer is there (completeness.incomplete()).
    ``Knowledge.log`` isn't decided here: it stays ABSENT.
    """
    connections = _connections(command, answer, complete=complete)
    policies = connections
    if connections is Extent.WHOLE and not all(c.policy_known for c in answer.connections):
        policies = Extent.PARTIAL
    of_states = _states(command, answer, states, complete=complete)
    return Knowledge(
        connections, policies, of_states,
        _counters(command, answer, states, of_states, complete=complete),
        _extent(sum(head in answer.heads for head in _TOTALS), len(_TOTALS)),
    )  # fmt: skip


def _connections(command: str | None, answer: PartialReport, *, complete: bool) -> Extent:
    """Return how much of the connection list is there, by pluto's own total if that is printed.

    Without the total, it is WHOLE only in a complete answer to ``status`` or
    ``connectionstatus``, and PARTIAL in one to ``connectionstatus NAME``.
    """
    listed, loaded = len(answer.connections), answer.totals.loaded
    if sections.CONNECTION_TOTAL in answer.heads and loaded is not None:
        return _extent(listed, loaded)
    # A status, or a whole connectionstatus, has this head even where nothing is loaded.
    if complete and sections.CONNECTION_LIST in answer.heads:
        return Extent.WHOLE
    if complete and command == "status":
        return Extent.WHOLE
    return Extent.PARTIAL if listed else Extent.ABSENT


def _states(
    command: str | None, answer: PartialReport, states: Sequence[SaState], *, complete: bool
) -> Extent:
    """Return how much of the list of SAs is there.

    It is WHOLE in a complete answer to ``status`` or ``showstates``. In any other answer, it is
    WHOLE if there are as many SAs as pluto counts, the shunt list is there, which follows them,
    and nothing contradicts them (``answer.doubt``).
    """
    if complete and command in ("status", "showstates"):
        return Extent.WHOLE
    counted = _counted(answer.totals)
    # Behind the last SA comes another section: nothing of this one was cut off.
    if counted is not None and len(states) >= counted and answer.doubt is None:
        if sections.SHUNT_LIST in answer.heads:
            return Extent.WHOLE
        return Extent.PARTIAL if states else Extent.ABSENT
    return Extent.PARTIAL if states or answer.pending else Extent.ABSENT


def _counted(totals: Totals) -> int | None:
    """Return how many SAs pluto counts, IKE and Child SAs together; None: a total is missing."""
    ike, ipsec = totals.ike.get("total"), totals.ipsec.get("total")
    return None if ike is None or ipsec is None else ike + ipsec


def _counters(
    command: str | None, answer: PartialReport, states: Sequence[SaState], of_states: Extent,
    *, complete: bool,
) -> Extent:  # fmt: skip
    """Return whether counters are there for all established Child SAs, for some, or for none.

    A complete answer to ``trafficstatus`` has all, if it isn't empty. ``of_states`` is how much of
    the list of SAs is there: without all SAs, it isn't known whether all counters are there.
    """
    if command == "trafficstatus" and answer.traffic:
        return Extent.WHOLE if complete else Extent.PARTIAL
    children = [s for s in states if s.kind is SaKind.CHILD and s.established]
    # Only the line's presence is checked: parsing it would take as long as all the rest.
    counted = sum(bool(s.sa_text) or s.serial in answer.traffic for s in children)
    if of_states is Extent.WHOLE and counted == len(children):
        return Extent.WHOLE
    return Extent.PARTIAL if counted or answer.traffic else Extent.ABSENT


def _extent(there: int, all_: int) -> Extent:
    if there >= all_:
        return Extent.WHOLE
    return Extent.PARTIAL if there else Extent.ABSENT
