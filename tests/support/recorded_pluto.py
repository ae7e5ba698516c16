# SPDX-License-Identifier: MIT
"""A fake ipsec.service for a container: it plays a recording, and a test sets the clock.

    python -m tests.support.recorded_pluto RECORDING SOCKET MOMENT

It answers at the control socket SOCKET. MOMENT is a file that contains the present time, in seconds
since the recording's first answer; the test writes it.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ipsecwatch.recording.fake_pluto import FakePluto, Timeline
from ipsecwatch.recording.format import RecordedAnswer, read
from ipsecwatch.report import LogLine


async def play(file: Path, path: str, moment: Path) -> None:
    """Send what the recording has for the present time, and print its log lines when they are due.

    Do so for ever.
    """
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
