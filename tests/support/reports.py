# SPDX-License-Identifier: MIT
"""Makes reports of pluto with connections and SAs, in a line or two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ipsecwatch.report import (
    Connection,
    Extent,
    IkeVersion,
    Knowledge,
    Pending,
    PlutoState,
    Poll,
    Report,
    Role,
    SaKind,
    SaState,
    Stage,
    Topology,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

START = 1_800_000_000.0
"""The wall clock's time at second 0 of a test."""

WHOLE = Knowledge(*[Extent.WHOLE] * 5)
"""The knowledge of a report in which no part is missing."""


def connection(
    name: str,
    *,
    instance: tuple[int, ...] = (),
    policy: str = "IKEv2+PSK",
    peer: str = "192.0.2.1",
    routing: str = "unrouted",
    aliases: tuple[str, ...] = (),
    serial: int | None = None,
    unresolved: str | None = None,
    remote_id: str | None = None,
    ours: str = "10.0.0.1",
    ike_version: IkeVersion | None = None,
) -> Connection:
    """Return a connection as the parser reads it from a status.

    ``policy`` is the policy as pluto prints it. ``unresolved`` is the peer's host name if it has no
    address yet.
    """
    peer = peer if unresolved is None else "%dns"
    topology = Topology(
        f"{ours}...{peer}", routing, None, ours, None, peer, remote_id, None, None,
        unresolved,
    )  # fmt: skip
    return Connection(
        name,
        instance,
        (topology,),
        frozenset(policy.split("+")),
        aliases,
        ike_version=ike_version,
        routing=routing,
        conn_serial=serial,
    )


def ike(
    serial: int,
    name: str,
    *,
    instance: tuple[int, ...] = (),
    stage: Stage = Stage.ESTABLISHED,
    role: Role | None = None,
) -> SaState:
    """Return an IKE SA as the parser reads it: established, unless ``stage`` says otherwise."""
    return SaState(serial, name, instance, "", SaKind.IKE, role, stage, 2)


def child(
    serial: int,
    name: str,
    parent: int | None,
    *,
    instance: tuple[int, ...] = (),
    stage: Stage = Stage.ESTABLISHED,
    role: Role | None = None,
) -> SaState:
    """Return a Child SA as the parser reads it: established, unless ``stage`` says otherwise.

    ``parent`` is the serial number of its IKE SA.
    """
    return SaState(serial, name, instance, "", SaKind.CHILD, role, stage, 2, parent_serial=parent)


def poll(
    second: float,
    connections: Iterable[Connection] = (),
    states: Iterable[SaState] = (),
    *,
    pending: Iterable[Pending] = (),
    pid: int | None = None,
    version: str | None = None,
) -> Poll:
    """Return the poll at this second, with a complete report of these connections and SAs."""
    report = Report(
        command="status",
        version=version,
        complete=True,
        connections=tuple(connections),
        states=tuple(states),
        pending=tuple(pending),
        knowledge=WHOLE,
    )
    return Poll(START + second, second, report, pid=pid)


def no_answer(second: float, pluto: PlutoState = PlutoState.STOPPED) -> Poll:
    """Return the poll at this second, to which pluto gave no answer; ``pluto`` is pluto's state."""
    return Poll(START + second, second, pluto=pluto, why="no answer")


def cut(poll: Poll) -> Poll:
    """Return the same poll, but its report isn't complete, as when the answer was cut off."""
    assert poll.report is not None
    return replace(poll, report=replace(poll.report, complete=False, why="cut off"))
