# SPDX-License-Identifier: MIT
"""Parse the connection list: what ipsec.conf asked for, and how far pluto is with it.

A connection is a run of lines that begin with ``"NAME"[I]:``. The first has the topology and the
routing word; the rest are ``key: value`` lines whose separators vary. Here only the values are
read that a tunnel's state depends on; the text is kept, and connection_fields.py reads the rest.
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
"""How each further line of a connection begins, in any release."""

_WANTED: Final = (
    "policy:", "newest ISAKMP SA:", "newest IKE SA:", "routing:", "conn serial:", "aliases:",
    "host:", "oriented;", "unoriented;", "cisco-split:",
)  # fmt: skip
"""Those that are read here."""

_CLOSING: Final = frozenset({"newest ISAKMP SA:", "newest IKE SA:", "routing:"})
"""The line that each connection has exactly once, behind all that a peer may have chosen."""


_ONCE: Final = frozenset(_WANTED) - {"oriented;", "unoriented;"}
"""Keys that no connection has twice; up to 4.15 the others are printed for each topology."""

_OWN: Final = ("our idtype:",)
"""Keys whose lines differ between all connections, so that remembering them doesn't pay."""


def _starts() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the beginnings of lines by their first seven characters: one look-up finds a line's.

    Each comes with its key, which is empty where the line isn't read here.
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
    """Return whether a text begins with a key of a connection; it must have no leading blanks."""
    return text.startswith(_KEYS)


def is_line(text: str) -> bool:
    """Return whether some release prints such a text in a status, behind a connection's name.

    It has a key or a topology, which may have been cut. Lines of pluto's log and of ``ipsec up``
    begin with a connection's name, too, but have neither.
    """
    starts = _STARTS.get(text[:_SHORT], ())
    return (
        any(text.startswith(start) for start, _ in starts)
        or _unkeyed(text, [])
        or (text[:1] == " " and topology.begins(text[1:]))
    )


class Odd(NamedTuple):
    """All that is odd about one connection's lines: they may be cut, forged or mixed up."""

    strange: tuple[int, ...]
    """Indices, in ``Block.lines``, of lines that no release is known to print."""
    closings: int
    """How many closing lines (_CLOSING) it has, which should be one; 0: it may have been cut."""
    twice: bool
    """It has two lines with a key that no connection has twice (_ONCE)."""


Read = tuple[Connection, Odd | None]
"""A connection, and all that is odd about its lines; None: nothing is."""


def read(block: Block, dull: set[str]) -> Read | None:
    """Return one connection from its lines, or None if the block has other lines among them.

    ``dull`` is a cache of lines that have nothing to be read here; further ones are added to it.
    Most connections of a machine have most of their lines in common.
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
    """Read a line without a key: a banner, or a topology, which is added to ``topologies``.

    Return False if it is neither.
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
    """Return a connection from its topologies and from the texts behind its keys (``found``).

    Up to 4.15 the SAs are in the line ``newest ISAKMP SA:``, from 5.0 on in the line ``routing:``.
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
    """Return whether there are topologies, all complete, and all have ``eroute owner: #0``."""
    return bool(topologies) and all(t.routing and t.owner is None for t in topologies)


def _number(text: str | None) -> int | None:
    """Return a serial as a number; None where pluto prints ``#0``, or nothing."""
    return (int(text) or None) if text else None


def _first(pattern: re.Pattern[str], text: str) -> int | None:
    m = pattern.search(text)
    return _number(m[1]) if m else None


@lru_cache(maxsize=1024)
def _policy(text: str) -> tuple[frozenset[str], IkeVersion | None]:
    """Return the words of a policy, and the IKE versions that it allows; None: it names none.

    Cached: most connections share one policy.
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
    """Return whether an end of a connection is an address of this machine; None: not printed."""
    if "oriented;" in found:
        return True
    host = found.get("host:", "")
    if host.startswith(" oriented"):
        return True
    if "unoriented;" in found or host.startswith(" unoriented") or routing == "unoriented":
        return False
    return None
