# SPDX-License-Identifier: MIT
"""Write the journal entries for the outcome of each poll."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from ipsecwatch.service.journal import Journal
    from ipsecwatch.service.poll_outcome import PollOutcome
    from ipsecwatch.service.state_file import Saved, StateFile
    from ipsecwatch.tunnel import Transition

logger = logging.getLogger(__name__)

BATCH: Final = 100
"""Journal entries that are written before the event loop gets its turn."""

MAX_STRANGE: Final = 1000
"""Kinds of unrecognised lines that a service reports at most; no release of libreswan has more."""

_ILL: Final = {
    PlutoState.STOPPED: Reason.PLUTO_STOPPED,
    PlutoState.UNREACHABLE: Reason.PLUTO_UNREACHABLE,
}


class PollEntries:
    """Writes the journal entries of one poll after the other.

    A kind of unrecognised line is reported once in the service's run, a state of pluto when it
    begins.
    """

    def __init__(self, journal: Journal, state_file: StateFile) -> None:
        self._journal = journal
        self._state_file = state_file
        self._pluto: PlutoState | None = None
        """The last state of pluto other than STARTING; None: before the first poll."""
        self._strange: set[str] = set()
        """The kinds of unrecognised lines that were reported."""

    async def write_began(self, outcome: PollOutcome, previous: Saved) -> None:
        """Write to the journal that watching began.

        If the previous run wrote entries after it saved its state, also write the state of each
        tunnel, since its last entry may differ; not for those of which write() writes an entry.
        """
        news = outcome.news
        self._state_file.mark_behind()
        self._journal.began(news.tunnels, news.pluto, outcome.poll.at, previous.run_id)
        if previous.behind:
            written = {c.tunnel.key for c in (*outcome.silent, *(c for _, c in news.transitions))}
            for n, tunnel in enumerate((t for t in news.tunnels if t.key not in written), 1):
                self._journal.found(tunnel, outcome.poll.at)
                await _let_others(n)

    async def write(self, outcome: PollOutcome) -> None:
        """Write the journal entries of one poll.

        They are about transitions, pluto's state, shared identities, and unrecognised lines.
        """
        if outcome.silent or outcome.news.transitions:
            self._state_file.mark_behind()
        for n, change in enumerate(outcome.silent, 1):
            self._write_silent(change)
            await _let_others(n)
        logger.debug("%d transitions", len(outcome.news.transitions))
        for n, (serial, change) in enumerate(outcome.news.transitions, 1):
            self._journal.announce(change, serial)
            await _let_others(n)
        self._write_pluto(outcome)
        for shared in outcome.shared:
            self._journal.shared_identity(shared)
        report = outcome.poll.report
        if report is not None:
            # The same unknown line comes with every poll; each kind is reported once.
            new = [u for u in report.unrecognised if _shape(u.text) not in self._strange]
            self._strange.update(_shape(u.text) for u in new[:MAX_STRANGE])
            if new and len(self._strange) <= MAX_STRANGE:
                self._journal.unrecognised(len(new), new[0].text, report.version)

    def _write_silent(self, change: Transition) -> None:
        if change.new is None:
            self._journal.unlisted(change)
        else:
            self._journal.found(change.tunnel, change.at)

    def _write_pluto(self, outcome: PollOutcome) -> None:
        """Write an entry if pluto has stopped, or can't be asked, or answers again.

        Each is written when it begins; the first two also for the first poll.
        """
        pluto, was = outcome.news.pluto, self._pluto
        ill = _ILL.get(pluto)
        if ill is not None and pluto is not was:
            self._journal.pluto_lost(pluto, ill, outcome.poll.why or "")
        elif pluto is PlutoState.RUNNING and was in _ILL:
            self._journal.pluto_back(outcome.news.pluto_version)
        if pluto is not PlutoState.STARTING:
            self._pluto = pluto


async def _let_others(n: int) -> None:
    """Yield to the event loop if ``n`` is a multiple of BATCH."""
    if n % BATCH == 0:
        await asyncio.sleep(0)


def _shape(line: str) -> str:
    """Return a line's kind: its beginning up to the first digit or quote, 60 characters at most."""
    return re.sub(r"[\d\"'].*", "", line)[:60]
