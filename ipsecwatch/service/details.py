# SPDX-License-Identifier: MIT
"""The details of a tunnel that only some may read: addresses, identities, SAs, counters.

Pure: a Tunnel in, typed values out. The keys are part of the D-Bus API; org.ipsecwatch1.Manager.xml
says what each one means (GetDetails). A key whose value isn't known is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import connection_fields
from ipsecwatch.report import SaKind, instance_name
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.sa_times import SaTimes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.report import Connection, SaState, Topology
    from ipsecwatch.service.recent_transitions import RecentTransition
    from ipsecwatch.tracking.sa_times import Since
    from ipsecwatch.tunnel import Tunnel

Typed = tuple[str, object]
"""A D-Bus signature, and a value of that type. A value of the type ``aa{sv}`` is a list of Entry,
so that the values in it are Typed as well."""

Entry = dict[str, Typed]


@dataclass(frozen=True, slots=True)
class Context:
    """What is known about a tunnel from earlier reports. ``sa_times`` is about all tunnels."""

    sa_times: SaTimes = field(default_factory=SaTimes)
    recent: Sequence[RecentTransition] = ()
    """The tunnel's last transitions (KEPT of them at most), the newest last."""
    losses: int = 0
    """How often the tunnel was lost in the hour before pluto's last answer, as
    RecentTransitions.losses() counts."""


def tunnel_details(tunnel: Tunnel, context: Context | None = None) -> Entry:
    """Return all details of a tunnel, those of brief_details() included.

    ``context`` None: nothing is known from earlier reports.
    """
    context = context or Context()
    connections = tunnel.connections
    version = next((c.ike_version for c in connections if c.ike_version), None)
    policy = frozenset(word for c in connections for word in c.policy)
    ends = _ends(tunnel)
    times = context.sa_times
    return brief_details(tunnel, context) | _known(
        LocalAddress=_text(ends.local_host if ends else None),
        LocalIdentity=_text(ends.local_id if ends else None),
        LogLine=_text(tunnel.detail),
        LastIncomingFailure=_text(tunnel.incoming[1]) if tunnel.incoming else None,
        LastIncomingFailureAt=_moment(tunnel.incoming[0]) if tunnel.incoming else None,
        Policy=("as", sorted(clean(word) for word in policy)) if policy else None,
        IkeVersion=("s", str(version)) if version else None,
        AnsweredBoottime=_moment(times.answered) if times.answered else None,
        Children=("aa{sv}", [e for c in connections for e in _children(c)]),
        SAs=("aa{sv}", [_sa(s, times.sas.get(s.serial)) for s in tunnel.states]),
        Transitions=("aa{sv}", [_transition(t) for t in context.recent]),
    )


def brief_details(tunnel: Tunnel, context: Context | None = None) -> Entry:
    """Return only those details of a tunnel that a list of many tunnels shows; it takes less time.

    ``context`` None: nothing is known from earlier reports.
    """
    context = context or Context()
    ends = _ends(tunnel)
    usernames = (s.sa.username for s in tunnel.states if s.sa)
    children = [s for s in tunnel.states if s.kind is SaKind.CHILD]
    idle = [t for s in children if (t := context.sa_times.idle.get(s.key))]
    since = max(idle, key=lambda t: t.boot, default=None)
    return _known(
        Name=("s", tunnel.name),
        Template=_text(_template(tunnel)),
        PeerAddress=_text(tunnel.peer or (ends.remote_host if ends else None)),
        PeerIdentity=_text(ends.remote_id if ends else None),
        Username=_text(next(filter(None, usernames), None)),
        Lease=_text(next(filter(None, map(_lease, tunnel.connections)), None)),
        BytesIn=_number("t", _carried(tunnel, "bytes_in")),
        BytesOut=_number("t", _carried(tunnel, "bytes_out")),
        IdleSince=_moment(since.at) if since else None,
        IdleSeconds=_seconds(context.sa_times.answered - since.boot) if since else None,
        IdleKnown=("b", since.known) if since else None,
        LossesLately=_number("u", context.losses),
    )


def _ends(tunnel: Tunnel) -> Topology | None:
    return next((t for c in tunnel.connections for t in c.topologies), None)


