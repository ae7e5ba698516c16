# SPDX-License-Identifier: MIT
"""Parse the topology, the first line of a connection: ``LEFT...RIGHT; ROUTING; …``.

LEFT is our end, RIGHT is the peer's. The peer chooses its identity, which may contain any of the
separators. So the other fields are found from that end of the line which the peer's text doesn't
reach. An example: ``10.1.0.0/16===192.0.2.1[@us]...198.51.100.7[@them]===10.2.0.0/16; erouted;
eroute owner: #2``.
"""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan.grammar import NUMBER
from ipsecwatch.report import Topology

ROUTINGS: Final = frozenset(
    {
        # up to 4.15
        "unrouted", "prospective erouted", "erouted HOLD", "unrouted HOLD", "fail erouted",
        "eroute eclipsed", "erouted", "keyed, unrouted",
        # from 5.0
        "unoriented", "routed-ondemand", "routed-negotiation", "unrouted-negotiation",
        "unrouted-bare-negotiation", "routed-failure", "routed-tunnel", "unrouted-tunnel",
        "unrouted-inbound", "unrouted-inbound-negotiation", "routed-inbound-negotiation",
        "routed-never-negotiate",
    }
)  # fmt: skip
"""Every routing word of any release, which says what pluto has set up in the kernel.

Source: programs/pluto/routing.c, earlier connections.c (enum routing_t).
"""

ON_DEMAND: Final = frozenset({"prospective erouted", "routed-ondemand"})
"""The routing words that mean that a trap policy waits for traffic, to start the negotiation."""

LOG_WIDTH: Final = 1024
"""Characters of the longest line that pluto prints; the rest of a longer one is lost."""

_LONG: Final = LOG_WIDTH - 80
"""A line of this many characters (without the connection's name) or more may have been cut."""

_CLOSED: Final = re.compile(r"\](?:---[^\[\]]{0,100})?\.\.\.")
_OPTIONS_END: Final = "SCT"
_OPTIONS: Final = re.compile(
    r"(?:^|,)\+?(?:MS|MC|CAT|XS|XC|S-C|S\?C|S=C)(?:\+(?:MS|MC|CAT|XS|XC|S-C|S\?C|S=C))*$"
)


_Side = tuple[str | None, str, str | None]
"""One end of a topology: its client (a subnet), its host with name and port, its identity."""


# Both ends without brackets in an identity, configured names, ports and next hops. Most are.
# The first three dots in a row stand between the ends, so there are none in front of them.
_USUAL: Final = re.compile(
    r"((?:([\w:/]+(?:\.[\w:/]+)*)===)?([\w%]+(?:\.[\w%]+)*)(?:\[([^\[\]]+)\])?\.\.\."
    r"([\w%]+(?:\.[\w%]+)*)(?:\[([^\[\]]+)\])?(?:===([\w.:/]+))?); ([a-zHOLD -]+); "
    rf"(?:eroute owner: #({NUMBER})|my_ip=[\w.:]+; their_ip=[\w.:]+;)",
    re.ASCII,
)


# How a topology begins, and no log message: an address, its name, its identity, a client, a hop.
_BEGIN: Final = re.compile(
    r"%|\d{1,3}(?:\.\d{1,3}){2}|[\da-fA-F]{1,4}:[\da-fA-F:]|::|[^\s\"'<\[]{0,80}(?:<|===|---|\.\.\.[^\s.])|[^\s\"'\[]{0,80}[.:%][^\s\"'\[]{0,80}\["
)


def begins(line: str) -> bool:
    """Return whether a line begins as a topology does. Its end isn't checked: it may be cut off."""
    return _BEGIN.match(line) is not None


def read(line: str) -> Topology | None:
    """Return the topology of a line ``LEFT...RIGHT; ROUTING; …``, or None for any other line.

    The line is without the connection's name. If pluto cut it at LOG_WIDTH, the result has the
    fields that are left, and "" as its routing word.
    """
    usual = _USUAL.fullmatch(line)
    if usual is None or usual[8] not in ROUTINGS:
        return read_any(line)
    text, client, host, ours, their_host, theirs, their_client, routing, owner = usual.groups()
    if ours and ours[-1] in _OPTIONS_END:
        ours = _identity(ours)
    if theirs and theirs[-1] in _OPTIONS_END:
        theirs = _identity(theirs)
    return Topology(
        text, routing, client, host, ours, their_host, theirs, their_client,
        (int(owner) or None) if owner else None,
    )  # fmt: skip


