# SPDX-License-Identifier: MIT
"""What only root may know of a tunnel: addresses, identities, SAs and their counters.

Pure: a Tunnel in, typed values out. The keys are part of the API; org.ipsecwatch1.Manager.xml says
what each one means (GetDetails). A value that isn't known has no key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import connection_fields
from ipsecwatch.report import instance_name
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from ipsecwatch.libreswan.status.connection_fields import Fields
    from ipsecwatch.report import Connection, SaState, Topology
    from ipsecwatch.tunnel import Tunnel

Typed = tuple[str, object]
"""A D-Bus signature and a value of that type. In ``aa{sv}`` the values are Typed again."""

Entry = dict[str, Typed]


def tunnel_details(tunnel: Tunnel) -> Entry:
    """Tell all that the last report said of a tunnel."""
    connections = tunnel.connections
    topologies = [t for c in connections for t in c.topologies]
    ends = topologies[0] if topologies else None
    version = next((c.ike_version for c in connections if c.ike_version), None)
    usernames = (s.sa.username for s in tunnel.states if s.sa)
    policy = frozenset(word for c in connections for word in c.policy)
    keys = [connection_fields(c) for c in connections]
    return _known(
        Name=("s", tunnel.name),
        PeerAddress=_text(tunnel.peer or (ends.remote_host if ends else None)),
        LocalAddress=_text(ends.local_host if ends else None),
        LocalIdentity=_text(ends.local_id if ends else None),
        PeerIdentity=_text(ends.remote_id if ends else None),
        Username=_text(next(filter(None, usernames), None)),
        Lease=_text(next(filter(None, map(_lease, connections, keys)), None)),
        LogLine=_text(tunnel.detail),
        LastIncomingFailure=_text(tunnel.incoming[1]) if tunnel.incoming else None,
        LastIncomingFailureAt=_moment(tunnel.incoming[0]) if tunnel.incoming else None,
        Policy=("as", sorted(clean(word) for word in policy)) if policy else None,
        IkeVersion=("s", str(version)) if version else None,
        Children=(
            "aa{sv}",
            [e for c, k in zip(connections, keys, strict=True) for e in _children(c, k)],
        ),
        SAs=("aa{sv}", [_sa(s) for s in tunnel.states]),
    )


def _children(connection: Connection, keys: Fields) -> list[Entry]:
    same = _known(
        IkeAlgorithms=_word(keys["ike_algorithm"]),
        ChildAlgorithms=_word(keys["esp_algorithm"] or keys["ah_algorithm"]),
        IkeLifetime=_seconds(keys["ike_life"]),
        ChildLifetime=_seconds(keys["ipsec_life"]),
        DpdDelay=_seconds(keys["dpd_delay"]),
        DpdTimeout=_seconds(keys["dpd_timeout"]),
        DpdAction=_word(keys["dpd_action"]),
    )
    return [_child(connection, topology) | same for topology in connection.topologies]


def _child(connection: Connection, topology: Topology) -> Entry:
    return _known(
        Connection=("s", instance_name(clean(connection.name), connection.instance)),
        Routing=_text(topology.routing or connection.routing),
        LocalSubnet=_text(topology.local_client),
        PeerSubnet=_text(topology.remote_client),
        Serial=_number("u", connection.newest_child or topology.owner or None),
    )


_HOST: Final = ("/32", "/128")


def _lease(connection: Connection, keys: Fields) -> str | None:
    """Find the address that one end gave the other, by Mode Config or a configuration payload.

    Who gives is said by ``modecfg info: us:server``, what was given by the subnet of the other end:
    a template has none, and a client that is down has 0.0.0.0/0.
    """
    role = keys["our_modecfg"]
    for topology in connection.topologies:
        given = {"server": topology.remote_client, "client": topology.local_client}.get(str(role))
        for selector in (given or "").strip("{}").split(","):  # from 5.3 on in braces
            if selector.endswith(_HOST):
                return selector.partition("/")[0]
    return None


def _sa(state: SaState) -> Entry:
    sa = state.sa
    timers = {clean(e.name): e.seconds for e in state.timers if e.seconds is not None}
    return _known(
        Serial=_number("u", state.serial),
        Parent=_number("u", state.parent_serial),
        Connection=("s", instance_name(clean(state.name), state.instance)),
        Kind=_text(state.kind),
        Role=_text(state.role),
        Stage=("s", str(state.stage)),
        Established=("b", state.established),
        State=_text(state.state_name),
        Story=_text(state.story),
        PeerAddress=_text(state.remote_address),
        PeerPort=_number("q", state.remote_port),
        Transport=_text(state.transport),
        LocalSubnet=_text(state.local_client),
        PeerSubnet=_text(state.remote_client),
        BytesIn=_number("t", sa.bytes_in if sa else None),
        BytesOut=_number("t", sa.bytes_out if sa else None),
        Timers=("a{sx}", timers) if timers else None,
    )


def _known(**values: Typed | None) -> Entry:
    return {key: value for key, value in values.items() if value is not None}


def _text(value: str | None) -> Typed | None:
    return ("s", clean(str(value))) if value else None


def _word(value: object) -> Typed | None:
    return _text(value) if isinstance(value, str) else None


def _seconds(value: object) -> Typed | None:
    return ("d", float(value)) if isinstance(value, int | float) else None


def _moment(at: float) -> Typed | None:
    """Give a moment of the wall clock, in microseconds since the epoch."""
    return _number("t", round(at * 1_000_000))


_LIMITS = {"q": 1 << 16, "u": 1 << 32, "t": 1 << 64}


def _number(signature: str, value: int | None) -> Typed | None:
    """Leave out what doesn't fit, too: a number is what pluto's text says, and text may lie."""
    if value is None or not 0 <= value < _LIMITS[signature]:
        return None
    return signature, value
