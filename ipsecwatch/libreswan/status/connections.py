# SPDX-License-Identifier: MIT
"""Parse the connection list of a status: what is configured, and how far pluto is with it.

A connection is a run of lines that begin with ``"NAME"[I]:``. The first line is its topology
(``192.0.2.1...198.51.100.7; erouted; eroute owner: #2``). The others begin with a key
(``policy: IKEv2+PSK+UP;``). Only the values that a tunnel's state depends on are read here. The
whole text is kept, so that connection_fields.py can read the rest when somebody asks for it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import filterfalse
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.libreswan.grammar import NUMBER
from ipsecwatch.libreswan.status import states, topology
from ipsecwatch.report import Connection, IkeVersion

if TYPE_CHECKING:
    from ipsecwatch.libreswan.status.blocks import Block
    from ipsecwatch.report import Topology

_KEYS: Final = (
    "host:", "oriented;", "unoriented;", "mycert=", "peercert=", "hiscert=", "my_updown",
    "their_updown", "leftupdown", "rightupdown", "myip=", "myup=", "theirup=", "xauth us:",
    "our auth:", "modecfg info:", "cisco-split:", "banner:", "labeled_ipsec:", "policy_label:",
    "sec_label:", "CAs:", "ike_life:", "iptfs:", "retransmit-interval:", "sha2-truncbug:",
    "initial-contact:", "policy_next:", "policy:", "v2-auth-hash-policy:", "conn_prio:",
    "nflog-group:", "our idtype:", "sendca:", "dpd:", "liveness:", "nat-traversal:",
    "newest ISAKMP SA:", "newest IKE SA:", "routing:", "session resume ticket:", "reqid:",
    "conn serial:", "aliases:", "IKE algorithm", "IKEv1 algorithm newest:",
    "IKEv2 algorithm newest:", "ESP algorithm", "AH algorithm", "ESP/AH algorithm", "impair:",
    "remote_peer_type:",
)  # fmt: skip
"""The keys: how the lines of a connection behind its topology begin, in any release."""

_WANTED: Final = (
    "policy:", "newest ISAKMP SA:", "newest IKE SA:", "routing:", "conn serial:", "aliases:",
    "host:", "oriented;", "unoriented;", "cisco-split:",
)  # fmt: skip
"""The keys whose lines are read here."""

_CLOSING: Final = frozenset({"newest ISAKMP SA:", "newest IKE SA:", "routing:"})
"""The keys of the closing line. Each connection has one, behind all that its peer may choose."""


_ONCE: Final = frozenset(_WANTED) - {"oriented;", "unoriented;"}
"""The keys of _WANTED that a connection has at most once.

Up to 4.15, ``oriented;`` and ``unoriented;`` are printed once for each topology.
"""

_OWN: Final = ("our idtype:",)
"""Keys whose lines are different in each connection, so that it doesn't pay to remember them."""