def read_any(line: str) -> Topology | None:
    """Return the same as read(), field by field: slower, but for topologies of any form."""
    text, owner = _without_tail(line)
    text, _, routing = text.rpartition("; ")
    if routing not in ROUTINGS:
        if len(line) < _LONG or not begins(line):
            return None
        text, routing, owner = line, "", None
    dots = find_dots(text)
    if dots is None:
        return None
    client, host, identity = _left(text[:dots])
    their_client, their_host, their_identity = _right(text[dots + 3 :])
    return Topology(
        text, routing, client, _host(host), identity, _host(their_host), their_identity,
        their_client, owner, _unresolved(their_host),
    )  # fmt: skip


def _without_tail(line: str) -> tuple[str, int | None]:
    """Return a line up to and with its routing word, and the serial of the eroute owner, or None.

    The rest of the line is pluto's own text, and is recognised from its end: ``; eroute owner: #2``
    up to 4.15, later ``; my_ip=…; their_ip=…``. If the line doesn't end so, "" is returned for it.
    """
    text, mark, owner = line.rpartition("; eroute owner: #")  # up to 4.15
    digits = owner.strip("; ")
    if mark and digits.isascii() and digits.isdigit() and len(digits) <= 10:
        return text, int(digits) or None
    text, mark, ours = line.rpartition("; my_ip=")  # later, an identity may hold the other one
    return (text, None) if mark and "; their_ip=" in ours else ("", None)


def find_dots(text: str) -> int | None:
    """Return the index of the ``...`` between our end and the peer's, or None without any ``...``.

    It is the first ``...`` outside the brackets of our identity.
    """
    bracket, dots = text.find("["), text.find("...")
    if dots < 0:
        return None
    if 0 <= bracket < dots:
        closed = _CLOSED.search(text, bracket)
        return closed.end() - 3 if closed else dots
    return dots


def _left(text: str) -> _Side:
    """Return client, host and identity of our end; client and identity may be None.

    ``text`` has the form ``[CLIENT===]HOST[<NAME>][:PORT][[ID[,OPTS]]][---NEXTHOP]``, where outer
    brackets stand around what may be missing. The host keeps its name and port.
    """
    before, bracket, rest = text.partition("[")
    client, mark, host = before.rpartition("===")
    host = host if bracket else host.partition("---")[0]
    identity = rest.rpartition("]")[0] if bracket else None
    return client if mark else None, host, _identity(identity)


def _right(text: str) -> _Side:
    """Return client, host and identity of the peer's end; client and identity may be None.

    ``text`` has the form ``[NEXTHOP---]HOST[<NAME>][:PORT][[ID[,OPTS]]][===CLIENT]``. The peer
    chose its identity, which may contain brackets: the last closing bracket of ``text`` ends it.
    """
    before, bracket, rest = text.partition("[")
    if bracket:
        identity, closing, after = rest.rpartition("]")
        identity = identity if closing else rest
        client = after.partition("===")[2]
    else:
        before, _, client = text.partition("===")
        identity = None
    return client or None, before.rpartition("---")[2], _identity(identity)


def _host(text: str) -> str | None:
    """Return a host's address without the name and port behind it, or None for an empty text.

    A port is recognised by the only colon, so an IPv6 address keeps its port.
    """
    if "<" in text:
        text = text.partition("<")[0]
    if text.count(":") == 1:
        text = text.partition(":")[0]
    return text or None


def _unresolved(text: str) -> str | None:
    """Return NAME for ``%dns<NAME>[:PORT]``, a host whose name doesn't resolve, otherwise None."""
    host, _, name = text.partition("<")
    return (name.partition(">")[0] or None) if host == "%dns" else None


def _identity(text: str | None) -> str | None:
    if not text:
        return None
    m = _OPTIONS.search(text, max(0, len(text) - 40))
    return (text[: m.start()] if m else text) or None