def _template(tunnel: Tunnel) -> str | None:
    """Return the name of the template of which a tunnel is an instance: ``rw`` for ``rw[3]``.

    None: the tunnel is a template itself, or no instance.
    """
    first = next(iter(tunnel.connections), None)
    is_instance = first is not None and first.instance and tunnel.name != clean(first.name)
    return first.name if first is not None and is_instance and not tunnel.instances else None


def _carried(tunnel: Tunnel, counter: str) -> int | None:
    """Return the sum of a counter over all established Child SAs of a tunnel.

    ``counter`` is ``bytes_in`` or ``bytes_out``. None: there is no such SA, or pluto printed no
    counter for one of them.
    """
    children = [s for s in tunnel.states if s.kind is SaKind.CHILD and s.established]
    counts: list[int | None] = [getattr(s.sa, counter, None) for s in children]
    known = [count for count in counts if count is not None]
    return sum(known) if counts and len(known) == len(counts) else None


def _children(connection: Connection) -> list[Entry]:
    """Return the entries for a connection in the key Children, one for each of its topologies.

    (A topology is a pair of subnets.)
    """
    keys = connection_fields(connection)
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
    """Return a part of the entry for one topology in the key Children.

    That is the connection's name, the routing, the subnets, and the serial of the Child SA. What
    comes from the connection's settings is left out, since all its topologies have it in common.
    """
    return _known(
        Connection=("s", instance_name(clean(connection.name), connection.instance)),
        Routing=_text(topology.routing or connection.routing),
        LocalSubnet=_text(topology.local_client),
        PeerSubnet=_text(topology.remote_client),
        Serial=_number("u", connection.newest_child or topology.owner or None),
    )


_HOST: Final = ("/32", "/128")


def _lease(connection: Connection) -> str | None:
    """Return the address that one end assigned to the other (Mode Config, configuration payload).

    If pluto prints ``modecfg info: us:server``, our end assigns addresses, and the peer's subnet is
    the assigned address; with ``us:client`` it is our subnet. None: no address is assigned. So it
    is for a template, and for a client that is down, whose subnet is 0.0.0.0/0.
    """
    ends = [(t.remote_client, t.local_client) for t in connection.topologies]
    if not any(_hosts(client) for pair in ends for client in pair):
        return None  # checked first, since reading all the fields of a connection takes long
    role = str(connection_fields(connection)["our_modecfg"])
    for theirs, ours in ends:
        for host in _hosts({"server": theirs, "client": ours}.get(role)):
            return host
    return None


def _hosts(client: str | None) -> list[str]:
    """Return those traffic selectors of one end that are single addresses, without /32 or /128.

    ``client``: what pluto prints as the subnet of that end: one selector, or several in braces,
    which libreswan prints from 5.3 on; None: nothing.
    """
    selectors = (client or "").strip("{}").split(",")
    return [s.partition("/")[0] for s in selectors if s.endswith(_HOST)]


def _sa(state: SaState, since: Since | None) -> Entry:
    """Return the entry for one SA in the key SAs.

    ``since``: the time since which the SA exists; None: not known.
    """
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
        Since=_moment(since.at) if since else None,
        SinceBoottime=_moment(since.boot) if since else None,
        SinceKnown=("b", since.known) if since else None,
    )


def _transition(transition: RecentTransition) -> Entry:
    """Return the entry for one transition in the key Transitions."""
    return _known(
        Serial=_number("t", transition.serial),
        At=_moment(transition.at),
        Old=("s", str(transition.old or "down")),
        New=("s", str(transition.new)),
        Reason=("s", str(transition.reason)),
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
    """Return a time as Typed, in microseconds; None if it is negative.

    ``at``: the time in seconds, on whichever clock.
    """
    return _number("t", round(at * 1_000_000))


_LIMITS = {"q": 1 << 16, "u": 1 << 32, "t": 1 << 64}


def _number(signature: str, value: int | None) -> Typed | None:
    """Return a number as Typed, with the D-Bus type ``signature`` (q, u or t).

    None: the number isn't known (None), or doesn't fit the type: numbers come from pluto's text,
    which may have any.
    """
    if value is None or not 0 <= value < _LIMITS[signature]:
        return None
    return signature, value
