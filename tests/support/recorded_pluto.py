# SPDX-License-Identifier: MIT
"""A fake ipsec.service for a test's container: plays a recording, whose clock the test sets.

    python -m tests.support.recorded_pluto RECORDING SOCKET MOMENT

MOMENT is a file that contains the present time of the recording, in seconds since its beginning.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ipsecwatch.recording.fake_pluto import FakePluto, Timeline
from ipsecwatch.recording.format import RecordedAnswer, read
from ipsecwatch.report import LogLine


async def play(file: Path, path: str, moment: Path) -> None:
    """Run FakePluto with a recording's answers, and print its log lines when they are due."""
    entries = list(read(file)[1])
    answers = [e for e in entries if isinstance(e, RecordedAnswer) and e.exit == 0]
    start = answers[0].at
    says = Timeline((a.at - start, a.stdout) for a in answers)
    lines = [e for e in entries if isinstance(e, LogLine)]

    def now() -> float:
        second = float(moment.read_text())
        # The log first, as pluto does; what it prints goes to the journal.
        while lines and lines[0].at - start <= second:
            print(lines.pop(0).text, flush=True)
        return second

    async with FakePluto(path, says, now):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(play(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
