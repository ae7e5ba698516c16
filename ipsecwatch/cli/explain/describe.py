# SPDX-License-Identifier: MIT
"""Describes one tunnel of a status in plain words: its ends, state and SAs, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.cli.display import terminal
from ipsecwatch.libreswan import glossary, state_table
from ipsecwatch.libreswan.status import connection_fields
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.report import Part, Role, SaKind, Stage
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.reason_text import reason_text
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipsecwatch.report import Connection, SaState, Topology, Traffic
    from ipsecwatch.tunnel import Tunnel

Facts = list[tuple[str, str]]
"""Pairs of a label and a paragraph, in the order in which they are shown. A pair whose paragraph is
"" isn't shown."""

_FEW: Final = 6
"""This many of a tunnel's SAs, subnets, addresses or names are shown at most; the others are only
counted."""


def tunnel(t: Tunnel, counters: Mapping[int, Traffic], *, all_listed: bool = True) -> Facts:
    """Return the facts about a tunnel of a status: its ends, state, SAs, cause, and what to do.

    ``counters``: the lines of ``trafficstatus`` in the text, by the serial number of their Child
    SA. ``all_listed``: the text has the whole list of connections; otherwise it may lack some
    connections, also of this tunnel.
    """
    told = reason_text(t.reason, t)
    return [
        ("here", _end([_Side(x.local_host, x.local_id, x.local_client) for x in _pairs(t)])),
        ("there", _end([_their_side(x) for x in _pairs(t)])),
        ("is", _state(t, counters, all_listed=all_listed)),
        *_sas(t, counters),
        *_counted(t, counters),
        ("likely", "" if t.unresolved or t.reason in _UNTOLD or _is_guess(t) else told.sentence),
        ("if it stays", _sticks(t)),
        ("what to do", _advice(t)),
    ]


_UNTOLD: Final = (Reason.NONE, Reason.OTHER)
"""Reasons whose sentence isn't shown, as it would explain nothing."""


# --- What it joins --------------------------------------------------------------------------


class _Side(NamedTuple):
    """One end, ours or the peer's, of a pair of subnets, as pluto prints it.

    ``host`` is the address, or a peer's DNS name that doesn't resolve; ``client`` is the subnet
    behind it. Each is None where the text doesn't have it.
    """

    host: str | None
    identity: str | None
    client: str | None


def _pairs(t: Tunnel) -> list[Topology]:
    """Return the tunnel's pairs of subnets, to show its two ends.

    For an opportunistic group, they are those of the networks in it. Else they are those of the
    tunnel's instances, such as ``rw[3]``, if it has any, and else those of all its connections.
    """
    instances = [c for c in t.connections if c.instance]
    networks = [c for c in t.connections if "GROUPINSTANCE" in c.policy and not c.instance]
    return [x for c in networks or instances or t.connections for x in c.topologies]


def _their_side(x: Topology) -> _Side:
    return _Side(x.unresolved or x.remote_host, x.remote_id, x.remote_client)


def _end(sides: list[_Side]) -> str:
    """Return one end of a tunnel as text, from this end of all its pairs of subnets.

    It has the subnets, the addresses, and the identities that differ from the addresses:
    ``10.1.0.0/16 behind 192.0.2.1, as @gw``. Return "" where ``sides`` is empty.
    """
    if not sides:
        return ""
    clients = _few([clean(s.client) for s in sides if s.client])
    hosts = _few([_host(s.host) for s in sides])
    names = [
        clean(s.identity, 80) for s in sides
        if s.identity and s.identity not in (s.host, "%fromcert", "%none", "ID_NULL")
    ]  # fmt: skip
    shown = f"{clients} behind {hosts}" if clients else hosts
    return f"{shown}, as {_few(names)}" if names else shown


def _host(host: str | None) -> str:
    for start, told in _NOT_HOSTS:
        if host is not None and host.startswith(start):
            return told
    return clean(host) if host else "an unknown address"


