# SPDX-License-Identifier: MIT
"""``ipsecwatch replay``: gives a recording to the parser and the tracker that the service uses.

It prints each transition that the tracker returns.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch import recording
from ipsecwatch.cli.common import reason_json
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.failure import EXIT_OK, EXIT_UNKNOWN, Failure
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.reason_text import reason_text
from ipsecwatch.tracking.tracker import Tracker

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from ipsecwatch.tunnel import Transition

EXAMPLES: Final = (
    ("ipsecwatch replay site.jsonl.gz", "print all transitions at once"),
    ("ipsecwatch replay --speed 10 site.jsonl.gz", "ten times as fast as it happened"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "replay", VERBS["replay"], run, EXAMPLES)
    parser.add_argument(
        "recording", type=Path, metavar="IN", help="a file that `ipsecwatch record` wrote"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object for each transition"
    )
    parser.add_argument("--step", action="store_true", help="wait for Enter after each transition")
    parser.add_argument(
        "--speed", type=float, default=0.0, metavar="N",
        help="play N times as fast as it was recorded; 0 (default): as fast as possible",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    clock = _Clock(args.speed)
    paint = terminal.Paint(terminal.colour_wanted())
    try:
        for change in transitions(args.recording, clock):
            line = as_json(change) if args.json else _line(change, paint)
            print(line, flush=args.speed > 0 or args.step)
            if args.step and not sys.stdin.readline():
                break
    except recording.RecordingError as e:
        raise Failure(str(e), "Make one with: ipsecwatch record OUT", EXIT_UNKNOWN) from e
    return EXIT_OK


def transitions(path: Path, clock: _Clock | None = None) -> Iterator[Transition]:
    """Yield all transitions that follow from a recording.

    The first ones, for the tunnels of the first report, have no old state. ``clock`` waits before
    each entry until it is due; None: there is no waiting. Raise RecordingError if the file isn't a
    recording or can't be read, or, on the way, for a damaged line.
    """
    _, entries = recording.read(path)
    tracker, reader = Tracker(), Reader()
    for entry in recording.settled(entries):
        if clock is not None:
            clock.wait(entry.at)
        if isinstance(entry, LogLine):
            tracker.add_log_line(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            yield from tracker.observe(recording.poll(entry, reader))


@dataclass(slots=True)
class _Clock:
    """Makes a recording's entries come as fast as they were recorded, or ``speed`` times as fast.

    The time is counted from the first entry, which comes at once.
    """

    speed: float
    """How many times as fast as they were recorded entries come; 0 or less: without waiting."""
    start: tuple[float, float] | None = None
    """When the first entry was recorded, in seconds since the epoch, and when it was played, by
    time.monotonic(); None: no entry was played yet."""

    def wait(self, at: float) -> None:
        """Sleep until it is time for the entry that was recorded at ``at`` (since the epoch)."""
        if self.speed <= 0:
            return
        if self.start is None:
            self.start = (at, time.monotonic())
        due = self.start[1] + (at - self.start[0]) / self.speed
        time.sleep(max(0.0, due - time.monotonic()))


def as_json(change: Transition) -> str:
    """Return a transition as a JSON object on one line, without a line end.

    ``old`` is null for a tunnel that wasn't listed before, and ``new`` is ``gone`` for one that no
    longer is.
    """
    return json.dumps(
        {
            "format": 1,
            "at": change.at,
            "tunnel": change.tunnel.name,
            "old": change.old,
            "new": "gone" if change.new is None else change.new,
            **reason_json(change.reason, reason_text(change.reason, change.tunnel)),
        }
    )


def _line(change: Transition, paint: terminal.Paint) -> str:
    old = "" if change.old is None else change.old.value
    return terminal.transition(
        change.at, change.tunnel.name, old, change.new, change.reason, paint,
        terminal.terminal_width(),
    )  # fmt: skip
