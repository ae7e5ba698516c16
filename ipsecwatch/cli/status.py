# SPDX-License-Identifier: MIT
"""``ipsecwatch status``: how the tunnels are, by the service, by pluto itself, or by a file."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import terminal
from ipsecwatch.cli.common import (
    EXIT_NO,
    EXIT_OK,
    EXIT_UNKNOWN,
    Failure,
    load_settings,
    reason_json,
    verb,
)
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.reasons import LOG_TEXTS, REASON_TEXTS
from ipsecwatch.sanitize import clean
from ipsecwatch.states import Extent, LogState, PlutoState, Reason, TunnelState

# Where a function imports something, others manage without: a saved file needs no bus, and the
# service's answer no parser.

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Tunnel

EXAMPLES: Final = (
    ("ipsecwatch status", "all tunnels"),
    ("ipsecwatch status office", "one of them, in detail"),
    (
        "ipsec whack --status | ipsecwatch status --file -",
        "what libreswan says now, without the service",
    ),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "status", VERBS["status"], run, EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, and in detail")
    parser.add_argument("--file", metavar="F", help="read a saved `ipsec status`; - is stdin")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    found = _from_file(args.file) if args.file else _from_service(args.names)
    rows = found.rows
    if args.names:
        by_name = {row.name: row for row in rows}
        missing = [n for n in args.names if n not in by_name]
        if missing:
            from ipsecwatch.cli import suggest

            raise suggest.no_such_tunnel(missing[0], by_name)
        rows = [by_name[n] for n in args.names]
    if args.json:
        import json

        print(json.dumps(_json(found, rows)))
    else:
        _print(found, rows, detailed=bool(args.names))
    if not args.names:
        return EXIT_OK if found.known else EXIT_UNKNOWN
    if any(row.state is TunnelState.UNKNOWN for row in rows):
        return EXIT_UNKNOWN
    return EXIT_OK if all(row.state is TunnelState.UP for row in rows) else EXIT_NO


@dataclass(frozen=True, slots=True)
class Found:
    """All tunnels, and where that is known from."""

    rows: list[terminal.Row]
    source: str
    pluto: PlutoState | None = None
    remark: str = ""
    log: LogState | None = None
    """Where reasons come from, where that is told."""

    @property
    def known(self) -> bool:
        """Whether the state of pluto, or of one tunnel, is known, whatever it is."""
        if self.pluto not in (PlutoState.UNREACHABLE, None):
            return True
        # Without tunnels a text was refused, or has a whole list, in which there is none.
        known = any(row.state is not TunnelState.UNKNOWN for row in self.rows)
        return known or (self.pluto is None and not self.rows)


def _from_service(names: Sequence[str]) -> Found:
    import asyncio

    return asyncio.run(_ask(names))


async def _ask(names: Sequence[str]) -> Found:
    """Ask the service; where there is none, pluto itself. Of those named more is asked."""
    from ipsecwatch import client

    try:
        seen = await client.snapshot()
    except client.ClientError as e:
        if os.geteuid() != 0:
            hint = e.hint or "Start it: systemctl start ipsecwatch; or, as root, pluto is asked"
            raise Failure(str(e), hint) from e
        return await _ask_pluto()
    rows = [terminal.Row.of_view(v) for v in seen.tunnels.values()]
    if names:
        rows = await _with_details(rows, names)
    remark = "" if seen.pluto_state is PlutoState.RUNNING else _ILL[seen.pluto_state]
    return Found(sorted(rows, key=lambda r: r.name), "service", seen.pluto_state, remark, seen.log)


async def _with_details(rows: Sequence[terminal.Row], names: Sequence[str]) -> list[terminal.Row]:
    """Add what only some may know, if this user may."""
    from ipsecwatch import client

    try:
        known = await client.details(names)
    except client.ClientError:
        return list(rows)
    return [_with_incoming(row, known.get(row.name, {})) for row in rows]


def _with_incoming(row: terminal.Row, details: Mapping[str, object]) -> terminal.Row:
    line, at = details.get("LastIncomingFailure"), details.get("LastIncomingFailureAt")
    if not isinstance(line, str) or not isinstance(at, int):
        return row
    return replace(row, incoming=line, incoming_at=at / 1_000_000)


_ILL = {
    PlutoState.STARTING: REASON_TEXTS[Reason.PLUTO_STARTING].sentence,
    PlutoState.STOPPED: REASON_TEXTS[Reason.PLUTO_STOPPED].sentence,
    PlutoState.UNREACHABLE: REASON_TEXTS[Reason.PLUTO_UNREACHABLE].sentence,
}


async def _ask_pluto() -> Found:
    from ipsecwatch import config
    from ipsecwatch.pluto import query

    settings = load_settings(config.load_service)
    pluto_client = query.PlutoClient.of(settings)
    try:
        answer = await pluto_client.ask()
    except query.AskError as e:
        raise Failure(str(e), e.hint) from e
    finally:
        await pluto_client.close()
    from ipsecwatch.libreswan.status import parse
    from ipsecwatch.tracking.single_report import tunnels_of

    report = parse(answer.text, "status")
    tunnels = tunnels_of(report).values()
    if not tunnels and not _lists_none(report):
        raise Failure(f"pluto's answer can't be read: {clean(report.why or '')}")
    return replace(_found(report, tunnels, "pluto"), log=LogState.NONE)


def _from_file(file: str) -> Found:
    from ipsecwatch.cli import saved_text

    report, tunnels = saved_text.read_tunnels(file)
    if not tunnels and not _lists_none(report):
        raise _none(report, file)
    return _found(report, tunnels, "file")


def _lists_none(report: Report) -> bool:
    """Return whether a report shows that there is no tunnel at all."""
    return report.knowledge.connections is Extent.WHOLE


def _none(report: Report, file: str) -> Failure:
    """Say that a text names no tunnel, which doesn't mean that there is none."""
    explain = f"What it says: ipsecwatch explain {clean(file, 200)}. "
    save = "A whole one: ipsec whack --status > FILE"
    if report.why == "empty" or _answers_not(report):
        return Failure(f"no tunnels are to be read from this text: {clean(report.why or '')}", save)
    if report.command not in ("status", "connectionstatus", None):
        what = f"this is the answer to {report.command}, which lists no tunnels"
        return Failure(what, explain + save)
    return Failure("this part of a status names no tunnel", explain + save)


