# SPDX-License-Identifier: MIT
"""Everything that is known about one tunnel, as labels and paragraphs for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.reasons import words_for
from ipsecwatch.states import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ipsecwatch.cli.display.terminal import Paint, Row
    from ipsecwatch.cli.tunnels.found import Details

Fact = tuple[str, str]
"""A label and a text, which may have several lines."""

_TIMERS: Final = {
    "REKEY": "rekey", "REPLACE": "to be replaced", "EXPIRE": "ends",
    "REPLACE_IF_USED": "to be replaced", "RETRANSMIT": "asks again", "DISCARD": "given up",
    "TIMEOUT_INITIATOR": "given up", "TIMEOUT_RESPONDER": "given up",
    "RESPONDER_TIMEOUT": "given up", "DPD_TIMEOUT": "peer counts as dead",
}  # fmt: skip
"""What happens to an SA when a timer of it is due, by the timer's name (_plain()). Other timers
aren't shown."""


def lines(row: Row, told: Details | None, unit: str, paint: Paint, wide: int) -> list[str]:
    """Return everything that is known about a tunnel as lines, the first with its sign and name.

    All but the first are broken to ``wide`` columns. ``told`` are the tunnel's details; None: they
    aren't known. ``unit`` is the systemd unit that runs pluto, for advice; "": none is known to.
    """
    title = f"{paint.state(row.state, terminal.mark(row.state))} {paint.bold(row.shown)}"
    return [title, *terminal.facts(facts(row, told or {}, unit), paint, wide)]


def facts(row: Row, told: Details, unit: str) -> list[Fact]:
    """Return everything that is known about a tunnel, in the order in which it is shown.

    A fact that isn't known, or doesn't apply, is in it with the text "". ``told`` are the tunnel's
    details; {}: they aren't known. ``unit`` is the systemd unit that runs pluto, for advice; "":
    none is known to.
    """
    why = words_for(row.reason, unit) if row.reason is not Reason.NONE else None
    return [
        ("state", row.state.value),
        ("since", terminal.since(row)),
        ("last known", row.last_state.value if row.state is not row.last_state else ""),
        ("not known", "; ".join(terminal.MISSING[x] for x in row.missing)),
        ("why", why.sentence if why else ""),
        ("what to do", why.advice if why else ""),
        ("pluto's log", told.get("LogLine", "")),
        ("attempts", str(row.attempts) if row.attempts else ""),
        *_ends(row, told),
        ("traffic", _traffic(told)),
        *_children(row, told.get("Children", [])),
        *_sas(told),
        ("peer check", _dpd(told)),
        ("policy", " ".join(told.get("Policy", []))),
        ("clients", str(row.instances) if row.instances else ""),
        ("managed by", row.managed),
        ("in pluto", row.name if row.title else ""),
        ("before", "\n".join(map(_transition, reversed(told.get("Transitions", []))))),
        ("incoming", _incoming(row)),
    ]


def _ends(row: Row, told: Details) -> list[Fact]:
    """Return the facts about a tunnel's two ends, and who uses it.

    These are addresses and identities of both ends, user, leased address, template, and IKE
    version.
    """
    version = {"1": "IKEv1", "2": "IKEv2", "both": "IKEv1 or IKEv2"}.get(told.get("IkeVersion", ""))
    return [
        ("peer", _end(row.peer, told.get("PeerIdentity"))),
        ("here", _end(told.get("LocalAddress"), told.get("LocalIdentity"))),
        ("user", told.get("Username", "")),
        ("lease", told.get("Lease", "")),
        ("instance of", told.get("Template", "")),
        ("protocol", version or ""),
    ]


def _end(address: str | None, identity: str | None) -> str:
    """Return one end of a tunnel as text: ``192.0.2.1, as @gw``; "" where nothing is known.

    An identity that equals the address is left out.
    """
    if identity is None or identity == address:
        return address or ""
    return f"{address}, as {identity}" if address else f"as {identity}"


