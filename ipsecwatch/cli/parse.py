# SPDX-License-Identifier: MIT
"""``ipsecwatch parse``: prints the output of one of libreswan's status commands as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import saved_text
from ipsecwatch.cli.common import reason_json
from ipsecwatch.cli.failure import EXIT_OK
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.libreswan.status import (
    address_pools,
    brief_connections,
    connection_fields,
    daemon_info,
)
from ipsecwatch.libreswan.status.states import remarks
from ipsecwatch.libreswan.status.values import amount
from ipsecwatch.report import Connection, IkeVersion, Report, SaLine, SaState
from ipsecwatch.tracking.reason_text import reason_text
from ipsecwatch.tracking.single_report import tunnels_of

if TYPE_CHECKING:
    import argparse

    from ipsecwatch.tunnel import Tunnel

EXAMPLES: Final = (
    ("ipsec whack --status | ipsecwatch parse", "libreswan's present status, as JSON"),
    ("ipsecwatch parse saved.txt", "a saved text"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "parse", VERBS["parse"], run, EXAMPLES)
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="the file to read; - (default): stdin"
    )
    parser.add_argument(
        "--command",
        help="the command that printed the text: status, trafficstatus, showstates … (default: "
        "recognise it)",
    )
    parser.add_argument(
        "--json", action="store_true", help="no effect: the output is JSON in any case"
    )


def run(args: argparse.Namespace) -> int:
    if args.file == "-" and sys.stdin.isatty():
        print("Paste a status text of libreswan, then press Ctrl-D.", file=sys.stderr)
    report = saved_text.read_report(args.file, args.command)
    # Python's fast encoder is used only without indent.
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(to_json(report), ensure_ascii=True, indent=indent) + "\n")
    return EXIT_OK


def to_json(report: Report) -> dict[str, Any]:
    """Return a report as the object that ``parse`` prints (format 1).

    The object also has what the states of tunnels don't depend on: the ``details`` of each
    connection (connection_fields.py), ``settings``, ``interfaces``, ``algorithms``, ``db_ops`` and
    the counters of ``globalstatus`` (daemon_info.py), the ``pools`` of ``addresspoolstatus``, and
    the lines of ``briefconnectionstatus`` as ``briefs``. A byte that isn't UTF-8 is a lone
    surrogate, U+DC80 to U+DCFF, in the strings.
    """
    totals = report.totals
    return {
        "format": 1,
        "version": report.version,
        "command": report.command,
        "complete": report.complete,
        "why": report.why,
        "knowledge": asdict(report.knowledge),
        "tunnels": [_tunnel(t) for t in tunnels_of(report).values()],
        "states": [_state(s) for s in report.states],
        "pending": [asdict(p) for p in report.pending],
        "traffic": [{**asdict(t), "limit": _amount(t.max_bytes)} for t in report.traffic],
        "connections": [_connection(c) for c in report.connections],
        "shunts": [asdict(s) for s in report.shunts],
        "totals": {
            "connections": {
                "loaded": totals.loaded,
                "routed": totals.routed,
                "active": totals.active,
            },
            "accepting": totals.accepting,
            "ddos_cookies": totals.ddos_cookies,
            "ike": totals.ike,
            "ipsec": totals.ipsec,
        },
        "settings": daemon_info.settings(report),
        "interfaces": [asdict(i) for i in daemon_info.interfaces(report)],
        "algorithms": daemon_info.algorithms(report),
        "db_ops": daemon_info.database(report),
        "globalstatus": daemon_info.counters(report),
        "pools": [asdict(p) for p in address_pools.pools(report.other)],
        "briefs": [asdict(b) for b in brief_connections.briefs(report.other)],
        "unrecognised": [asdict(u) for u in report.unrecognised],
        "unrecognised_count": report.unrecognised_count,
    }


def _tunnel(t: Tunnel) -> dict[str, Any]:
    """Return a tunnel as an object for JSON. Its state follows from this one text.

    ``missing`` lists the parts that this text lacks and that its state depends on.
    """
    return {
        "name": t.name,
        "state": t.state,
        **reason_json(t.reason, reason_text(t.reason, t)),
        "children_up": t.children_up,
        "children": t.children,
        "instances": t.instances,
        "missing": t.missing,
    }


def _state(s: SaState) -> dict[str, Any]:
    """Return an SA as an object for JSON. Values that the text doesn't have are null."""
    sa = s.sa or SaLine()
    return {
        "serial": s.serial,
        "name": s.name,
        "instance": s.instance,
        "remote_address": s.remote_address,
        "local_client": s.local_client,
        "remote_client": s.remote_client,
        "remote_port": s.remote_port,
        "transport": s.transport,
        "state_name": s.state_name,
        "state_story": s.story,
        "ike_version": s.ike_version,
        "kind": s.kind,
        "role": s.role,
        "stage": s.stage,
        "established": s.established,
        "guessed": s.guessed,
        "events": [{"event": e.name, "seconds": e.seconds} for e in s.timers],
        "newest": s.newest,
        "eroute_owner": s.eroute_owner,
        "parent_serial": s.parent_serial,
        "has_traffic_line": s.sa is not None,
        "bytes_in": sa.bytes_in,
        "bytes_out": sa.bytes_out,
        "max_bytes": sa.max_bytes,
        "limit": _amount(sa.max_bytes),
        "username": sa.username,
        "said": sa.said,
        "sa_remote_address": sa.remote_address,
        "sa_local_address": sa.local_address,
        "tunnel_mode": sa.tunnel_mode,
        "used": sa.used,
        "extra": s.extra,
        **remarks(s),
    }


_IKE_VERSION: dict[IkeVersion | None, int | str | None] = {
    None: None,
    IkeVersion.V1: 1,
    IkeVersion.V2: 2,
    IkeVersion.BOTH: "both",
}


def _connection(c: Connection) -> dict[str, Any]:
    """Return a connection as an object for JSON.

    Of a connection with several pairs of subnets, the members ``topology`` and ``local_client`` to
    ``remote_id`` describe the first pair; ``topologies`` has all pairs.
    """
    first = asdict(c.topologies[0]) if c.topologies else {}
    return {
        "name": c.name,
        "instance": c.instance,
        "routing": c.routing,
        "topology": first.get("text"),
        "local_client": first.get("local_client"),
        "remote_client": first.get("remote_client"),
        "local_host": first.get("local_host"),
        "remote_host": first.get("remote_host"),
        "local_id": first.get("local_id"),
        "remote_id": first.get("remote_id"),
        "oriented": c.oriented,
        "policy_up": c.wanted_up,
        "policy": sorted(c.policy),
        "aliases": c.aliases,
        "ike_version": _IKE_VERSION[c.ike_version],
        "newest_ike": c.newest_ike,
        "newest_child": c.newest_child,
        "routing_owner": c.owner,
        "eroute_owner": c.owner,  # its name up to 4.15
        "conn_serial": c.conn_serial,
        "instantiated_from": c.instantiated_from,
        "nm_configured": c.nm_configured,
        "topologies": [asdict(t) for t in c.topologies],
        "details": connection_fields(c),
    }


def _amount(max_bytes: str | None) -> int | None:
    """Return a limit that libreswan printed, such as ``2^63B``, as a number of bytes.

    Return None if the limit is None, or isn't a number.
    """
    try:
        return amount(max_bytes) if max_bytes is not None else None
    except ValueError:
        return None
