# SPDX-License-Identifier: MIT
"""Write the journal entries about what each poll brought."""

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
"""Number of journal entries that are written before other tasks of the event loop may run."""

MAX_STRANGE: Final = 1000
"""Number of kinds of unrecognised lines that a run of the service reports at most. No release of
libreswan has so many."""

_ILL: Final = {
    PlutoState.STOPPED: Reason.PLUTO_STOPPED,
    PlutoState.UNREACHABLE: Reason.PLUTO_UNREACHABLE,
}


class PollEntries:
    """Writes the journal entries about one poll after the other.

    Each kind of unrecognised lines is reported once in a run of the service. A state of pluto is
    reported when it begins, not again with each poll.
    """

    def __init__(self, journal: Journal, state_file: StateFile) -> None:
        self._journal = journal
        self._state_file = state_file
        self._pluto: PlutoState | None = None
        """pluto's state by the last poll that found it in another state than STARTING; None: there
        was no such poll."""
        self._strange: set[str] = set()
        """The kinds (_shape()) of unrecognised lines that were reported already."""

    async def write_began(self, outcome: PollOutcome, previous: Saved) -> None:
        """Write to the journal that watching began. Called with the outcome of the first poll.

        ``previous``: the state that was restored. If the run that saved it wrote entries about
        later changes (``behind``), the last entry about a tunnel may no longer be true. Then also
        write the state of each tunnel, except of those about which write() writes an entry.
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
        """Write the journal entries about one poll.

        They are about all transitions, a change of pluto's state, devices that share an identity,
        and lines of a kind that wasn't recognised and is new. Other tasks run after each BATCH.
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
        """Write an entry if pluto's state has changed since the last poll.

        There is an entry if pluto is STOPPED or UNREACHABLE now, also at the first poll; and if it
        is RUNNING again after one of these two. A poll that finds it STARTING is passed over.
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
    """Yield to other tasks of the event loop if ``n`` is a multiple of BATCH."""
    if n % BATCH == 0:
        await asyncio.sleep(0)


def _shape(line: str) -> str:
    """Return the kind of an unrecognised line, so that lines which differ in values are one kind.

    That is its beginning up to the first digit, ``"`` or ``'``, and at most 60 characters.
    """
    return re.sub(r"[\d\"'].*", "", line)[:60]