_NOT_HOSTS: Final = (
    ("%any", "any address"), ("%opportunistic", "any peer of the group"),
    ("%group", "any peer of the group"), ("%virtual", "any address"),
)  # fmt: skip
"""Words that pluto prints in place of an address (their beginning), and how they are shown."""


def _few(names: Iterable[str]) -> str:
    """Return these names as text, each once: the first _FEW, and how many more there are."""
    all_ = list(dict.fromkeys(names))
    more = f" and {len(all_) - _FEW} more" if len(all_) > _FEW else ""
    return ", ".join(all_[:_FEW]) + more


# --- How it is ------------------------------------------------------------------------------


def _state(t: Tunnel, counters: Mapping[int, Traffic], *, all_listed: bool) -> str:
    """Return the tunnel's state in words, with details that the status shows, such as its cause.

    ``counters`` and ``all_listed`` are as in tunnel().
    """
    if t.unresolved is not None and not t.state.carries:
        return f"{t.state.value}. {reason_text(Reason.UNREACHABLE, t).sentence}"
    if _unoriented(t):
        return f"{t.state.value}. {glossary.ROUTING['unoriented']}"
    if t.state is TunnelState.UP:
        return _up(t, counters, all_listed=all_listed)
    if t.state is TunnelState.PARTIAL:
        shown = f"{t.children} pairs of subnets"
        counted = shown if all_listed else f"the {shown} that the text shows"
        return f"{t.children_up} of {counted} are up; {_missing(t)}"
    if t.state is TunnelState.WAITING:
        return _waiting(t, all_listed=all_listed)
    if t.state is TunnelState.DOWN:
        return _down(t)
    return _unknown(t) if t.state is TunnelState.UNKNOWN else _trying(t)


def _up(t: Tunnel, counters: Mapping[int, Traffic], *, all_listed: bool) -> str:
    """Return in words that the tunnel is up, with its number of pairs of subnets if it has several.

    Where the text has no SA of the tunnel, the words say what else shows that it is up: a line of
    ``trafficstatus``, or the connection list.
    """
    told = "up" if t.children < 2 else f"up: all {t.children} pairs of subnets"
    if not all_listed and any(c.name != t.name and not c.instance for c in t.connections):
        pairs = f"{t.children} pairs" if t.children > 1 else "one pair"
        told = f"up: the {pairs} of subnets that the text shows"
    if t.states:
        return told
    return f"{told}, as its traffic shows" if _own(t, counters) else f"{told}, {_BY_LIST}"


_BY_LIST: Final = "as the connection list has it"


def _unknown(t: Tunnel) -> str:
    """Return in words which part of the text is missing, so that the tunnel's state isn't known.

    What is known nevertheless follows: how many pairs of subnets are up, or that the IKE SA is up.
    """
    told = f"not known: {', and '.join(terminal.MISSING[part] for part in t.missing)}"
    if t.children_up:
        return f"{told}. {t.children_up} of {t.children} pairs of subnets are up"
    if not _has_ike(t):
        return told
    return f"{told}. {'The IKE SA is up' if Part.STATES in t.missing else _CHILDLESS}"


_CHILDLESS: Final = "The IKE SA is up, but there is no Child SA: no traffic can pass"


def _missing(t: Tunnel) -> str:
    """Return as text which of the tunnel's connections aren't up: ``missing: office/1x2``."""
    return f"missing: {_few(clean(c.name) for c in without_child(t))}"


def without_child(t: Tunnel) -> list[Connection]:
    """Return the connections of a tunnel that aren't up: those without an established Child SA.

    Where the text has no established Child SA of the tunnel at all, they are those for which the
    connection list names none.
    """
    up = {(s.name, s.instance) for s in t.states if _is_child(s)} or {
        (c.name, c.instance) for c in t.connections if c.newest_child is not None
    }
    return [c for c in t.connections if c.key not in up]


