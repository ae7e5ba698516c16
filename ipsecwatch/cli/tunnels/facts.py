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
"""The meanings of an SA's timers, by the names that libreswan has used since 4.5."""


def lines(row: Row, told: Details | None, unit: str, paint: Paint, wide: int) -> list[str]:
    """Return everything that is known about a tunnel as lines, the first with its name.

    All but the first have at most ``wide`` columns. ``told`` are its details; None: they aren't
    known. ``unit`` is the systemd unit that runs pluto; "": none is known to.
    """
    title = f"{paint.state(row.state, terminal.mark(row.state))} {paint.bold(row.shown)}"
    return [title, *terminal.facts(facts(row, told or {}, unit), paint, wide)]


def facts(row: Row, told: Details, unit: str) -> list[Fact]:
    """Return the facts about a tunnel; a text is "" where it isn't known, or doesn't apply.

    ``told`` are the tunnel's details; {}: they aren't known. ``unit`` is the systemd unit that runs
    pluto; "": none is known to.
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
    """Return the facts about a tunnel's ends and connection.

    These are addresses, identities, user, lease, template and IKE version.
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
    """Return one end of a tunnel as text; an identity that equals the address is left out."""
    if identity is None or identity == address:
        return address or ""
    return f"{address}, as {identity}" if address else f"as {identity}"


def _traffic(told: Details) -> str:
    """Return a tunnel's bytes since the last rekey as text; "": one of the counters isn't known.

    How long there was no traffic follows, where that is known, and _QUIET seconds at least.
    """
    got, sent = told.get("BytesIn"), told.get("BytesOut")
    if got is None or sent is None:
        return ""
    carried = f"{terminal.amount(got)} in, {terminal.amount(sent)} out since the last rekey"
    return "; ".join(filter(None, [carried, _idle(told)]))


def _idle(told: Details) -> str:
    """Return as text for how long a tunnel had no traffic; "": unknown, or less than _QUIET."""
    idle = told.get("IdleSeconds")
    if idle is None or idle < _QUIET:
        return ""
    return f"nothing for {terminal.how_long(idle, known=told.get('IdleKnown', False))}"


_QUIET: Final = 10.0
"""The number of seconds without traffic from which on it is shown; polls are seconds apart."""


def _children(row: Row, children: Sequence[Mapping[str, Any]]) -> list[Fact]:
    """Return the fact about a tunnel's pairs of subnets, with a line for each.

    Of several, the first line says how many are up.
    """
    count = f"{row.children_up} of {row.children} up" if row.children > 1 else ""
    pairs = [_pair(child, named=len(children) > 1) for child in children]
    return [("subnets", "\n".join(filter(None, [count, *pairs])))]


def _pair(child: Mapping[str, Any], *, named: bool) -> str:
    """Return one pair of subnets as text; "": neither is known.

    ``named``: with the number of its Child SA, or that it has none.
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
    """Return the facts about a tunnel's IKE SAs and Child SAs, with a line for each SA."""
    elapsed = _elapsed(told)
    algorithms = _algorithms(told.get("Children", []))
    found: dict[str, list[str]] = {"ike": [], "child": []}
    for sa in told.get("SAs", []):
        found.setdefault(sa.get("Kind", "SA"), []).append(_sa(sa, elapsed, algorithms))
    labels = {"ike": "IKE SA", "child": "Child SA"}
    return [(labels.get(kind, kind), "\n".join(texts)) for kind, texts in found.items()]


def _elapsed(told: Details) -> float:
    """Return how many seconds ago pluto gave the answer that the timers are from; 0: not known."""
    answered = told.get("AnsweredBoottime")
    if answered is None:
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - float(answered) / 1e6)


def _algorithms(children: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the algorithms of a tunnel's SAs, by kind ("ike" or "child") and connection."""
    found = {}
    for child in children:
        for kind, key in (("ike", "IkeAlgorithms"), ("child", "ChildAlgorithms")):
            if key in child:
                found[kind, child["Connection"]] = child[key]
    return found


def _sa(sa: Mapping[str, Any], elapsed: float, algorithms: dict[tuple[str, str], str]) -> str:
    """Return one SA as a line; ``elapsed``: how many seconds ago pluto printed its timers."""
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
    """Return those of an SA's next events that are in _TIMERS, in words, with the time left.

    ``elapsed``: how many seconds ago pluto printed the timers. Of the events in _ENDS only the
    first that the SA has is returned.
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
"""Timers that end an SA: of these, only the first that an SA has takes effect."""


def _plain(timer: str) -> str:
    """Return a timer's name without the prefixes that releases before 4.5 print."""
    for prefix in ("EVENT_", "v1_", "v2_", "SA_", "SO_"):
        timer = timer.removeprefix(prefix)
    return timer


def _dpd(told: Details) -> str:
    """Return in words how dead peer detection is configured: dpddelay, dpdtimeout, dpdaction.

    There is a line for each different configuration of the children; "": none is known.
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
    """Return in words the last failed attempt from outside that proved no identity; "": none known.

    Such an attempt is no reason for the tunnel's state.
    """
    if row.incoming is None or row.incoming_at is None:
        return ""
    ago = terminal.ago(time.time() - row.incoming_at)
    return f"somebody tried to connect {ago} ago: {row.incoming}"