def _traffic(told: Details) -> str:
    """Return as text how many bytes a tunnel received and sent since the last rekey.

    It also says for how long there has been no traffic, if that is known, and at least _QUIET
    seconds. Return "" where one of the two numbers isn't known.
    """
    got, sent = told.get("BytesIn"), told.get("BytesOut")
    if got is None or sent is None:
        return ""
    carried = f"{terminal.amount(got)} in, {terminal.amount(sent)} out since the last rekey"
    return "; ".join(filter(None, [carried, _idle(told)]))


def _idle(told: Details) -> str:
    """Return as text for how long a tunnel has had no traffic: ``nothing for 5m 10s``.

    Return "" where that isn't known, or is less than _QUIET seconds.
    """
    idle = told.get("IdleSeconds")
    if idle is None or idle < _QUIET:
        return ""
    return f"nothing for {terminal.how_long(idle, known=told.get('IdleKnown', False))}"


_QUIET: Final = 10.0
"""A time without traffic is shown if it is at least this number of seconds. Shorter ones mean
little, because polls are seconds apart."""


def _children(row: Row, children: Sequence[Mapping[str, Any]]) -> list[Fact]:
    """Return the one fact about a tunnel's pairs of subnets, with a line for each pair.

    If there are several, its first line says how many are up. ``children`` are from the details;
    where they are empty, there are no lines for pairs.
    """
    count = f"{row.children_up} of {row.children} up" if row.children > 1 else ""
    pairs = [_pair(child, named=len(children) > 1) for child in children]
    return [("subnets", "\n".join(filter(None, [count, *pairs])))]


def _pair(child: Mapping[str, Any], *, named: bool) -> str:
    """Return one pair of subnets as text: ``10.1.0.0/16 ↔ 10.2.0.0/16``.

    ``named``: the serial number of its Child SA follows (``#12``), or that it has none. Return ""
    where neither subnet is known; where only one isn't, ``this host`` or ``the peer`` stands in its
    place.
    """
    ours, theirs = child.get("LocalSubnet"), child.get("PeerSubnet")
    if ours is None and theirs is None:
        return ""
    arrow = "↔" if terminal.can_show_symbols() else "to"
    pair = f"{ours or 'this host'} {arrow} {theirs or 'the peer'}"
    if not named:
        return pair
    return f"{pair}  #{child['Serial']}" if "Serial" in child else f"{pair}  no Child SA"


def _sas(told: Details) -> list[Fact]:
    """Return a fact about a tunnel's IKE SAs, and one about its Child SAs: each SA has a line."""
    elapsed = _elapsed(told)
    algorithms = _algorithms(told.get("Children", []))
    found: dict[str, list[str]] = {"ike": [], "child": []}
    for sa in told.get("SAs", []):
        found.setdefault(sa.get("Kind", "SA"), []).append(_sa(sa, elapsed, algorithms))
    labels = {"ike": "IKE SA", "child": "Child SA"}
    return [(labels.get(kind, kind), "\n".join(texts)) for kind, texts in found.items()]


def _elapsed(told: Details) -> float:
    """Return how many seconds ago pluto gave the answer that a tunnel's details are from.

    Timers in it have that much less time left by now. Return 0 where the time isn't known.
    """
    answered = told.get("AnsweredBoottime")
    if answered is None:
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - float(answered) / 1e6)