def names_up(tunnels: Iterable[Tunnel]) -> set[str]:
    """Return the names of the connections that are up, of all these tunnels."""
    found = set()
    for t in (t for t in tunnels if t.state.carries):
        missing = without_child(t)
        found |= {
            c.full_name for c in t.connections if t.state is TunnelState.UP or c not in missing
        }
    return found


def _waiting(t: Tunnel, *, all_listed: bool) -> str:
    """Return in words what a tunnel in the state WAITING waits for.

    It waits for the first packet, or, as a template, for peers; then the words also say how many
    peers are connected now.
    """
    if t.instances:
        shown = "" if all_listed else ", as far as the text shows"
        return f"a template for any peer; {t.instances} connected now{shown}"
    if not t.children and not all_listed:
        return "a template for any peer; the text doesn't show whether a peer is connected"
    if not t.children:  # a template's trap starts nothing: it has no address to call
        return "a template for any peer; no peer is connected"
    return "waiting: the first packet for the other side starts it"


def _down(t: Tunnel) -> str:
    """Return in words that the tunnel is down, and why.

    The cause is that the IKE SA has no Child SA, what the routing shows (_TOLD_ROUTINGS), or else
    that pluto wasn't asked to bring the tunnel up.
    """
    if _has_ike(t):
        return f"down. {_CHILDLESS}, and pluto wasn't asked to set one up"
    routing = _routing(t)
    if routing in _TOLD_ROUTINGS:
        return f"down. {glossary.ROUTING[routing]}"
    return "down: it is loaded, and pluto wasn't asked to bring it up"


_TOLD_ROUTINGS: Final = ("fail erouted", "routed-failure", "eroute eclipsed")
"""The routings of a connection that show why a tunnel is DOWN."""


def _routing(t: Tunnel) -> str | None:
    """Return the routing, in pluto's word, of the tunnel's first connection that has one.

    Return None where the text has no routing of any of its connections.
    """
    return next((c.routing for c in t.connections if c.routing), None)


def _has_ike(t: Tunnel) -> bool:
    return any(s.kind is SaKind.IKE and s.established for s in t.states)


def _trying(t: Tunnel) -> str:
    """Return in words how far the negotiation of a tunnel in CONNECTING or STUCK has come.

    Where the text shows no negotiation that we began, they say what it shows instead: that the IKE
    SA is up, that the SAs aren't in the text, or that pluto pauses between two attempts.
    """
    state = _furthest(t.states)
    if _lacks_key(t):
        return "connecting. The peer has answered the first request; pluto hasn't sent another"
    if state is not None:
        return f"connecting. {_meaning(state)}"
    if _has_ike(t):
        return "connecting: the IKE SA is up, and there is no Child SA yet"
    if Part.STATES in t.missing and not any(c.wanted_up for c in t.connections):
        return f"connecting, {_BY_LIST}"
    if Part.STATES in t.missing:
        return "it should be up; the text doesn't show whether it is being negotiated"
    pauses = (
        "connecting: it should be up, but at this moment nothing is being negotiated. pluto pauses "
        "between attempts (from 5.0 on, up to 300 s), and a refused attempt leaves no trace"
    )
    # From 5.0 on pluto leaves a trap behind, so that nothing travels in the clear meanwhile.
    was_up = any(c.routing == "routed-ondemand" and "ROUTE" not in c.policy for c in t.connections)
    return f"{pauses}. It was up before" if was_up else pauses


def _furthest(states: Sequence[SaState]) -> SaState | None:
    """Return the SA whose negotiation has come furthest, of those that we began.

    Only negotiations that aren't finished count. Return None where there is none.
    """
    begun = [s for s in states if s.role is Role.INITIATOR and s.stage in _STAGES]
    return max(begun, key=lambda s: _STAGES.index(s.stage), default=None)


_STAGES: Final = (
    Stage.HALF_OPEN, Stage.OPEN, Stage.AUTHENTICATING, Stage.CONFIG, Stage.NEGOTIATING_CHILD,
)  # fmt: skip


def _is_trying(t: Tunnel) -> bool:
    return t.state in (TunnelState.CONNECTING, TunnelState.STUCK)


