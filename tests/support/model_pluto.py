# SPDX-License-Identifier: MIT
"""A simulated pluto: its SAs, reports and log, and the true state and reasons of each tunnel.

Tests compare the tracker with it. Therefore it was written independently of the tracker, from what
libreswan does and not from what libreswan prints. It logs in the words of release 4.10 or of
libreswan's main branch.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ipsecwatch.report import IkeVersion, LogLine, Role, Stage, Timer
from tests.support.reports import START, child, connection, ike, poll

if TYPE_CHECKING:
    import random

    from ipsecwatch.report import Poll, SaState

OURS = ("10.0.0.1", "10.0.0.2")
PEERS = ("192.0.2.1", "192.0.2.2")
ROAMING = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
PATIENCE = 30.0
"""For how many seconds at most a pluto of main waits for the answer to its Delete."""


@dataclass
class Sa:
    """One of pluto's SAs."""

    line: SaState
    carried: bool = False
    """Whether this is an IKE SA that has, or has had, a Child SA."""
    expires: float | None = None
    """When its lifetime ends, in seconds of the model's clock; None if it is renewed before."""


@dataclass
class Conn:
    """One connection of pluto's, with its SAs: one child of a tunnel."""

    name: str
    tunnel: str = ""
    wanted: bool = False
    """Whether pluto is to keep it up (policy UP)."""
    on_demand: bool = False
    ours: str = OURS[0]
    peer: str = PEERS[0]
    ikes: list[Sa] = field(default_factory=list)
    children: list[Sa] = field(default_factory=list)
    larval: list[Sa] = field(default_factory=list)
    doomed: float | None = None
    """If its SAs were deleted by hand, and the peer doesn't answer the Delete: when they are
    removed. Else None."""

    @property
    def up(self) -> bool:
        return bool(self.children)

    @property
    def trying(self) -> bool:
        """Whether pluto tries, or goes on trying, to set it up.

        That is so if it is wanted, if an attempt is under way, or if an IKE SA has never had a
        Child SA.
        """
        return self.wanted or bool(self.larval) or any(not i.carried for i in self.ikes)


@dataclass
class Client:
    """An instance of the template ``rw``, which is up: a client of this gateway."""

    number: int
    serial: int
    identity: str
    address: str
    ike: int
    child: int

    @property
    def name(self) -> str:
        return f"rw[{self.number}]"

    @property
    def head(self) -> str:
        """How log lines about it begin, such as ``"rw"[3] 192.0.2.1``."""
        return f'"rw"[{self.number}] {self.address}'


