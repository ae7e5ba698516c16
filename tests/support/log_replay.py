# SPDX-License-Identifier: MIT
"""Replays recordings through the tracker; a test decides how the tracker gets the log lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

WHAT = ("badesp", "badprop", "closed", "dpd-cut", "peer-deletes", "wrongpsk", "xauth")
"""Names of recordings whose log has the reasons for what happened."""


def recordings(*releases: str) -> list[Path]:
    """Return the paths of the recordings in WHAT, of each of these releases."""
    return [ROOT / f"{release}/{what}.jsonl.gz" for release in releases for what in WHAT]


Told = list[tuple[object, ...]]
"""Transitions: key of the tunnel, old state, new state, reason and time of each."""


async def replay(
    recorded: Path, tracker: Tracker, pass_on: Callable[[list[LogLine]], Awaitable[None]]
) -> Told:
    """Replay a recording through the tracker, and return its transitions.

    Each is returned as (key of the tunnel, old state, new state, reason, time). Before each answer,
    ``pass_on`` is called with all log lines of pluto since the answer before, and passes them to
    the tracker. systemd's lines are passed at once.
    """
    reader, unheard, told = Reader(), list[LogLine](), Told()
    for entry in recording.settled(recording.read(recorded)[1]):
        if isinstance(entry, LogLine):
            if entry.identifier == "systemd":
                tracker.add_log_line(entry)
            else:
                unheard.append(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            await pass_on(unheard)
            unheard.clear()
            changes = tracker.observe(recording.poll(entry, reader))
            told += [(c.tunnel.key, c.old, c.new, c.reason, c.at) for c in changes]
    return told


async def replay_as_recorded(recorded: Path) -> Told:
    """Replay a recording with each log line passed on as it was recorded.

    Return the transitions as replay() does.
    """
    tracker = Tracker()

    async def hear(lines: list[LogLine]) -> None:
        for line in lines:
            tracker.add_log_line(line)

    return await replay(recorded, tracker, hear)
