# SPDX-License-Identifier: MIT
"""``ipsecwatch who``: lists the instances of templates: which peer, from where, since when."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import status
from ipsecwatch.cli.common import EXIT_OK, EXIT_UNKNOWN, add_instance, verb
from ipsecwatch.cli.display import pager, table, terminal
from ipsecwatch.cli.display.table import Column
from ipsecwatch.cli.tunnels import health, listing, source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.cli.tunnels.selection import matcher, natural, read_states
from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from ipsecwatch.cli.display.terminal import Paint, Row
    from ipsecwatch.cli.tunnels.found import Details, Found
    from ipsecwatch.states import TunnelState

EXAMPLES: Final = (
    ("ipsecwatch who", "everybody, by name"),
    ("ipsecwatch who '*@example.org' --sort since", "some, the latest first"),
    ("ipsecwatch who 198.51.100.7", "who comes from that address"),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """One instance of a template, with what is known about its peer; None: not known."""

    tunnel: str
    template: str | None
    state: TunnelState
    username: str | None
    """The XAUTH or EAP user name."""
    identity: str | None
    address: str | None
    """The address that the peer connects from."""
    lease: str | None
    """The address that was leased to the peer."""
    since: float | None
    """When the tunnel's state began, in seconds since the epoch."""
    since_known: bool
    """Whether that was seen; False: the state began before ``since``."""
    age: float | None
    """Seconds since the state began; where ``since_known`` is False, at least these."""
    bytes_in: int | None
    """Bytes that the tunnel's Child SAs have received since they were set up."""
    bytes_out: int | None
    idle: float | None
    """Seconds since the counters last changed; where ``idle_known`` is False, at least these."""
    idle_known: bool
    title: str = ""
    """NetworkManager's name of the tunnel, where it has one."""

    @classmethod
    def of(cls, row: Row, told: Details) -> Peer:
        """Return the peer of a tunnel, from its row and details."""
        return cls(
            row.name, told.get("Template"), row.state, told.get("Username"),
            told.get("PeerIdentity"), told.get("PeerAddress"), told.get("Lease"), row.since,
            row.since_known, row.age, row.bytes_in, row.bytes_out, told.get("IdleSeconds"),
            bool(told.get("IdleKnown")), row.title,
        )  # fmt: skip

    @property
    def who(self) -> str:
        """The name that the peer gave: the user's, else its identity; "": neither is known."""
        return self.username or self.identity or ""


_LAST: Final = "\U0010ffff"
"""A text that is sorted after all others."""

