# SPDX-License-Identifier: MIT
"""``ipsecwatch status``: shows tunnels, from the service, pluto itself, or a saved text."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.common import reason_json
from ipsecwatch.cli.display import pager, terminal
from ipsecwatch.cli.failure import EXIT_NO, EXIT_OK, EXIT_UNKNOWN, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels import health, selection, source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.cli.tunnels.selection import Selection
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.reasons import words_for
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ipsecwatch.cli.display.terminal import Row
    from ipsecwatch.cli.tunnels.found import Found

EXAMPLES: Final = (
    ("ipsecwatch status", "all tunnels, problems first"),
    ("ipsecwatch status office", "all details of one tunnel"),
    ("ipsecwatch status 'gw-*' --state stuck,down", "only some tunnels"),
    ("ipsecwatch status --watch", "updated live; ? lists the keys"),
    ("ipsecwatch status --names --state stuck", "only names, for scripts"),
    (
        "ipsec whack --status | ipsecwatch status --file -",
        "without the service",
    ),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "status", VERBS["status"], run, EXAMPLES)
    selection.add_options(parser)
    parser.add_argument(
        "--file", metavar="F",
        help="read F, a file with the output of `ipsec status`, instead of asking; - is stdin",
    )  # fmt: skip
    parser.add_argument(
        "--details", action="store_true",
        help="show all details of each tunnel, as for a NAME without * and ?; if they are for "
        "administrators, ask for a password",
    )  # fmt: skip
    parser.add_argument(
        "--watch", action="store_true", help="update the list live, until you press q"
    )
    parser.add_argument(
        "--names", action="store_true", dest="bare", help="print only names, one on each line"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_instance(parser)
    pager.add_option(parser)


def run(args: argparse.Namespace) -> int:
    chosen = Selection.of(args)
    if args.watch:
        return _watch(args, chosen)
    detailed = args.details or chosen.names_tunnels
    try:
        found = source.find(
            args.file,
            _depth(args, detailed=detailed),
            chosen.apply if chosen.is_narrow else None,
            interactive=args.details and at_terminal(),
            instance=args.instance,
        )
    except source.PlutoStopped as e:
        if chosen.names:  # it isn't known whether there are such tunnels
            raise
        found = e.found
    meant = selection.pick(found.rows, chosen.names)
    rows = chosen.sort(chosen.filter(meant))
    if args.json:
        import json

        print(json.dumps(_json(found, rows)))
    elif args.bare:
        sys.stdout.writelines(f"{row.name}\n" for row in rows)
    else:
        _print(found, rows, detailed=detailed, paged=not args.no_pager)
        if detailed and found.refused:
            print(refusal(asked=args.details), file=sys.stderr)
    return _exit_code(found, meant, named=bool(chosen.names))


def at_terminal() -> bool:
    """Return whether stdin and stdout are a terminal: a user can be asked for a password there."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _depth(args: argparse.Namespace, *, detailed: bool) -> Depth:
    """Return which details of each tunnel must be looked up for these options.

    ``detailed``: all details are to be shown.
    """
    if args.bare and args.sort not in ("traffic", "peer"):
        return Depth.PUBLIC
    return Depth.FULL if detailed and not args.bare else Depth.BRIEF


def _exit_code(found: Found, meant: Sequence[Row], *, named: bool) -> int:
    """Return the exit code.

    If tunnels were named (``named``), ``meant`` are these, also those that --state leaves out.
    Return EXIT_OK if all of them are UP, EXIT_UNKNOWN if one is UNKNOWN, else EXIT_NO. If none were
    named, return EXIT_OK if the state of pluto or of any tunnel is known, else EXIT_UNKNOWN.
    """
    if not named:
        return EXIT_OK if found.known else EXIT_UNKNOWN
    if any(row.state is TunnelState.UNKNOWN for row in meant):
        return EXIT_UNKNOWN
    return EXIT_OK if all(row.state is TunnelState.UP for row in meant) else EXIT_NO