def _sticks(t: Tunnel) -> str:
    """Return what is likely wrong if the tunnel's negotiation stays in its present state.

    Return "" where that isn't known, where no negotiation that we began is in progress, and for a
    tunnel that is neither CONNECTING nor STUCK.
    """
    if _lacks_key(t):
        return "Our own secret or private key is missing, so pluto can't prove who we are."
    state = _furthest(t.states) if _is_trying(t) else None
    known = _story(state) if state is not None else None
    return known.sticks if known is not None else ""


def _lacks_key(t: Tunnel) -> bool:
    """Return whether pluto seems to have no secret or private key of ours for the tunnel.

    Then the reason is AUTHENTICATION before anybody could refuse anything: only the timers of the
    first request show that the peer answered it (stage_reason).
    """
    guessed = t.reason is Reason.AUTHENTICATION and t.detail is None and _is_trying(t)
    state = _furthest(t.states) if guessed else None
    return state is not None and state.stage in (Stage.HALF_OPEN, Stage.OPEN)


def _is_guess(t: Tunnel) -> bool:
    """Return whether nothing but the stage of the tunnel's negotiation suggests a refusal.

    The state then is one in which the peer hasn't refused anything, so _sticks() says what else may
    be wrong.
    """
    refused = t.reason in (Reason.AUTHENTICATION, Reason.CREDENTIALS) and t.detail is None
    state = _furthest(t.states) if refused and _is_trying(t) else None
    return state is not None and (state.story in _NOT_REFUSED or _lacks_key(t))


_NOT_REFUSED: Final = (
    "sent IKE_AUTH request",
    "XAUTH client - awaiting CFG_request", "XAUTH client - possibly awaiting CFG_request",
)  # fmt: skip
"""The stories of states that a refusal ends (from 4.0 on: 3.23 and older ones go on asking in
IKE_AUTH), and of those in which nothing was sent that could be refused."""


def _advice(t: Tunnel) -> str:
    """Return what to do about the tunnel's state; "" where there is no advice for it."""
    if t.unresolved is not None:
        return reason_text(Reason.UNREACHABLE, t).advice
    if _unoriented(t):
        return "Check that the interface of left= is up, and that left= or right= is its address."
    if t.state is TunnelState.UNKNOWN and _has_ike(t) and Part.STATES not in t.missing:
        return f"If a Child SA is wanted: {REASON_TEXTS[Reason.CHILD_MISSING].advice}"
    if _lacks_key(t):
        return _GIVE_KEY
    if t.reason is Reason.AUTHENTICATION and _is_guess(t):
        return _READ_ITS_LOG
    return reason_text(t.reason, t).advice


_GIVE_KEY: Final = (
    "The log names the key: journalctl -u ipsec. Give ipsec.secrets a secret for leftid= and "
    "rightid=, or the NSS database the private key that belongs to leftcert=."
)
_READ_ITS_LOG: Final = (
    "Let UDP 4500 and fragments pass, and read the log of the peer. If it refuses us, compare "
    "leftid, rightid and the secret or certificate on both sides."
)


def is_idle(t: Tunnel) -> bool:
    """Return whether a tunnel is DOWN only because pluto wasn't asked to bring it up.

    That is assumed of a tunnel that is DOWN, has no SA in the text, and shows no other cause: a
    peer's name that doesn't resolve, no address of this machine at either end, or a routing by
    which a negotiation failed or another connection has its route (_TOLD_ROUTINGS).
    """
    well = t.unresolved is None and not _unoriented(t) and _routing(t) not in _TOLD_ROUTINGS
    return t.state is TunnelState.DOWN and not t.states and well


def is_well(t: Tunnel) -> bool:
    """Return whether a tunnel is UP, and its SAs are in the text and show no trouble.

    They show none if each is established, is the newest of its kind for its connection, and has no
    request that the peer still has to answer.
    """
    settled = all(
        s.established and not _is_succeeded(s, t.states) and not _silence(s) for s in t.states
    )
    return t.state is TunnelState.UP and bool(t.states) and settled


