# SPDX-License-Identifier: MIT
"""``ipsecwatch who``: lists the peers behind templates: who, from where, since when.

Each instance of a template, such as ``rw[3]``, is one peer.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import status
from ipsecwatch.cli.display import pager, table, terminal
from ipsecwatch.cli.display.table import Column
from ipsecwatch.cli.failure import EXIT_OK, EXIT_UNKNOWN
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels import health, listing, source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.cli.tunnels.selection import matcher, natural, read_states, template_of
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
    """A peer behind a template, and its tunnel, such as ``rw[3]``. Unknown values are None."""

    tunnel: str
    template: str | None
    state: TunnelState
    username: str | None
    """The user name with which the peer logged in (XAUTH or EAP)."""
    identity: str | None
    address: str | None
    """The address from which the peer's packets come, outside of the tunnel."""
    lease: str | None
    """The address that this machine has leased to the peer, for use inside of the tunnel."""
    since: float | None
    """When the tunnel's present state began, in seconds since the epoch."""
    since_known: bool
    """Whether the service saw the state begin; False: it began at ``since`` or earlier."""
    age: float | None
    """Seconds since the present state began; if ``since_known`` is False, at least so many."""
    bytes_in: int | None
    """Bytes that came from the peer through the tunnel's present Child SAs."""
    bytes_out: int | None
    idle: float | None
    """Seconds from the last change of the byte counters to pluto's last answer.

    If ``idle_known`` is False, at least so many.
    """
    idle_known: bool
    title: str = ""
    """The tunnel's name for people if pluto's is a UUID, from NetworkManager; "": there is none."""
    called: str = ""
    """``title`` as it is shown: with the UUID in it if another template has the same title."""

    @classmethod
    def of(cls, row: Row, told: Details) -> Peer:
        """Return the peer of a tunnel, from the tunnel's row and its details (``told``)."""
        return cls(
            row.name, told.get("Template"), row.state, told.get("Username"),
            told.get("PeerIdentity"), told.get("PeerAddress"), told.get("Lease"), row.since,
            row.since_known, row.age, row.bytes_in, row.bytes_out, told.get("IdleSeconds"),
            bool(told.get("IdleKnown")), row.title, row.called,
        )  # fmt: skip

    @property
    def who(self) -> str:
        """The peer's user name, or, if there is none, its identity; "": neither is known."""
        return self.username or self.identity or ""


_LAST: Final = "\U0010ffff"
"""A sort key for an unknown value: it comes after all texts."""

ORDERS: Final[dict[str, Callable[[Peer], Any]]] = {
    "user": lambda p: natural(p.who.lower() or _LAST),
    "address": lambda p: natural(p.address or _LAST),
    "lease": lambda p: natural(p.lease or _LAST),
    "since": lambda p: float("inf") if p.age is None else p.age,
    "traffic": lambda p: -((p.bytes_in or 0) + (p.bytes_out or 0)),
    "idle": lambda p: float("inf") if p.idle is None else p.idle,
    "tunnel": lambda p: natural(p.tunnel),
}
"""For each word that ``--sort`` accepts, a function that returns a peer's sort key.

``since`` sorts the latest first, ``traffic`` the busiest, ``idle`` the least idle. Unknown values
come last; unknown traffic counts as 0.
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
    parser.add_argument(
        "--file", metavar="F",
        help="read F, a file with the output of `ipsec status`, instead of asking; - is stdin",
    )  # fmt: skip
    parser.add_argument(
        "--details",
        action="store_true",
        help="ask for a password, if users and addresses are for administrators",
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
        if found.refused:
            print(status.refusal(asked=args.details), file=sys.stderr)
    return EXIT_OK if found.known and not found.refused else EXIT_UNKNOWN


def peers_of(found: Found) -> list[Peer]:
    """Return a peer for each tunnel whose details name a template.

    If details were refused to this user, return one for each tunnel with a client's name.
    """
    rows = _titled(found.rows)
    if found.refused:
        return [Peer.of(row, {}) for row in _instances(rows)]
    told = found.details
    return [Peer.of(row, told[row.name]) for row in rows if told.get(row.name, {}).get("Template")]


def _titled(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, with titles for instances whose template has a title.

    If the row of ``rw`` has the title ``Office``, the row of ``rw[3]`` gets the title
    ``Office[3]``.
    """
    templates = {row.name: row for row in rows if row.title}
    titled = []
    for row in rows:
        template = template_of(row.name) or ""
        of, end = templates.get(template), row.name.removeprefix(template)
        titled.append(replace(row, title=of.title + end, called=of.shown + end) if of else row)
    return titled


def _instances(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if template_of(row.name)]


def _fits(peer: Peer, patterns: Sequence[str]) -> bool:
    """Return whether a pattern fits one of the peer's names and addresses, or there is no pattern.

    These are its user name, identity, address and lease, and the names of tunnel and template.
    Upper and lower case don't matter.
    """
    known = (
        peer.username, peer.identity, peer.address, peer.lease, peer.tunnel, peer.template,
        peer.title, peer.title.rpartition("[")[0],
    )  # fmt: skip
    texts = [text.lower() for text in known if text]
    return not patterns or any(any(map(matcher(p.lower()), texts)) for p in patterns)


def _json(found: Found, peers: Iterable[Peer]) -> dict[str, Any]:
    """Return the object that ``--json`` prints. ``peers`` are those to print, in this order."""
    return {
        "format": 1,
        "source": found.source,
        "pluto": found.pluto,
        "remark": found.remark or None,
        "details_refused": found.refused,
        "peers": [_fields(peer) for peer in peers],
    }


def _fields(peer: Peer) -> dict[str, Any]:
    """Return a peer as an object for JSON, without its title: programs get pluto's name."""
    return {k: value for k, value in asdict(peer).items() if k not in ("title", "called")}


def _columns(paint: Paint) -> list[Column[Peer]]:
    """Return the columns of the table. The sign of the state, in the first one, is coloured."""

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
            "TUNNEL", lambda p: p.called or p.tunnel, 6, least=8, most=42, both_ends=True,
            spare=True,
        ),
    ]  # fmt: skip


def _age(seconds: float | None, *, known: bool) -> str:
    return "" if seconds is None else terminal.how_long(seconds, known=known)


def _print(found: Found, peers: Sequence[Peer], of: int, *, paged: bool) -> None:
    """Print the table of ``peers``, and remarks below it.

    ``of`` is the number of all peers, also of those that arguments exclude. If ``paged``, a pager
    shows what the terminal has too few lines for. On stderr, print what is wrong with a
    saved text or pluto's own answer.
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


def _count(peers: Sequence[Peer], of: int) -> str:
    if not of:
        return "Nobody is connected."
    connected = sum(p.state.carries for p in peers)
    more = f"; {of - len(peers)} more not shown" if len(peers) != of else ""
    return f"{len(peers)} peer{'s' if len(peers) != 1 else ''}: {connected} connected{more}"