ORDERS: Final[dict[str, Callable[[Peer], Any]]] = {
    "user": lambda p: natural(p.who.lower() or _LAST),
    "address": lambda p: natural(p.address or _LAST),
    "lease": lambda p: natural(p.lease or _LAST),
    "since": lambda p: float("inf") if p.age is None else p.age,
    "traffic": lambda p: -((p.bytes_in or 0) + (p.bytes_out or 0)),
    "idle": lambda p: float("inf") if p.idle is None else p.idle,
    "tunnel": lambda p: natural(p.tunnel),
}
"""For each word that ``--sort`` takes, the function that returns a peer's sort key.

The latest, busiest and least idle come first, and those of unknown value last; but unknown traffic
counts as 0.
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "who", VERBS["who"], run, EXAMPLES)
    parser.add_argument(
        "patterns", nargs="*", metavar="PATTERN",
        help="only peers whose user, identity, address, lease, tunnel or template is this; "
        "* stands for any characters, ? for any one",
    )  # fmt: skip
    parser.add_argument(
        "--state", metavar="STATE[,STATE]", help="only peers whose tunnel is in one of these states"
    )
    parser.add_argument(
        "--sort", metavar="KEY", choices=ORDERS, default="user",
        help=f"sort by {', '.join(ORDERS)} (default: user)",
    )  # fmt: skip
    parser.add_argument("-r", "--reverse", action="store_true", help="reverse the order")
    parser.add_argument("--file", metavar="F", help="read a saved `ipsec status`; - is stdin")
    parser.add_argument(
        "--details",
        action="store_true",
        help="let the terminal ask for a password, if one is needed",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_instance(parser)
    pager.add_option(parser)


def run(args: argparse.Namespace) -> int:
    states = read_states(args.state)
    interactive = args.details and status.at_terminal()
    found = source.find(
        args.file, Depth.BRIEF, _instances, interactive=interactive, instance=args.instance
    )
    peers = peers_of(found)
    shown = [p for p in peers if _fits(p, args.patterns) and (states is None or p.state in states)]
    shown.sort(key=lambda p: (ORDERS[args.sort](p), natural(p.tunnel)), reverse=args.reverse)
    if args.json:
        import json

        print(json.dumps(_json(found, shown)))
    else:
        _print(found, shown, len(peers), paged=not args.no_pager)
    return EXIT_OK if found.known and not found.refused else EXIT_UNKNOWN


def peers_of(found: Found) -> list[Peer]:
    """Return the peers of those found tunnels whose details name a template.

    Where details were refused, they are the tunnels that are named like instances.
    """
    rows = _titled(found.rows)
    if found.refused:
        return [Peer.of(row, {}) for row in _instances(rows)]
    told = found.details
    return [Peer.of(row, told[row.name]) for row in rows if told.get(row.name, {}).get("Template")]


def _titled(rows: Sequence[Row]) -> list[Row]:
    """Return the rows; instances get the title of their template, where that has one.

    So ``rw[3]`` is titled ``Office[3]`` where ``rw`` is titled ``Office``.
    """
    titles = {row.name: row.title for row in rows if row.title}
    of_instances = {}
    for row in _instances(rows) if titles else ():
        template, bracket, number = row.name.partition("[")
        if template in titles:
            of_instances[row.name] = f"{titles[template]}{bracket}{number}"
    return source.with_titles(rows, of_instances)


def _instances(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if _is_instance(row.name)]


def _is_instance(name: str) -> bool:
    """Return whether a tunnel's name has an instance's form, like ``rw[3]``: it ends in ``[N]``."""
    head, bracket, number = name.removesuffix("]").rpartition("[")
    return bool(head and bracket) and name.endswith("]") and number.isdecimal()


def _fits(peer: Peer, patterns: Sequence[str]) -> bool:
    """Return whether one of these patterns fits a value of a peer; True without patterns.

    Upper and lower case are the same.
    """
    known = (
        peer.username, peer.identity, peer.address, peer.lease, peer.tunnel, peer.template,
        peer.title, peer.title.rpartition("[")[0],
    )  # fmt: skip
    texts = [text.lower() for text in known if text]
    return not patterns or any(any(map(matcher(p.lower()), texts)) for p in patterns)


def _json(found: Found, peers: Iterable[Peer]) -> dict[str, Any]:
    """Return what was found as an object for JSON, with these peers only."""
    return {
        "format": 1,
        "source": found.source,
        "pluto": found.pluto,
        "remark": found.remark or None,
        "details_refused": found.refused,
        "peers": [_fields(peer) for peer in peers],
    }


def _fields(peer: Peer) -> dict[str, Any]:
    """Return a peer as an object for JSON, without the title, which is for people."""
    return {key: value for key, value in asdict(peer).items() if key != "title"}


def _columns(paint: Paint) -> list[Column[Peer]]:
    """Return the columns of the table of peers."""

    def marked(peer: Peer, text: str) -> str:
        return paint.state(peer.state, text[:1]) + text[1:]

    return [
        Column(
            "  USER", lambda p: f"{terminal.mark(p.state)} {p.who or table.NOTHING}", 0, least=12,
            wish=24,            most=42, both_ends=True, paint=marked,
        ),
        Column("ADDRESS", lambda p: p.address or "", 1, least=10, most=40, both_ends=True),
        Column("LEASE", lambda p: p.lease or "", 3, most=40, spare=True),
        Column("SINCE", lambda p: _age(p.age, known=p.since_known), 2, spare=True),
        Column(listing.TRAFFIC, listing.traffic, 5, spare=True),
        Column("IDLE", lambda p: _age(p.idle, known=p.idle_known), 4, spare=True),
        Column(
            "TUNNEL", lambda p: p.title or p.tunnel, 6, least=8, most=42, both_ends=True,
            spare=True,
        ),
    ]  # fmt: skip


def _age(seconds: float | None, *, known: bool) -> str:
    return "" if seconds is None else terminal.how_long(seconds, known=known)


def _print(found: Found, peers: Sequence[Peer], of: int, *, paged: bool) -> None:
    """Print the peers for people; ``of`` is the number of all, of which some may not be shown.

    Messages about the source go to stderr.
    """
    paint = terminal.Paint(terminal.colour_wanted())
    lines: list[str] = []
    if peers:
        layout = table.lay_out(_columns(paint), peers, terminal.terminal_width())
        lines = [layout.head(paint), *map(layout.line, peers)]
    if of or not found.remark:  # without an answer it isn't known whether anybody is there
        lines += map(paint.dim, terminal.wrapped([_count(peers, of)]))
    troubles = health.troubles(found, time.time()) if found.pluto is not None else []
    pager.show([*lines, *map(paint.dim, terminal.wrapped(troubles))], paged=paged)
    sys.stdout.flush()
    if found.remark and found.pluto is None:
        print(found.remark, file=sys.stderr)
    if found.refused:
        print(status.refusal(), file=sys.stderr)


def _count(peers: Sequence[Peer], of: int) -> str:
    if not of:
        return "Nobody is connected."
    connected = sum(p.state.carries for p in peers)
    more = f"; {of - len(peers)} more not shown" if len(peers) != of else ""
    return f"{len(peers)} peer{'s' if len(peers) != 1 else ''}: {connected} connected{more}"