def how_to_start(name: str, version: str | None) -> str:
    """Return the command that brings a tunnel up: ``ipsec up NAME``, before 5.0 another one.

    ``version``: libreswan's release; None: it isn't known, and both commands are returned.
    """
    if version is None:
        return f"ipsec up {name} (3.x and 4.x: ipsec auto --up {name})"
    return f"ipsec auto --up {name}" if version < "5" else f"ipsec up {name}"


def _unoriented(t: Tunnel) -> bool:
    return bool(t.connections) and all(c.oriented is False for c in t.connections)


# --- Its SAs --------------------------------------------------------------------------------


def _sas(t: Tunnel, counters: Mapping[int, Traffic]) -> Facts:
    """Return the facts about the tunnel's SAs: one for each of the first _FEW.

    Where there are more SAs, the last fact says how many.
    """
    by_name = {(c.name, c.instance): c for c in t.connections}
    told = _furthest(t.states) if _is_trying(t) else None
    found: Facts = []
    for s in t.states[:_FEW]:
        label = "Child SA" if s.kind is SaKind.CHILD else "IKE SA"
        connection = by_name.get((s.name, s.instance))
        counted = counters.get(s.serial)
        found.append((label, sa(s, t.states, connection, counted, known=s is told)))
    if len(t.states) > len(found):
        found.append(("", f"and {len(t.states) - len(found)} more SAs"))
    return found


def _own(t: Tunnel, counters: Mapping[int, Traffic]) -> list[Traffic]:
    """Return the lines of ``trafficstatus`` for Child SAs of the tunnel that aren't in its states.

    A text may have these lines without the status of the same SAs.
    """
    keys = {c.key for c in t.connections}
    told = {s.serial for s in t.states}
    return [x for x in counters.values() if (x.name, x.instance) in keys and x.serial not in told]


def _counted(t: Tunnel, counters: Mapping[int, Traffic]) -> Facts:
    """Return the facts about the tunnel's Child SAs that only ``trafficstatus`` shows.

    There is one for each of the first _FEW; where there are more, the last fact says how many.
    """
    own = _own(t, counters)
    more = [("", f"and {len(own) - _FEW} more Child SAs")] if len(own) > _FEW else []
    return [("Child SA", traffic(x)) for x in own[:_FEW]] + more


def sa(
    s: SaState,
    all_: Iterable[SaState],
    connection: Connection | None,
    counted: Traffic | None = None,
    *,
    known: bool = False,
) -> str:
    """Return one SA in words: number, state, and what happens to it next.

    Of an established SA, they also say age, traffic and user; of any other, for how long our
    request has been unanswered. ``all_``: SAs among which a newer one of its connection may be.
    ``counted``: the SA's line of ``trafficstatus``; None: there is none. ``known``: leave out the
    meaning of the SA's state, because another paragraph has it.
    """
    parts = [f"#{s.serial} {_standing(s, all_, connection, known=known)}"]
    if s.established:
        parts += [_age(s, connection, counted), _carried(s, counted), _user(s)]
    else:
        parts.append(_patience(s, connection))
    parts += [_next(s), _silence(s, connection)]
    return "; ".join(filter(None, parts))


def _standing(
    s: SaState, all_: Iterable[SaState], connection: Connection | None, *, known: bool
) -> str:
    """Return in words that an SA is established, and if it isn't the newest, why.

    Of any other SA, return its state as pluto prints it, and, without ``known``, what that means.
    """
    if s.established and _is_succeeded(s, all_):
        return f"is established{_successor(s, all_, connection)}"
    if s.established:
        return "is established"
    said = clean(s.state_name or s.story, 80)
    return f"is at “{said}”" if known else f"is at “{said}”: {_meaning(s, lower=True)}"


