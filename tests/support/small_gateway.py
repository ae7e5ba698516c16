# SPDX-License-Identifier: MIT
"""A made-up gateway with tunnels to offices and users, with all values that screens show.

Ages are in days, so that what is shown doesn't change while a test runs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipsecwatch.report import (
    Connection,
    IkeVersion,
    LogState,
    Role,
    SaKind,
    SaLine,
    SaState,
    Stage,
    Timer,
    Topology,
    instance_name,
)
from ipsecwatch.tracking.sa_times import SaTimes, Since
from ipsecwatch.tunnel import Reason, Tunnel, TunnelState
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from tests.support.bus_service import Service

DAY = 86400.0
_LINES = (
    "x",
    "  modecfg info: us:server, them:client, modecfg policy:push, dns:unset, domains:unset;",
    "  ike_life: 28800s; ipsec_life: 28800s;",
    "  liveness: active; dpdaction:restart; dpddelay:5s; retransmit-timeout:15s",
    "  IKEv2 algorithm newest: AES_GCM_16_256-HMAC_SHA2_512-MODP2048",
    "  ESP algorithm newest: AES_GCM_16_256-NONE; pfsgroup=<Phase1>",
)


@dataclass
class Office:
    """One tunnel of the gateway, described by the values in which the tunnels differ."""

    name: str
    state: TunnelState
    days: float
    """For how many days it has been in its state."""
    peer: str
    identity: str
    serial: int
    theirs: str = "10.2.0.0/16"
    carried: tuple[int, int] = (1 << 20, 1 << 19)
    """How many bytes came in and went out."""
    user: str | None = None
    instance: tuple[int, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    """Further fields of the Tunnel."""

    def tunnel(self, boot: float) -> Tunnel:
        """Return the Tunnel; ``boot`` is the present time of the boot-time clock."""
        up = self.state in (TunnelState.UP, TunnelState.PARTIAL)
        return tunnel(
            instance_name(self.name, self.instance), self.state, peer=self.peer,
            since=time.time() - self.days * DAY, since_boot=boot - self.days * DAY, children=1,
            children_up=int(up), connections=(self._connection(),),
            states=tuple(self._states()) if up else (), **self.more,
        )  # fmt: skip

    def _connection(self) -> Connection:
        """Return the tunnel's connection as the parser reads it from a status."""
        ours = "0.0.0.0/0" if self.instance else "10.1.0.0/16"
        topology = Topology(
            "", "erouted", ours, "198.51.100.1", "@gw.example.org", self.peer, self.identity,
            self.theirs,
        )  # fmt: skip
        return Connection(
            self.name, self.instance, (topology,), frozenset({"IKEv2", "PSK", "UP"}),
            ike_version=IkeVersion.V2, newest_child=self.serial + 1,
            text="\n".join(f'"{self.name}": {line}' for line in _LINES),
        )  # fmt: skip

    def _states(self) -> list[SaState]:
        """Return the tunnel's IKE SA and Child SA, as the parser reads them from a status."""
        timers = (Timer("REKEY", 17010), Timer("REPLACE", 18000))
        carried = SaLine(bytes_in=self.carried[0], bytes_out=self.carried[1], username=self.user)
        ike, child = (
            SaState(
                self.serial + n, self.name, self.instance, f"established {kind} SA", kind,
                Role.INITIATOR, Stage.ESTABLISHED, 2, remote_port=4500, timers=timers,
            )
            for n, kind in enumerate((SaKind.IKE, SaKind.CHILD))
        )  # fmt: skip
        child.parent_serial, child.sa = self.serial, carried
        return [ike, child]


OFFICES = (
    Office("paris", TunnelState.UP, 1.5, "203.0.113.7", "@paris", 11, carried=(7 << 30, 912 << 20)),
    Office(
        "office", TunnelState.STUCK, 2.2, "203.0.113.20", "@office", 21,
        more={
            "reason": Reason.AUTHENTICATION, "attempts": 7,
            "detail": '"office" #44: authentication failed \x1b[2J',
        },
    ),
    Office(
        "london", TunnelState.PARTIAL, 3.1, "203.0.113.9", "@london", 31,
        more={"reason": Reason.TRAFFIC_SELECTORS},
    ),
    Office(
        "berlin", TunnelState.UP, 8.1, "2001:db8:1234:5678::9", "C=DE, O=Example, CN=berlin", 41,
        carried=(120 << 20, 80 << 20),
    ),
    Office(
        "lab", TunnelState.DOWN, 9.3, "203.0.113.77", "@lab", 51, more={"reason": Reason.OPERATOR}
    ),
)  # fmt: skip

USERS = ("alice", "bob", "carol@example.org", "mallory\x1b[31m\u202e", "山田太郎")


def road_warriors(users: tuple[str, ...] = USERS) -> list[Office]:
    """Return the instances of the template ``rw``, one for each of these users."""
    return [
        Office(
            "rw", TunnelState.UP, 1.1 + n, f"192.0.2.{10 + n}", f"@device{n}", 101 + 10 * n,
            theirs=f"10.99.0.{n + 2}/32", carried=(1 << (12 + 3 * n % 20), 1 << 10), user=user,
            instance=(n + 1,),
        )
        for n, user in enumerate(users)
    ]  # fmt: skip


async def show(service: Service, *offices: Office) -> None:
    """Publish these tunnels, and also the template ``rw`` if some of them are its instances."""
    boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    tunnels = [office.tunnel(boot) for office in offices]
    count = sum(bool(office.instance) for office in offices)
    if count:
        tunnels.append(
            tunnel(
                "rw", TunnelState.WAITING, peer="%any", instances=count,
                since=time.time() - 20 * DAY, since_boot=boot - 20 * DAY - 60,
            )
        )  # fmt: skip
    ago = Since(time.time() - 3.3 * DAY, boot - 3.3 * DAY, known=True)
    states = [s for t in tunnels for s in t.states]
    times = SaTimes({s.serial: ago for s in states}, {s.key: ago for s in states}, boot)
    service.tunnels = {t.name: t for t in tunnels}
    await service.publish([], last_poll=time.time(), sa_times=times, log=LogState.JOURNAL)
