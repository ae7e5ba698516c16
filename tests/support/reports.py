# SPDX-License-Identifier: MIT
"""What a pluto would report, put together in a line or two."""

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
"""Wall clock at second 0."""

WHOLE = Knowledge(*[Extent.WHOLE] * 5)
"""What is known by a whole status."""


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
    """A connection as the connection list would have it."""
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
    """An IKE SA, established unless said otherwise."""
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
    """A Child SA, established unless said otherwise."""
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
    """A good answer."""
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
    """No answer."""
    return Poll(START + second, second, pluto=pluto, why="no answer")


def cut(poll: Poll) -> Poll:
    """The same answer, cut short."""
    assert poll.report is not None
    return replace(poll, report=replace(poll.report, complete=False, why="cut off"))
