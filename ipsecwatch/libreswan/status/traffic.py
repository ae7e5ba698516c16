# SPDX-License-Identifier: MIT
"""Parse lines of ``trafficstatus``: the counters of established Child SAs."""

from __future__ import annotations

import re
from typing import Final

from ipsecwatch.libreswan.grammar import NUMBER
from ipsecwatch.libreswan.status.states import head, peer
from ipsecwatch.report import Traffic

_TYPED: Final = re.compile(
    r", type=(?P<type>[A-Z]{1,10})(?:\(nic-offload=(?P<offload>\w{1,20})\))?"
    r", add_time=(?P<time>\d{1,20})(?!\d|$)",
    re.ASCII,
)
_ANOTHER: Final = re.compile(rf'#{NUMBER}: "', re.ASCII)
"""How another record begins."""
_COUNTER: Final = re.compile(r", (inBytes|outBytes|maxBytes)=([^,]{1,40})")


def traffic(line: str) -> Traffic | None:
    """Return what a line of ``trafficstatus`` says; None: it is something else, or two such lines.

    The peer chooses ``username`` and ``id``, which may contain anything, ``", type=ESP"``, too. The
    fields before them contain no quote and no comma, those after them have a known form. Therefore
    the first ``type`` followed by ``add_time`` counts, but behind a user name the last one, and
    ``lease`` is behind the last quote.
    """
    h = head(line)
    if h is None or _is_joined(h.rest):
        return None
    user = h.rest.find(", username=")
    found = None
    for found in _TYPED.finditer(h.rest):
        if not 0 <= user < found.start():
            break  # this one comes before any user name; later ones may be the peer's text
    if found is None:
        return None
    before, after = h.rest[: found.start()], h.rest[found.end() :]
    suffix, mark, username = before.partition(", username=")
    who = peer(suffix)
    tail, identity, lease = _tail(after)
    counts = dict(_COUNTER.findall(tail))
    if "outBytes" not in counts and tail == after:  # cut: its last number may lack digits
        counts.pop("inBytes", None)
    return Traffic(
        h.serial, h.name, h.instance, found["type"],
        who.remote_address, who.local_client, who.remote_client,
        username if mark else None, found["offload"], int(found["time"]),
        _int(counts.get("inBytes")), _int(counts.get("outBytes")), counts.get("maxBytes"),
        identity, lease,
    )  # fmt: skip


def _is_joined(rest: str) -> bool:
    """Return whether a line is two records that lost the line end between them.

    It isn't known then which counters are whose. Text in an identity isn't looked at: it is the
    peer's.
    """
    first = _TYPED.search(rest)
    if first is None:
        return False
    own = rest.find(", id='", first.end())
    another = _ANOTHER.search(rest, first.end(), own if own >= 0 else len(rest))
    return another is not None and _TYPED.search(rest, another.end()) is not None


def _tail(text: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the counters, identity and leases in ``, inBytes=… , id='…', lease=…``."""
    counters, mark, rest = text.partition(", id='")
    if not mark:
        counters, mark, lease = text.partition(", lease=")
        return counters, None, tuple(lease.split(",")) if mark else ()
    identity, quote, after = rest.rpartition("'")
    if not quote:
        return counters, rest, ()  # cut by pluto at 1,024 bytes
    lease = after.removeprefix(", lease=") if after.startswith(", lease=") else ""
    return counters, identity, tuple(lease.split(",")) if lease else ()


def _int(text: str | None) -> int | None:
    known = text is not None and text.isascii() and text.isdigit() and len(text) <= 20
    return int(text) if known and text is not None else None
