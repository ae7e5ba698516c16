# SPDX-License-Identifier: MIT
"""A pluto in miniature: what it holds, what it would report, and how its tunnels truly are.

Written apart from the tracker, from what libreswan does rather than from what it prints, so that
the two can be held against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ipsecwatch.report import LogLine, Role, Stage
from tests.support.reports import START, child, connection, ike, poll

if TYPE_CHECKING:
    import random

    from ipsecwatch.report import Poll, SaState


@dataclass
class Sa:
    """An SA that pluto holds."""

    line: SaState
    carried: bool = False
    """An IKE SA that has had a Child."""


@dataclass
class Conn:
    """A connection: one child of a tunnel."""

    name: str
    wanted: bool = False
    on_demand: bool = False
    ikes: list[Sa] = field(default_factory=list)
    children: list[Sa] = field(default_factory=list)
    larval: list[Sa] = field(default_factory=list)

    @property
    def up(self) -> bool:
        return bool(self.children)

    @property
    def trying(self) -> bool:
        return self.wanted or bool(self.larval) or any(not i.carried for i in self.ikes)


class ModelPluto:
    """Tunnels with one to three children, each child with an IKE SA of its own."""

    def __init__(self, rng: random.Random, *, tells_pid: bool) -> None:
        self.rng = rng
        self.life = 1
        self._tells_pid = tells_pid
        self._serial = 0
        self.log: list[LogLine] = []
        """What it has logged, for the listener to take away."""
        self.tunnels: dict[str, list[Conn]] = {}
        for n in range(rng.randint(1, 3)):
            self.load(f"t{n}")

    # --- what can happen ------------------------------------------------------------------

    def load(self, name: str) -> None:
        count = self.rng.randint(1, 3)
        names = [name] if count == 1 else [f"{name}/1x{i}" for i in range(1, count + 1)]
        demand = self.rng.random() < 0.3
        self.tunnels[name] = [Conn(n, on_demand=demand) for n in names]

    def unload(self, name: str) -> None:
        self.tunnels.pop(name, None)

    def initiate(self, c: Conn, *, wanted: bool) -> None:
        c.wanted = c.wanted or wanted
        if not c.ikes:
            c.larval = [Sa(ike(self._next(), c.name, stage=Stage.HALF_OPEN, role=Role.INITIATOR))]

    def answer(self, c: Conn, *, child_too: bool) -> None:
        if not c.ikes:
            c.larval = []
            c.ikes = [Sa(ike(self._next(), c.name))]
            self._say(c, "initiator established IKE SA; authenticated peer")
        if child_too and not c.children:
            parent = c.ikes[-1]
            parent.carried = True
            c.children = [Sa(child(self._next(), c.name, parent.line.serial))]
            self._say(
                c, f"initiator established Child SA using #{parent.line.serial}; IPsec tunnel"
            )

    def refuse(self, c: Conn) -> None:
        c.larval = []

    def rekey_child(self, c: Conn, *, overlap: bool) -> None:
        if c.children and c.ikes:
            new = Sa(child(self._next(), c.name, c.ikes[-1].line.serial))
            c.children = [*c.children[-1:], new] if overlap else [new]

    def rekey_ike(self, c: Conn) -> None:
        if c.ikes and not c.larval:
            serial = self._next()
            self._say(c, f"initiator rekeyed IKE SA #{c.ikes[-1].line.serial}")
            c.ikes = [Sa(ike(serial, c.name), carried=c.ikes[-1].carried)]
            for sa in c.children:
                sa.line = replace(sa.line, parent_serial=serial)

    def take_down(self, c: Conn, *, all_of_it: bool) -> None:
        c.wanted, c.larval, c.children = False, [], []
        if all_of_it:
            c.ikes = []

    def lose_peer(self, c: Conn) -> None:
        c.larval, c.children, c.ikes = [], [], []

    def restart(self, *, autostart: bool) -> None:
        self.life += 1
        self._serial = 0
        for conns in self.tunnels.values():
            for c in conns:
                self.lose_peer(c)
                c.wanted = autostart and c.wanted
                if c.wanted:
                    self.initiate(c, wanted=True)

    def _say(self, c: Conn, text: str) -> None:
        self.log.append(LogLine(START, f'"{c.name}" #{self._serial}: {text}'))

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    # --- what it would say, and what is true ------------------------------------------------

    def report(self, second: float) -> Poll:
        listed, states = [], []
        for name, conns in self.tunnels.items():
            for c in conns:
                routing = "routed-ondemand" if c.on_demand and not c.up else "unrouted"
                listed.append(
                    connection(
                        c.name,
                        policy="IKEv2+UP" if c.wanted else "IKEv2",
                        routing=routing,
                        aliases=(name,) if c.name != name else (),
                    )
                )
                states += [sa.line for sa in (*c.ikes, *c.children, *c.larval)]
        states.sort(key=lambda s: s.serial)
        assert len({s.serial for s in states}) == len(states)
        return poll(second, listed, states, pid=1000 + self.life if self._tells_pid else None)

    def truth(self, name: str) -> str:
        conns = self.tunnels[name]
        up = sum(c.up for c in conns)
        if up:
            return "up" if up == len(conns) else "partial"
        if any(c.trying for c in conns):
            return "connecting"
        return "waiting" if any(c.on_demand for c in conns) else "down"

    def found(self) -> None:
        """What is there at the first look is no sign of trying."""
        for conns in self.tunnels.values():
            for c in conns:
                for sa in c.ikes:
                    sa.carried = True