class ModelPluto:
    """A simulated pluto.

    A test calls a method for each thing that happens; ``rng`` decides details. It has up to three
    tunnels with one to three children, each with an IKE SA of its own, and clients of the template
    ``rw``. ``tells_pid``: its polls have its process id.
    """

    def __init__(self, rng: random.Random, *, tells_pid: bool) -> None:
        self.rng = rng
        self.life = 1
        """Which start of pluto this is, counted from 1."""
        self.old = rng.random() < 0.5
        """Whether it is pluto 4.10; else it is pluto of libreswan's main branch."""
        self.now = 0.0
        """The present time in seconds, as in poll()."""
        self._tells_pid = tells_pid
        self._serial = 0
        self._instances = 0
        self.log: list[LogLine] = []
        """The lines that it has logged; a test removes those that it has passed to the tracker."""
        self.causes: dict[str, set[str]] = {}
        """The true reasons for each tunnel's losses and removals, by its name; a test removes those
        that it has compared."""
        self.clients: dict[str, Client] = {}
        self.serves = rng.random() < 0.3
        """Whether the template ``rw`` is loaded."""
        self.tunnels: dict[str, list[Conn]] = {}
        for n in range(rng.randint(1, 3)):
            self.load(f"t{n}")

    # --- what can happen ------------------------------------------------------------------

    def load(self, name: str) -> None:
        """Load a tunnel with one to three connections; unload one with that name before."""
        if name in self.tunnels:
            self.unload(name)
        count = self.rng.randint(1, 3)
        names = [name] if count == 1 else [f"{name}/1x{i}" for i in range(1, count + 1)]
        demand = self.rng.random() < 0.3
        ours, peer = self.rng.choice(OURS), self.rng.choice(PEERS)
        self.tunnels[name] = [
            Conn(n, name, on_demand=demand, ours=ours, peer=peer) for n in names
        ]  # fmt: skip

    def unload(self, name: str) -> None:
        """Delete a tunnel's connections and their SAs, as an operator does."""
        conns = self.tunnels.get(name, [])
        if any(c.wanted or c.larval or c.children or c.ikes for c in conns):
            self._because(name, "operator")
        for c in conns:
            if self.old:
                self._say(c, "terminating SAs using this connection", serial=None)
            else:
                self._say_deleting(c)
            self._end(c, ours=True)
        self._because(name, "unloaded")
        self.tunnels.pop(name, None)

    def initiate(self, c: Conn, *, wanted: bool) -> None:
        """Begin to set up an IKE SA, if the connection has none.

        ``wanted``: from now on keep it up. Do nothing while its SAs are being deleted.
        """
        if c.doomed is not None:
            return
        c.wanted = c.wanted or wanted
        if not c.ikes:
            c.larval = [Sa(ike(self._next(), c.name, stage=Stage.HALF_OPEN, role=Role.INITIATOR))]
            self._say(c, "initiating IKEv2 connection to {peer} using UDP")

    def answer(self, c: Conn, *, child_too: bool) -> None:
        """Set up an IKE SA, and with ``child_too`` a Child SA, as when the peer answers.

        Do nothing while the connection's SAs are being deleted.
        """
        if c.doomed is not None:
            return
        if not c.ikes:
            c.larval = []
            c.ikes = [Sa(ike(self._next(), c.name))]
            self._say(c, "initiator established IKE SA; authenticated peer")
        if child_too and not c.children:
            parent = c.ikes[-1]
            parent.carried = True
            c.children = [Sa(child(self._next(), c.name, parent.line.serial))]
            if self.rng.random() < 0.3:  # rekey=no
                c.children[0].expires = self.now + self.rng.choice((7.0, 20.0, 45.0))
                version = 1 if self.rng.random() < 0.5 else 2
                c.children[0].line = replace(c.children[0].line, ike_version=version)
            self._say(
                c, f"initiator established Child SA using #{parent.line.serial}; IPsec tunnel"
            )

    def refuse(self, c: Conn) -> None:
        """End the connection's attempt, as when the peer refuses it."""
        c.larval = []

    def rekey_child(self, c: Conn, *, overlap: bool) -> None:
        """Rekey the Child SA, if there is one.

        ``overlap``: the old one stays for now; else it is removed at once.
        """
        if c.children and c.ikes and c.doomed is None:
            old, using = c.children[-1].line.serial, c.ikes[-1].line.serial
            new = Sa(child(self._next(), c.name, using))
            new.line.ike_version = c.children[-1].line.ike_version
            c.children = [*c.children[-1:], new] if overlap else [new]
            self._say(c, f"initiator rekeyed Child SA #{old} using #{using}; IPsec tunnel")

    def rekey_ike(self, c: Conn) -> None:
        """Rekey the IKE SA, if there is one and no attempt is under way."""
        if c.ikes and not c.larval and c.doomed is None:
            serial = self._next()
            self._say(c, f"initiator rekeyed IKE SA #{c.ikes[-1].line.serial}")
            c.ikes = [Sa(ike(serial, c.name), carried=c.ikes[-1].carried)]
            for sa in c.children:
                sa.line = replace(sa.line, parent_serial=serial)

    def take_down(self, c: Conn, *, all_of_it: bool) -> None:
        """Bring a connection down, as an operator does.

        ``all_of_it``: also its IKE SA. A pluto of main may first wait for the peer's answer to its
        Delete; then the SAs go later.
        """
        if not (c.wanted or c.larval or c.children or c.ikes) or c.doomed is not None:
            return
        c.wanted = False
        self._because(c.tunnel, "operator")
        if self.old:
            self._say(c, "terminating SAs using this connection", serial=None)
            self._end(c, ours=True, with_ike=all_of_it)
        elif c.ikes and c.children and all_of_it and self.rng.random() < 0.5:
            self._say_deleting(c)
            c.doomed = self.now + PATIENCE * self.rng.random()
        else:
            self._say_deleting(c, with_ike=all_of_it)
            self._end(c, ours=True, with_ike=all_of_it)
        c.larval = []

    def _say_deleting(self, c: Conn, *, with_ike: bool = True) -> None:
        """Log what a pluto of main logs when a connection is taken down by hand."""
        child = c.children[-1].line.serial if c.children else None
        if with_ike and c.ikes:
            ike, rest = c.ikes[-1].line.serial, f" (and Child SA #{child})" if child else ""
            text = f"initiating delete of connection's IKE SA #{ike}{rest}"
            self._say(c, text, serial=None)
            self._say(c, "sent INFORMATIONAL request to delete IKE SA", serial=ike)
        elif child is not None:
            self._say(c, f"initiating delete of connection's Child SA #{child}", serial=None)
            text = "sent INFORMATIONAL request to delete established Child SA using IKE SA #1"
            self._say(c, text, serial=child)

    def lose_peer(self, c: Conn) -> None:
        """End a connection's SAs, as when the peer doesn't answer any more.

        Without an IKE SA, only end the attempt. Pluto 4.10 may also end the SAs of all other
        connections between the same two addresses.
        """
        if not c.ikes:
            c.larval = []
            return
        serial = c.ikes[-1].line.serial
        state = "STATE_V2_ESTABLISHED_IKE_SA" if self.old else "ESTABLISHED_IKE_SA"
        late = "15 second timeout exceeded after 5 retransmits.  No response"
        self._say(c, f"{state}: {late}", serial=serial)
        if not self.old:
            self._lost(c, "peer-dead", ours=False)
        elif self.rng.random() < 0.5:
            self._say(
                c, "liveness action - clearing connection kind CK_PERMANENT", serial=serial
            )  # fmt: skip
            self._lost(c, "peer-dead", ours=True)
        else:
            text = "liveness action - restarting all connections that share this peer"
            self._say(c, text, serial=serial)
            for other in [d for conns in self.tunnels.values() for d in conns]:
                if (other.ours, other.peer) == (c.ours, c.peer):
                    self._say(other, "terminating SAs using this connection", serial=None)
                    self._lost(other, "peer-dead", ours=True)

    def lose_to_peer(self, c: Conn) -> None:
        """End a connection's SAs, as when the peer deletes them. Do nothing without an IKE SA."""
        if not c.ikes:
            return
        for sa in c.children:
            if sa.line.ike_version == 1:
                self._say_v1_delete(c, c.ikes[-1].line.serial, sa.line.serial)
        self._lost(c, "peer-deleted", ours=False)

    def _say_v1_delete(self, c: Conn, phase1: int, gone: int) -> None:
        if self.old:
            text = f"received Delete SA(0x1234abcd) payload: deleting IPsec State #{gone}"
            self._say(c, text, serial=phase1)
        else:
            self._say(c, f"received Delete SA payload via #{phase1}", serial=gone)

    def lose_address(self, ours: str) -> None:
        """Remove one of this machine's addresses, with the SAs of all connections that use it."""
        self._log(f"shutting down interface eth1 {ours}:4500")
        self._log(f"shutting down interface eth1 {ours}:500")
        for c in [d for conns in self.tunnels.values() for d in conns]:
            if c.ours == ours and (c.ikes or c.larval):
                if not self.old:
                    self._say(c, "terminating SAs using this connection", serial=None)
                self._lost(c, "unreachable", ours=True)

    def pass_time(self, now: float) -> None:
        """Advance the clock to ``now``: end lifetimes, and SAs whose Delete got no answer."""
        for c in [d for conns in self.tunnels.values() for d in conns]:
            for sa in [s for s in c.children if s.expires is not None and s.expires <= now]:
                self._expire(c, sa)
            if c.doomed is not None and c.doomed <= now:
                late = "32 second timeout exceeded after 6 retransmits.  No response"
                self._say(c, f"ESTABLISHED_IKE_SA: {late}", serial=c.ikes[-1].line.serial)
                self._because(c.tunnel, "operator")
                self._end(c, ours=False)
        self.now = max(self.now, now)

    def _expire(self, c: Conn, sa: Sa) -> None:
        """End one Child SA whose lifetime is over. If it was rekeyed, its successor stays."""
        if len(c.children) > 1:  # it was rekeyed
            c.children.remove(sa)
            return
        until, self.now = self.now, sa.expires or self.now
        if c.children:
            self._because(c.tunnel, "operator" if c.doomed is not None else "expired")
        if sa.line.ike_version == 1:
            text = "deleting IPsec SA (QUICK_I2) aged 25.0s and NOT sending notification"
        elif self.old:
            text = "CHILD SA expired (LATEST!)"
        else:
            text = "sent INFORMATIONAL request to delete established Child SA using IKE SA #1"
        self._say(c, text, serial=sa.line.serial)
        self._end(c, ours=True, with_ike=False)
        self.now = max(until, self.now)

    def _lost(self, c: Conn, why: str, *, ours: bool) -> None:
        """End a connection's SAs, and record ``why`` as the reason if it was up.

        If the SAs were being deleted by hand, record that as the reason instead. ``ours``: pluto
        sends Deletes, and logs that.
        """
        if c.children:
            self._because(c.tunnel, "operator" if c.doomed is not None else why)
        c.larval = []
        self._end(c, ours=ours)

    def _end(self, c: Conn, *, ours: bool, with_ike: bool = True) -> None:
        """Remove a connection's Child SAs, and with ``with_ike`` its IKE SA; log what pluto logs.

        ``ours``: pluto sends Deletes, and 4.10 logs that.
        """
        for sa in c.ikes if with_ike else ():
            if self.old:
                sent = "and sending" if ours else "and NOT sending"
                text = f"deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 9s {sent} notification"
                self._say(c, text, serial=sa.line.serial)
        for sa in c.children:
            self._say(c, "ESP traffic information: in=0B out=0B", serial=sa.line.serial)
        for sa in c.ikes if with_ike and not self.old else ():
            self._say(c, "deleting IKE SA (established IKE SA)", serial=sa.line.serial)
        c.children = []
        c.doomed = None
        if with_ike:
            c.ikes = []

    # --- clients ----------------------------------------------------------------------------

    def come(self, identity: str, address: str) -> None:
        """Add a client that connects; it replaces its own older instances, from other addresses.

        Do nothing if it is there from this address already.
        """
        known = [c for c in self.clients.values() if c.identity == identity]
        if any(c.address == address for c in known):
            return
        self._instances += 1
        came = Client(
            self._instances, 100 + self._instances, identity, address, self._next(), self._next()
        )
        self._log(f"{came.head} #{came.ike}: processing decrypted IKE_AUTH request: SK{{IDi,AUTH}}")
        established = "responder established IKE SA; authenticated peer using authby=secret"
        self._log(f"{came.head} #{came.ike}: {established}")
        for gone in known:
            self._because(gone.name, "replaced")
            self._replace(gone)
        self._log(f"{came.head} #{came.child}: responder established Child SA using #{came.ike}")
        self.clients[came.name] = came

    def _replace(self, gone: Client) -> None:
        """Remove a client's old instance, which a new one replaces, and log that."""
        with_peer = f"deleting connection instance with peer {gone.address}"
        if self.old:
            self._log(f"{gone.head}: {with_peer} {{isakmp=#{gone.ike}/ipsec=#{gone.child}}}")
            self._leave(gone, "aged 9s and NOT sending notification")
        else:
            self._log(f"{gone.head}: terminating SAs using this connection")
            self._leave(gone, "")
            self._log(f"{gone.head}: {with_peer}")

    def leave(self, client: Client) -> None:
        """Remove a client that has deleted its SAs."""
        self._because(client.name, "peer-deleted")
        self._leave(client, "aged 9s and NOT sending notification")

    def throw_out(self, client: Client) -> None:
        """Bring a client's instance down, as an operator does."""
        self._because(client.name, "operator")
        if self.old:
            self._log(f"{client.head}: terminating SAs using this connection")
        else:
            text = f"initiating delete of connection's IKE SA #{client.ike}"
            self._log(f"{client.head}: {text} (and Child SA #{client.child})")
        self._leave(client, "aged 9s and sending notification")

    def _leave(self, client: Client, how: str) -> None:
        if self.old:
            state = f"deleting state (STATE_V2_ESTABLISHED_IKE_SA) {how}"
            self._log(f"{client.head} #{client.ike}: {state}")
        self._log(f"{client.head} #{client.child}: ESP traffic information: in=0B out=0B")
        del self.clients[client.name]

    def restart(self, *, autostart: bool) -> None:
        """Restart pluto: all SAs, clients and unread log lines are gone, and numbers start again.

        ``autostart``: connections that were wanted are initiated again; else none is wanted.
        """
        self.life += 1
        self._serial = self._instances = 0
        for name in self.names:
            self._because(name, "pluto-restarted")
        self.clients.clear()
        self.log.clear()
        for conns in self.tunnels.values():
            for c in conns:
                c.larval, c.children, c.ikes, c.doomed = [], [], [], None
                c.wanted = autostart and c.wanted
                if c.wanted:
                    self.initiate(c, wanted=True)

    def _because(self, name: str, why: str) -> None:
        """Record a true reason for the loss or removal of a tunnel."""
        self.causes.setdefault(name, set()).add(why)

    def _say(self, c: Conn, text: str, *, serial: int | None = -1) -> None:
        """Log a line about a connection, and about its SA with this serial number.

        Without ``serial`` that is the newest SA of all; None: the line names no SA.
        """
        number = self._serial if serial == -1 else serial
        about = "" if number is None else f" #{number}"
        self._log(f'"{c.name}"{about}: {text.replace("{peer}", c.peer)}')

    def _log(self, text: str) -> None:
        self.log.append(LogLine(START + self.now, text))

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    # --- its report, and the truth ----------------------------------------------------------

    def report(self, second: float) -> Poll:
        """Return the poll at this second, with all connections and SAs that pluto lists then."""
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
                        ours=c.ours,
                        peer=c.peer,
                        ike_version=IkeVersion.V2,
                    )
                )
                states += [_shown(sa, second) for sa in (*c.ikes, *c.children, *c.larval)]
        if self.serves:
            listed.append(connection("rw", peer="%any", serial=100))
        for client in self.clients.values():
            number = (client.number,)
            listed.append(
                connection(
                    "rw", instance=number, peer=client.address, serial=client.serial,
                    remote_id=client.identity, ours="10.0.0.9",
                )
            )  # fmt: skip
            states.append(ike(client.ike, "rw", instance=number))
            states.append(child(client.child, "rw", client.ike, instance=number))
        states.sort(key=lambda s: s.serial)
        assert len({s.serial for s in states}) == len(states)
        pid = 1000 + self.life if self._tells_pid else None
        version = "4.10" if self.old else "5.4-100-main"
        return poll(second, listed, states, pid=pid, version=version)

    @property
    def names(self) -> set[str]:
        """The names of all its tunnels and clients, and of the template if that is loaded."""
        template = {"rw"} if self.serves else set()
        return self.tunnels.keys() | self.clients.keys() | template

    def truth(self, name: str) -> str:
        """Return the true state of a tunnel, of a client or of the template."""
        if name == "rw":
            return "waiting"
        if name in self.clients:
            return "up"
        conns = self.tunnels[name]
        up = sum(c.up for c in conns)
        if up:
            return "up" if up == len(conns) else "partial"
        if any(c.trying for c in conns):
            return "connecting"
        return "waiting" if any(c.on_demand for c in conns) else "down"

    def found(self) -> None:
        """Mark all IKE SAs as if they had had a Child SA, before the tracker gets its first report.

        In its first report, the tracker doesn't take an IKE SA without a Child SA for a
        negotiation.
        """
        for conns in self.tunnels.values():
            for c in conns:
                for sa in c.ikes:
                    sa.carried = True


def _shown(sa: Sa, second: float) -> SaState:
    if sa.expires is None:
        return sa.line
    return replace(sa.line, timers=(Timer("EXPIRE", int(sa.expires - second)),))