def _algorithms(children: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the algorithms of a tunnel's SAs, by their kind ("ike" or "child") and connection."""
    found = {}
    for child in children:
        for kind, key in (("ike", "IkeAlgorithms"), ("child", "ChildAlgorithms")):
            if key in child:
                found[kind, child["Connection"]] = child[key]
    return found


def _sa(sa: Mapping[str, Any], elapsed: float, algorithms: dict[tuple[str, str], str]) -> str:
    """Return one SA as a line: serial, age, timers, bytes, algorithms, as far as they are known.

    Of an SA that isn't established, the line has its stage and our role. ``elapsed``: how many
    seconds ago pluto printed its timers. ``algorithms``: what _algorithms() returns.
    """
    established = sa.get("Established", False)
    counted = "BytesIn" in sa and "BytesOut" in sa and established
    parts = [
        "" if established else f"{sa.get('Stage')}, {sa.get('Role', '')}".rstrip(", "),
        _age(sa),
        *_timers(sa, elapsed),
        f"{terminal.amount(sa['BytesIn'])} in, {terminal.amount(sa['BytesOut'])} out"
        if counted
        else "",
        algorithms.get((sa.get("Kind", ""), sa["Connection"]), "") if established else "",
    ]
    head = f"#{sa.get('Serial', '?')}"
    under = f" under #{sa['Parent']}" if "Parent" in sa else ""
    return f"{head}{under}: " + "; ".join(filter(None, parts))


def _age(sa: Mapping[str, Any]) -> str:
    if "SinceBoottime" not in sa:
        return ""
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - sa["SinceBoottime"] / 1e6
    return f"{terminal.how_long(max(0.0, age), known=sa.get('SinceKnown', False))} old"


def _timers(sa: Mapping[str, Any], elapsed: float) -> list[str]:
    """Return in words what happens when each timer of an SA is due: ``rekey in 5m 10s``.

    Only timers in _TIMERS are returned, and of those in _ENDS only the first that the SA has.
    ``elapsed``: how many seconds ago pluto printed the timers. It is subtracted from their times.
    """
    due = {_plain(name): seconds - elapsed for name, seconds in sa.get("Timers", {}).items()}
    end = next((name for name in _ENDS if name in due), None)
    names = [name for name in _TIMERS if name in due and (name not in _ENDS or name == end)]
    return [
        f"{_TIMERS[name]} in {terminal.ago(due[name])}"
        if due[name] >= 1
        else f"{_TIMERS[name]} now"
        for name in names
    ]


_ENDS: Final = ("REKEY", "REPLACE", "REPLACE_IF_USED", "EXPIRE")
"""Timers that end an SA. If an SA has several of these, only the one that stands first here takes
effect."""


def _plain(timer: str) -> str:
    """Return a timer's name as releases from 4.5 on print it, such as REPLACE.

    Before 4.5, it has prefixes: EVENT_SA_REPLACE.
    """
    for prefix in ("EVENT_", "v1_", "v2_", "SA_", "SO_"):
        timer = timer.removeprefix(prefix)
    return timer


def _dpd(told: Details) -> str:
    """Return in words how dead peer detection is configured: dpddelay, dpdtimeout, dpdaction.

    There is one line if all children have the same settings, else one for each setting. Return ""
    where none is known.
    """
    configured = {
        (c["DpdDelay"], c.get("DpdTimeout"), c.get("DpdAction"))
        for c in told.get("Children", [])
        if "DpdDelay" in c
    }
    return "\n".join(map(_check, sorted(configured, key=str)))


def _check(configured: tuple[float, float | None, str | None]) -> str:
    delay, timeout, action = configured
    if not delay:
        return "it isn't asked whether it lives (dpddelay=0)"
    dead = f", counts as dead after {terminal.ago(timeout)}" if timeout else ""
    then = f", then: {action}" if action else ""
    return f"asked after {terminal.ago(delay)} of silence{dead}{then}"


def _transition(told: Mapping[str, Any]) -> str:
    reason = told.get("Reason", Reason.NONE.value)
    because = "" if reason == Reason.NONE else f": {reason}"
    at, arrow = terminal.moment(told["At"] / 1e6), terminal.arrow()
    return f"{at}  {told['Old']} {arrow} {told['New']}{because}"


def _incoming(row: Row) -> str:
    """Return in words the last failed attempt of somebody to connect as the tunnel's peer.

    It proved no identity, and may come from anybody, so it is no reason for the tunnel's state. A
    template's client may have proved one.
    Return "" where there was none, or none is known.
    """
    if row.incoming is None or row.incoming_at is None:
        return ""
    ago = terminal.ago(time.time() - row.incoming_at)
    return f"somebody tried to connect {ago} ago: {row.incoming}"