def _json(found: Found, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the object that ``--json`` prints. ``rows``: the tunnels to print, in this order."""
    return {
        "format": 1,
        "source": found.source,
        "pluto": found.pluto,
        "remark": found.remark or None,
        "log": found.log,
        "complete": found.complete,
        "unrecognised": found.unrecognised,
        "last_poll": found.last_poll,
        "details_refused": found.refused,
        "tunnels": [_row(found, row) for row in rows],
    }


def _row(found: Found, row: Row) -> dict[str, Any]:
    told = {**asdict(row), **reason_json(row.reason, words_for(row.reason, found.unit))}
    del told["title"], told["called"]  # for people
    return {**told, "details": found.details.get(row.name)}


def _print(found: Found, rows: Sequence[Row], *, detailed: bool, paged: bool) -> None:
    """Print the tunnels in ``rows``, and remarks below them.

    ``detailed``: print all details of each tunnel, else a table. ``paged``: a pager may be used.
    If stdout isn't a terminal, the remark about the source is printed on stderr.
    """
    paint = terminal.Paint(terminal.colour_wanted())
    now = time.time()
    lines = _details(found, rows, paint) if detailed else _table(found, rows, paint)
    remarks = health.remarks(found, now)
    # In a pipe, the remark about the source goes to stderr, out of a script's way.
    aside = [remarks.pop(0)] if found.remark and not sys.stdout.isatty() else []
    pager.show([*lines, *map(paint.dim, terminal.wrapped(remarks))], paged=paged)
    sys.stdout.flush()
    for line in aside:
        print(line, file=sys.stderr)


def refusal(*, asked: bool) -> str:
    """Return the message for a user to whom the service refused details, with what to try.

    ``asked``: the option ``--details`` was given.
    """
    what = "ipsecwatch: addresses, identities, SAs and traffic are for administrators"
    if not asked:
        return f"{what}. Try it with --details, which may ask for a password, or as root"
    if not at_terminal():
        return f"{what}. --details asks for a password only at a terminal. Or try it as root"
    return f"{what}. The authorization failed: try it again, or as root"


def _table(found: Found, rows: Sequence[Row], paint: terminal.Paint) -> list[str]:
    """Return the lines of the table of ``rows``, and of the numbers of tunnels in each state.

    If there are no tunnels, return a line that says so. But if ``found`` has a remark, it isn't
    known whether there are any: return [] then.
    """
    if not found.rows:
        # With a remark, it isn't known whether there are tunnels.
        return [] if found.remark else ["No tunnels are configured."]
    from ipsecwatch.cli.tunnels import listing

    lines = listing.lines(rows, paint, terminal.terminal_width())
    counted = terminal.wrapped([listing.summary(rows, len(found.rows))])
    return [*lines, *map(paint.dim, counted)]


def _details(found: Found, rows: Sequence[Row], paint: terminal.Paint) -> list[str]:
    """Return lines with all that is known about each tunnel, with a blank line between two."""
    from ipsecwatch.cli.tunnels import facts

    wide = terminal.columns()
    lines: list[str] = []
    for row in rows:
        told = found.details.get(row.name)
        lines += [*([""] if lines else []), *facts.lines(row, told, found.unit, paint, wide)]
    return lines


_ALONE: Final = "Leave out --file, --json and --names"


def _watch(args: argparse.Namespace, chosen: Selection) -> int:
    """Carry out --watch: show the tunnels on the whole screen until the user quits.

    Return EXIT_OK. Raise Failure if --file, --json or --names is given, too, or if stdin or stdout
    isn't a terminal.
    """
    if args.file or args.json or args.bare:
        raise Failure(
            "--watch shows the service's tunnels on a terminal, nothing else", _ALONE, EXIT_USAGE
        )
    from ipsecwatch.cli.status import watch
    from ipsecwatch.cli.tunnels.own_names import in_pluto

    chosen = replace(chosen, names=tuple(in_pluto(chosen.names, args.instance)))
    return watch.run(chosen, interactive=args.details, instance=args.instance)
