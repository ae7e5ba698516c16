# SPDX-License-Identifier: MIT
"""``ipsecwatch history``: what happened, and for how long, from the journal."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import EXIT_OK, EXIT_USAGE, Failure, verb
from ipsecwatch.cli.history import json_form, screen
from ipsecwatch.cli.history.reading import Source
from ipsecwatch.cli.history.times import FORMS, parse_time
from ipsecwatch.history.summary import summarize, watched_of
from ipsecwatch.history.timelines import timelines_of
from ipsecwatch.history.visits import visits_of
from ipsecwatch.history.watches import runs_of
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from ipsecwatch.history.timelines import Timeline

HELP = "show what happened to the tunnels, and for how long they were up, from the journal"

DAY: Final = 86400.0
"""Seconds of which a history is that names no time."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "history", HELP, run)
    # So that "--since -2h" is no unknown option, as it isn't from Python 3.14 on.
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # noqa: SLF001
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, and in detail")
    parser.add_argument("--since", metavar="TIME", help=f"default: a day before the end. {FORMS}")
    parser.add_argument("--until", metavar="TIME", help="default: now")
    parser.add_argument(
        "--users", action="store_true", help="who came and went, behind templates for clients"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--directory", type=Path, metavar="D", help="read the journal files in a folder"
    )
    parser.add_argument(
        "--any-unit", action="store_true",
        help="believe what root logs from whatever unit: a service that was started by hand",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    now = time.time()
    until = _moment(args.until, now, "--until") if args.until else now
    since = _moment(args.since, now, "--since") if args.since else until - DAY
    if since >= until:
        raise Failure("--since must be before --until", f"Such as: {FORMS}", EXIT_USAGE)
    source = Source(args.directory, any_unit=args.any_unit)
    found = source.read()
    runs = runs_of(found)
    watched = watched_of(runs, since, until)
    if not runs:
        raise _nothing(source)
    timelines = _chosen(timelines_of(runs), args.names)
    summaries = [summarize(t, since, until) for t in timelines]
    summaries = [s for s in summaries if s.spans or args.names]
    visits = [v for v in visits_of(timelines) if v.came < until and (v.went or v.last) >= since]
    if args.json:
        print(json.dumps(json_form.history(since, until, found.since, watched, summaries, visits)))
        return EXIT_OK
    look = screen.Look.of(since, until, watched, found.since)
    lines = screen.heading(look)
    if args.users:
        lines += ["", *screen.users(visits, look)]
    elif args.names:
        for summary in summaries:
            lines += ["", *screen.details(summary, look)]
    else:
        lines += ["", *screen.overview(summaries, look)]
    print("\n".join(lines))
    for remark in source.remarks:
        print(remark, file=sys.stderr)
    return EXIT_OK


def _moment(text: str, now: float, option: str) -> float:
    try:
        return parse_time(text, now)
    except ValueError as e:
        told = f"{option} {clean(text, 100)} is no time"
        raise Failure(told, f"Such as: {FORMS}", EXIT_USAGE) from e


def _chosen(timelines: Mapping[str, Timeline], names: Sequence[str]) -> list[Timeline]:
    """Return the timelines of these tunnels, or of all. Raise Failure for one that isn't there."""
    missing = next((n for n in names if n not in timelines), None)
    if missing is not None:
        listed = ", ".join(list(timelines)[:10]) or "none"
        raise Failure(f"the journal knows no tunnel {clean(missing)}", f"It has: {listed}")
    return [timelines[n] for n in names] if names else list(timelines.values())


def _nothing(source: Source) -> Failure:
    if source.left_out:
        return Failure(
            "the journal has entries of ipsecwatch's, but none of its unit's",
            "If root started it by hand, say: ipsecwatch history --any-unit",
        )
    return Failure(
        "the journal has no entries of ipsecwatch's",
        "Does it run? systemctl status ipsecwatch",
    )