def _is_succeeded(s: SaState, all_: Iterable[SaState]) -> bool:
    """Return whether an SA is not, or no longer, the newest of its kind for its connection.

    pluto prints the word "newest" in the newest one's line. A line that was cut off may have lost
    this word: such an SA counts as the newest, unless another SA of its kind and connection has the
    word.
    """
    if s.newest:
        return False
    line = s.text.rstrip()
    if not s.extra and (line.endswith(";") or "idle" in line):
        return True
    return _has_newer(s, all_)


def _has_newer(s: SaState, all_: Iterable[SaState]) -> bool:
    return any(o.newest and o.kind is s.kind and o.key == s.key for o in all_)


def _successor(s: SaState, all_: Iterable[SaState], connection: Connection | None) -> str:
    """Return the end of a sentence about an established SA that isn't the newest.

    It says that the SA has a successor, that its connection uses no Child SA, or, where neither
    shows, only that it isn't the newest.
    """
    if s.kind is SaKind.CHILD and not s.eroute_owner and connection and connection.names_no_child:
        return ", but its connection uses no Child SA"
    return ", and has a successor" if _has_newer(s, all_) else ", but isn't the newest"


def _meaning(s: SaState, *, lower: bool = False) -> str:
    """Return the meaning of an SA's state, or words that ipsecwatch doesn't know this state.

    ``lower``: let it begin with a small letter, unless it begins with "IKE".
    """
    known = _story(s)
    told = (
        known.meaning.rstrip(".") if known is not None else "a state that ipsecwatch doesn't know"
    )
    return told[:1].lower() + told[1:] if lower and not told.startswith("IKE") else told


def _story(s: SaState) -> state_table.StateInfo | None:
    found = state_table.find(s.state_name or s.story)
    fitting = [x for x in found if x.ike_version in (s.ike_version, None) and x.kind is s.kind]
    return next(iter(fitting or found), None)


def _age(s: SaState, connection: Connection | None, counted: Traffic | None) -> str:
    """Return as text since when an SA has existed (``since …``), or its age (``… old``).

    The time is that of its line of ``trafficstatus``. Without that, the age is the configured
    lifetime of SAs less the time that this SA has left. Return "" where neither is known. This is
    no age of the tunnel, which is older than its SAs after a rekey.
    """
    if counted is not None and counted.add_time:
        return f"since {terminal.moment(counted.add_time)}"
    end = s.timer("REPLACE") or s.timer("EXPIRE")
    if connection is None or end is None or end.seconds is None:
        return ""
    life = connection_fields(connection)["ipsec_life" if s.kind is SaKind.CHILD else "ike_life"]
    # IKEv1 plans the renewal some minutes before the end; how many isn't known. So did IKEv2 until
    # it got a timer of its own for that, REKEY.
    without_rekey = end.name == "EVENT_SA_REPLACE" and s.timer("REKEY") is None
    early = s.ike_version == 1 or without_rekey
    if not isinstance(life, int) or (early and not end.name.endswith("EXPIRE")):
        return ""
    age = life - end.seconds
    return f"{terminal.ago(age)} old" if 0 <= age <= life else ""


def _patience(s: SaState, connection: Connection | None) -> str:
    """Return as text for how long, at least, our request about an SA has had no answer.

    Return "" for less than _LONG seconds, and where no repetition of a request is due. pluto
    repeats a request after its retransmit-interval, and then each time after twice the pause
    before. The time left until the next repetition shows how long the present pause must be, and so
    how long all pauses before it were.
    """
    event = s.timer("RETRANSMIT")
    if event is None or event.seconds is None:
        return ""
    interval = (
        connection_fields(connection)["retransmit_interval"] if connection is not None else 0.5
    )
    if not isinstance(interval, int | float) or not 0.1 <= interval <= 10:
        return ""
    pause = interval
    while pause < event.seconds:
        pause *= 2
    waited = (pause - interval) + (pause - event.seconds) - 1  # seconds left are rounded down
    return f"unanswered for {terminal.ago(waited)} or longer" if waited >= _LONG else ""


_LONG: Final = 10
"""The number of seconds for which a request must be unanswered before it is mentioned."""


