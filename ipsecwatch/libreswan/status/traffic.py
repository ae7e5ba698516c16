# SPDX-License-Identifier: MIT
"""Parse lines of ``trafficstatus``: the counters of established Child SAs.

    #2: "rw"[3] 192.0.2.1, type=ESP, add_time=1700000000, inBytes=336, outBytes=84, id='@them'

A line has a user name instead of ``id`` if the peer gave one.
"""

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
"""The beginning of another record in the same line."""
_COUNTER: Final = re.compile(r", (inBytes|outBytes|maxBytes)=([^,]{1,40})")


def traffic(line: str) -> Traffic | None:
    """Return what a line of ``trafficstatus`` says about one Child SA.

    Return None for a line of another kind, and for two such lines that lost the line end between
    them. The peer chooses ``username`` and ``id``, which may contain anything, even
    ``, type=ESP``. So behind a user name, the last ``type`` followed by ``add_time`` is used, and
    without one the first, and ``lease`` is looked for behind the last quote.
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
    """Return whether a line contains a second record, because the line end before it was lost.

    Then it isn't known which counters belong to which SA. ``rest`` is the line without its head
    (``#2: "rw"[3]``). The text behind ``id=`` isn't searched: the peer chose it.
    """
    first = _TYPED.search(rest)
    if first is None:
        return False
    own = rest.find(", id='", first.end())
    another = _ANOTHER.search(rest, first.end(), own if own >= 0 else len(rest))
    return another is not None and _TYPED.search(rest, another.end()) is not None


def _tail(text: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the counters' text, the identity and the leases in ``, inBytes=…, id='…', lease=…``.

    The identity is None if it isn't printed.
    """
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
