# SPDX-License-Identifier: MIT
"""``ipsecwatch history``: shows what happened to tunnels in the past, from the journal."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.display import pager
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.history import json_form, screen
from ipsecwatch.cli.history.reading import Source
from ipsecwatch.cli.history.times import FORMS, parse_time
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels.selection import pick_named
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.dbus.names import unit_name
from ipsecwatch.history.summary import summarize, watched_of
from ipsecwatch.history.timelines import timelines_of
from ipsecwatch.history.watches import runs_of
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from ipsecwatch.history.summary import Summary, Watched
    from ipsecwatch.history.visits import Visit

EXAMPLES: Final = (
    ("ipsecwatch history", "all tunnels during the last day"),
    ("ipsecwatch history office --since -7d", "one tunnel in the last week"),
    ("ipsecwatch history --users --since yesterday", "who connected and disconnected"),
)

DAY: Final = 86400.0
"""Without --since, a history covers this many seconds, or fewer if watching began later."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "history", VERBS["history"], run, EXAMPLES)
    # Without this, "-2h" in "--since -2h" is taken for an option before Python 3.14.
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # noqa: SLF001
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="only these tunnels, with each change; * and ? as in a shell",
    )
    parser.add_argument(
        "--since", metavar="TIME",
        help=f"begin at: {FORMS} (default: a day before the end, or when watching began)",
    )  # fmt: skip
    parser.add_argument("--until", metavar="TIME", help="end at (default: now)")
    parser.add_argument(
        "--users",
        action="store_true",
        help="show which peers connected and disconnected through templates",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    pager.add_option(parser)
    add_instance(parser)
    parser.add_argument(
        "--directory", type=Path, metavar="D", help="read the journal files in the folder D"
    )
    parser.add_argument(
        "--any-unit", action="store_true",
        help="also count entries that root wrote outside of the service's unit: for a service that "
        "was started without systemd",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    since, until = _times(args.since, args.until)
    source = Source(args.directory, args.instance, any_unit=args.any_unit)
    history = _read(source, since, until, _own_names(args) if args.names else [])
    if args.json:
        print(json.dumps(_json(history)))
    else:
        lines = _lines(history, users=args.users, detailed=bool(args.names))
        pager.show(lines, paged=not args.no_pager)
        for remark in source.remarks:
            print(remark, file=sys.stderr)
    return EXIT_OK


def _own_names(args: argparse.Namespace) -> list[str]:
    """Return the names on the command line as pluto knows the tunnels.

    A connection's name in NetworkManager becomes the connection's UUID; others stay. Raise Failure
    if several of NetworkManager's connections have this name.
    """
    from ipsecwatch.cli.tunnels.own_names import (
        in_pluto,
    )  # imports the D-Bus library; a journal needs none

    return in_pluto(args.names, args.instance)


@dataclass(frozen=True, slots=True)
class _History:
    """The history of tunnels in a period.

    The period is from ``since`` to ``until``, in seconds since the epoch.
    """

    since: float
    until: float
    reaches_back: float | None
    """When the journal's first entry by root was written; None: there is no such entry."""
    watched: Sequence[Watched]
    """The times within the period in which the service watched tunnels."""
    summaries: Sequence[Summary]
    """One for each named tunnel; if none was named, one for each that was seen in the period."""
    visits: Sequence[Visit]


def _read(source: Source, since: float | None, until: float, names: Sequence[str]) -> _History:
    """Read the journal, and return the history of the tunnels ``names``; [] means all tunnels.

    ``names`` may contain patterns. ``since`` None: the history begins a day before ``until``, or
    later if the service began to watch later. Raise Failure if the journal can't be read, if it has
    no entries of the service, or if a name fits no tunnel in them.
    """
    found = source.read()
    runs = runs_of(found)
    if not runs:
        raise _nothing(source)
    begin = until - DAY if since is None else since
    watched = watched_of(runs, begin, until)
    if since is None and watched:
        begin = min(w.begin for w in watched)
    timelines = pick_named(timelines_of(runs), names)
    summaries = [summarize(t, begin, until, watched) for t in timelines]
    visits = screen.visits_in(timelines, begin, until)
    shown = [s for s in summaries if s.spans or names]
    return _History(begin, until, found.since, watched, shown, visits)


def _times(since: str | None, until: str | None) -> tuple[float | None, float]:
    """Return the values of --since and --until as seconds since the epoch.

    Without --since, the first is None; without --until, the second is the present time. Raise
    Failure if a text isn't a time, or if --since isn't before --until.
    """
    now = time.time()
    end = now if until is None else _moment(until, now, "--until")
    begin = None if since is None else _moment(since, now, "--since")
    if begin is not None and begin >= end:
        raise Failure("--since must be before --until", f"Such as: {FORMS}", EXIT_USAGE)
    return begin, end


def _moment(text: str, now: float, option: str) -> float:
    try:
        return parse_time(text, now)
    except ValueError as e:
        told = f"{option} {clean(text, 100)} isn't a time"
        raise Failure(told, f"Such as: {FORMS}", EXIT_USAGE) from e


def _nothing(source: Source) -> Failure:
    """Return the Failure for a journal that has no entries of the service, or only unused ones.

    Entries from outside of the service's unit aren't used; the hint is then --any-unit.
    """
    if source.left_out:
        return Failure(
            "the journal has entries of ipsecwatch, but none from its unit",
            "If root started the service without systemd: ipsecwatch history --any-unit",
        )
    unit = unit_name(source.instance)
    return Failure(f"the journal has no entries of {unit}", f"Does it run? systemctl status {unit}")


def _json(h: _History) -> dict[str, object]:
    return json_form.history(h.since, h.until, h.reaches_back, h.watched, h.summaries, h.visits)


def _lines(h: _History, *, users: bool, detailed: bool) -> list[str]:
    """Return a history as lines for people.

    ``users``: they are a table of visits. Otherwise, if ``detailed``, they describe each tunnel
    with its transitions; if not, they are a table with a line for each tunnel.
    """
    look = screen.Look.of(h.since, h.until, h.watched, h.reaches_back)
    lines = screen.heading(look)
    if users:
        return [*lines, "", *screen.users(h.visits, look)]
    if not detailed:
        return [*lines, "", *screen.overview(h.summaries, look)]
    for summary in h.summaries:
        lines += ["", *screen.details(summary, look)]
    return lines