def _carried(s: SaState, counted: Traffic | None) -> str:
    """Return in words how many bytes a Child SA has received and sent.

    They are from its line of ``trafficstatus`` if that has them, else from the status. Where the
    bytes aren't there, but the status's line for the SA's traffic is, the words say so; else return
    "". Return "" for an IKE SA, too.
    """
    if s.kind is not SaKind.CHILD:
        return ""
    told = [(x.bytes_in, x.bytes_out) for x in (counted, s.sa) if x is not None]
    got, sent = next((x for x in told if None not in x), (None, None))
    if got is None or sent is None:
        return _UNCOUNTED if s.sa is not None else ""
    remark = ", so nothing comes back" if sent and not got else ""
    return f"{amount(got)} in, {amount(sent)} out{remark}"


_UNCOUNTED: Final = "the text shows no counters of it"


def traffic(t: Traffic) -> str:
    """Return in words a line of ``trafficstatus``: since when, bytes, and who the peer is."""
    got, sent = t.bytes_in, t.bytes_out
    carried = "" if got is None or sent is None else f"{amount(got)} in, {amount(sent)} out"
    who = t.username or t.id
    parts = [
        f"#{t.serial}",
        f"since {terminal.moment(t.add_time)}" if t.add_time else "",
        carried or _UNCOUNTED,
        f"peer {clean(t.remote_address)}" if t.remote_address else "",
        f"user {clean(t.username, 80)}"
        if t.username
        else f"peer's name {clean(who, 80)}"
        if who
        else "",
        f"address {clean(', '.join(t.lease))}" if t.lease else "",
    ]
    return "; ".join(filter(None, parts))


def _user(s: SaState) -> str:
    return f"user {clean(s.sa.username, 80)}" if s.sa is not None and s.sa.username else ""


def amount(count: int) -> str:
    """Return a number of bytes as text: ``840 bytes``, ``1.5 KiB``; the largest unit is TiB."""
    size = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _next(s: SaState) -> str:
    """Return in words what happens to an SA next, and in how long: ``new keys in 7h 44m``.

    It is the SA's first timer that is in _NEXT and has a time. Return "" where there is none.
    """
    for event in s.timers:
        told = _NEXT.get(_plain(event.name))
        if told is not None and event.seconds is not None:
            return (
                f"{told} in {terminal.ago(event.seconds)}" if event.seconds > 0 else f"{told} now"
            )
    return ""


def _silence(s: SaState, connection: Connection | None = None) -> str:
    """Return in words that the peer of an established SA hasn't answered a request yet.

    The SA's timer RETRANSMIT shows that: pluto will send the request again. The words say for how
    long, if that is known to be long. Return "" where the SA has no such timer, or isn't
    established.
    """
    if not (s.established and any(_plain(e.name) == "RETRANSMIT" for e in s.timers)):
        return ""
    if patience := _patience(s, connection):
        return f"a request to the peer is {patience}"
    return "the peer hasn't answered yet: it is silent if this lasts for seconds"


def _plain(timer: str) -> str:
    """Return a timer's name as releases from 4.5 on print it, such as REPLACE.

    Before 4.5, it has prefixes: EVENT_SA_REPLACE.
    """
    for prefix in ("EVENT_", "v1_", "v2_", "SA_", "SO_"):
        timer = timer.removeprefix(prefix)
    return timer


_NEXT: Final = {
    "RETRANSMIT": "asks again", "REKEY": "new keys", "REPLACE": "renewed", "EXPIRE": "ends",
    "REPLACE_IF_USED": "renewed, if it is used", "DISCARD": "given up",
    "RESPONDER_TIMEOUT": "given up", "TIMEOUT_INITIATOR": "given up",
    "TIMEOUT_RESPONDER": "given up", "DPD_TIMEOUT": "the peer counts as dead",
}  # fmt: skip


def _is_child(s: SaState) -> bool:
    return s.kind is SaKind.CHILD and s.established