def _answers_not(report: Report) -> bool:
    return (report.why or "").startswith("pluto did not answer")


def _found(report: Report, tunnels: Iterable[Tunnel], source: str) -> Found:
    # What an incomplete text does show is shown, with a remark: it is the reader who judges here.
    rows = [terminal.Row.of_tunnel(t) for t in tunnels]
    remarks = []
    if not report.complete:
        remarks.append(f"The text is not complete: {clean(report.why or '')}.")
    if report.unrecognised_count:
        count = report.unrecognised_count
        remarks.append(f"{count} {'line was' if count == 1 else 'lines were'} not recognised.")
    return Found(sorted(rows, key=lambda r: r.name), source, None, " ".join(remarks))


def _json(found: Found, rows: Sequence[terminal.Row]) -> dict[str, Any]:
    return {
        "format": 1,
        "source": found.source,
        "pluto": found.pluto,
        "remark": found.remark or None,
        "log": found.log,
        "tunnels": [_row(row) for row in rows],
    }


def _row(row: terminal.Row) -> dict[str, Any]:
    return {**asdict(row), **reason_json(row.reason, REASON_TEXTS[row.reason])}


def _print(found: Found, rows: Sequence[terminal.Row], *, detailed: bool) -> None:
    paint = terminal.Paint(terminal.colour_wanted())
    now = time.time()
    if detailed:
        print("\n".join(_details(row, now, paint) for row in rows), end="")
    elif rows or not found.remark:  # without an answer it isn't known whether there are tunnels
        print(terminal.table(rows, paint), end="")
    if found.log is not None:
        print(LOG_TEXTS[found.log])
    if found.remark:
        print(found.remark, file=sys.stderr)


def _incoming(row: terminal.Row, now: float) -> str:
    """Say what somebody tried from outside, which is no reason for anything."""
    if row.incoming is None or row.incoming_at is None:
        return ""
    return f"somebody tried to connect {terminal.ago(now - row.incoming_at)} ago: {row.incoming}"


def _details(row: terminal.Row, now: float, paint: terminal.Paint) -> str:
    told = REASON_TEXTS[row.reason]
    facts = [
        ("state", paint.state(row.state)),
        ("since", terminal.since(row)),
        ("last known", row.last_state.value if row.state is not row.last_state else ""),
        ("not known", "; ".join(terminal.MISSING[x] for x in row.missing)),
        ("peer", row.peer or ""),
        ("subnets", f"{row.children_up} of {row.children} up" if row.children > 1 else ""),
        ("clients", str(row.instances) if row.instances else ""),
        ("attempts", str(row.attempts) if row.attempts else ""),
        ("managed by", row.managed),
        ("incoming", _incoming(row, now)),
        ("why", told.sentence if row.reason is not Reason.NONE else ""),
        ("what to do", told.advice if row.reason is not Reason.NONE else ""),
    ]
    lines = [f"  {terminal.pad(name, 10)}  {value}" for name, value in facts if value]
    return "\n".join([paint.bold(row.name), *lines]) + "\n"