def _starts() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return a table that finds the key of a connection's line by its first _SHORT characters.

    For these characters, the table has one or more pairs: a whole beginning with its blanks
    (``   policy:``), and its key (``policy:``), or "" if a line with this key need not be read.
    """
    table: dict[str, tuple[tuple[str, str], ...]] = {}
    for key in _KEYS:
        # Three blanks stand before a key; up to 4.15 five before the second line's.
        indent = "     " if key in ("oriented;", "unoriented;", "myip=") else "   "
        start = indent + key
        known = table.get(start[:_SHORT], ())
        table[start[:_SHORT]] = (*known, (start, key if key in _WANTED + _OWN else ""))
    return table


_SHORT: Final = 7
_STARTS: Final = _starts()

_CONN_SERIAL: Final = rf" \$({NUMBER})(?:, instantiated from: \$({NUMBER}))?"
_SERIAL: Final = re.compile(_CONN_SERIAL, re.ASCII)
_NEWEST: Final = re.compile(
    f" #({NUMBER}); newest IPsec SA: #({NUMBER});(?: conn serial:{_CONN_SERIAL})?", re.ASCII
)
_OWNER: Final = re.compile(f"; owner: (?:Child|IPsec|IKE|ISAKMP) SA #({NUMBER})", re.ASCII)
_IKE: Final = re.compile(f"; established (?:IKE|ISAKMP) SA: #({NUMBER})", re.ASCII)
_CHILD: Final = re.compile(f"; established (?:Child|IPsec) SA: #({NUMBER})", re.ASCII)


def is_keyed(text: str) -> bool:
    """Return whether a text begins with one of the keys of a connection, as ``policy:``.

    False for a text that begins with blanks.
    """
    return text.startswith(_KEYS)


def is_line(text: str) -> bool:
    """Return whether a text is what a status has behind ``"NAME"[I]:``, in any release.

    It must begin with blanks and a key, or as a topology or a banner does; its end may have been
    cut off. Lines of pluto's log and of ``ipsec up`` begin with a connection's name, too, but the
    result is False for them.
    """
    starts = _STARTS.get(text[:_SHORT], ())
    return (
        any(text.startswith(start) for start, _ in starts)
        or _unkeyed(text, [])
        or (text[:1] == " " and topology.begins(text[1:]))
    )


class Odd(NamedTuple):
    """What is odd about the lines of one connection: they may be cut, forged or mixed up."""

    strange: tuple[int, ...]
    """The indices, in ``Block.lines``, of lines that no release is known to print."""
    closings: int
    """The number of closing lines (_CLOSING). It should be 1; 0: the end may have been cut off."""
    twice: bool
    """Whether a key is there twice that a connection has at most once (_ONCE)."""


Read = tuple[Connection, Odd | None]
"""A connection, and what is odd about its lines, or None if nothing is."""


def read(block: Block, dull: set[str]) -> Read | None:
    """Return a block's connection, and what is odd about its lines.

    Return None if foreign lines are within the block (blocks.take() with ``likely``). ``dull``
    contains lines that are skipped, because nothing in them is read here. This function adds to it
    further lines of this kind. It saves time, as most connections of a machine have most of their
    lines in common.
    """
    topologies: list[Topology] = []
    strange: list[str] = []
    found: dict[str, str] = {}
    closings = 0
    twice = False
    for line in filterfalse(dull.__contains__, block.lines):
        if "\n" in line:
            return None
        starts = _STARTS.get(line[:_SHORT])
        if starts is None:
            if not _unkeyed(line, topologies):
                strange.append(line)
            continue
        for start, key in starts:
            if line.startswith(start):
                if key in _CLOSING:
                    closings += 1
                if not key:
                    dull.add(line)
                elif key not in found:
                    found[key] = line[len(start) :]
                elif key in _ONCE:
                    twice = True
                break
        else:
            strange.append(line)
    connection = _connection(block, topologies, found)
    if closings == 1 and not (strange or twice):
        return connection, None
    indices = tuple(i for i, line in enumerate(block.lines) if line in strange)
    return connection, Odd(indices, closings, twice)


def _unkeyed(line: str, topologies: list[Topology]) -> bool:
    """Return whether a line without a known key is a banner or a topology.

    A topology is added to ``topologies``. A banner is only recognised.
    """
    if line[:1] != " " or line[1:2] == " ":
        return False
    if line.startswith(" banner:"):  # up to 4.15; its text is the peer's
        return True
    found = topology.read(line.strip())
    if found is not None:
        topologies.append(found)
    return found is not None


def _connection(block: Block, topologies: list[Topology], found: dict[str, str]) -> Connection:
    """Return a Connection from its topologies and its other lines.

    ``found`` has, for each key, the text behind it. Up to 4.15, the serials of the SAs are behind
    ``newest ISAKMP SA:`` or ``newest IKE SA:``, from 5.0 on behind ``routing:``.
    """
    ike = child = owner = serial = origin = None
    childless = closed = False
    routing = topologies[0].routing if topologies else None
    if topologies:
        owner = topologies[0].owner
    newest = found.get("newest ISAKMP SA:") or found.get("newest IKE SA:")  # up to 4.15
    if newest is not None and (m := _NEWEST.match(newest)) is not None:
        ike, child, serial, origin = [int(n) or None if n else None for n in m.groups()]
        childless = child is None and _unowned(topologies)
        closed = True
    if (routed := found.get("routing:")) is not None and ";" in routed:  # from 5.0 on
        word, _, rest = routed.rpartition(";")[0].partition(";")  # what was cut is no word
        routing = word.strip() or routing
        owner, ike, child = (_first(p, f";{rest};") for p in (_OWNER, _IKE, _CHILD))
        closed = routed.rstrip().endswith(";")
        childless = child is None and closed
    if "conn serial:" in found and (m := _SERIAL.match(found["conn serial:"])) is not None:
        serial, origin = _number(m[1]), _number(m[2])
    wanted = found.get("policy:", "")
    policy, version = _policy(wanted)
    return Connection(
        block.name, states.instance(block.instance), tuple(topologies), policy,
        tuple(found["aliases:"].split()) if "aliases:" in found else (),
        _oriented(found, routing), version, ike, child, routing or None, owner, serial, origin,
        "nm-configured: yes" in found.get("cisco-split:", ""), ";" in wanted,
        closed, block.text, childless,
    )  # fmt: skip


def _unowned(topologies: list[Topology]) -> bool:
    """Return whether all topologies are complete and have no owner (``eroute owner: #0``).

    False if there are no topologies.
    """
    return bool(topologies) and all(t.routing and t.owner is None for t in topologies)


def _number(text: str | None) -> int | None:
    """Return a serial in digits as an integer, or None for ``0``, "" and None."""
    return (int(text) or None) if text else None


def _first(pattern: re.Pattern[str], text: str) -> int | None:
    m = pattern.search(text)
    return _number(m[1]) if m else None


@lru_cache(maxsize=1024)
def _policy(text: str) -> tuple[frozenset[str], IkeVersion | None]:
    """Return the words of a policy, and the IKE versions that it allows (None if it names none).

    ``text`` is what follows ``policy:``, as `` IKEv2+PSK+UP;``. The result is cached, because most
    connections have the same policy.
    """
    policy = frozenset(text.partition(";")[0].strip().split("+")) - {""}
    one = "IKEv1" in policy or "IKEV1_ALLOW" in policy
    two = bool(policy & {"IKEv2", "IKEV2_ALLOW", "IKEV2_PROPOSE"})
    if one and two:
        return policy, IkeVersion.BOTH
    if one:
        return policy, IkeVersion.V1
    return policy, IkeVersion.V2 if two else None


def _oriented(found: dict[str, str], routing: str | None) -> bool | None:
    """Return whether a connection is oriented: one of its ends is an address of this machine.

    Return None if no line says it. ``found`` has, for each key, the text behind it.
    """
    if "oriented;" in found:
        return True
    host = found.get("host:", "")
    if host.startswith(" oriented"):
        return True
    if "unoriented;" in found or host.startswith(" unoriented") or routing == "unoriented":
        return False
    return None
