# SPDX-License-Identifier: MIT
"""Remarks below the list of tunnels: on pluto, its answers, its log, and tunnels that flap.

A tunnel flaps if it was lost FLAPS times or more in the last hour (Row.losses).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.reasons import LOG_TEXTS, REASON_TEXTS
from ipsecwatch.states import LogState, PlutoState, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.cli.display.terminal import Row
    from ipsecwatch.cli.tunnels.found import Found

FLAPS: Final = 3
"""A tunnel that was lost this often or more in the last hour flaps, and is mentioned."""
STALE: Final = 60.0
"""If pluto's last answer is older than this, in seconds, although pluto runs, that is mentioned."""

ILL: Final = {
    PlutoState.STARTING: REASON_TEXTS[Reason.PLUTO_STARTING].sentence,
    PlutoState.STOPPED: REASON_TEXTS[Reason.PLUTO_STOPPED].sentence,
    PlutoState.UNREACHABLE: REASON_TEXTS[Reason.PLUTO_UNREACHABLE].sentence,
}
"""The remark about pluto, for each of its states other than RUNNING."""


def remarks(found: Found, now: float) -> list[str]:
    """Return all remarks about what was found, in one line each; [] where there are none.

    One of them says from where pluto's log is read, if that is known. ``now`` is the present time
    in seconds since the epoch.
    """
    told = [found.remark] if found.remark else []
    silence = 0.0 if found.last_poll is None else now - found.last_poll
    if silence > STALE and found.pluto in (None, PlutoState.RUNNING):
        told.append(f"The IPsec service last answered {terminal.ago(silence)} ago.")
    if not found.complete:
        told.append("pluto's last answer was incomplete: some states are the last known ones.")
    if found.unrecognised:
        told.append(not_recognised(found.unrecognised))
    told += _flaps(found.rows)
    if found.unwatched:
        told.append(f"{found.unwatched}: pluto itself was asked.")
    if found.log is not None:
        told.append(LOG_TEXTS[found.log])
    return told


def troubles(found: Found, now: float) -> list[str]:
    """Return the remarks about what is wrong, in one line each; [] where nothing is.

    These are all of remarks(), except that pluto's log is read. That the log isn't read is among
    them. ``now`` is the present time in seconds since the epoch.
    """
    is_read = found.log in (LogState.JOURNAL, LogState.FILE)
    return remarks(replace(found, log=None) if is_read else found, now)


def not_recognised(count: int) -> str:
    """Return the sentence that ``count`` lines were not recognised."""
    return f"{count} {'line was' if count == 1 else 'lines were'} not recognised."


def _flaps(rows: Sequence[Row]) -> list[str]:
    """Return a list with one line about all tunnels that flap; [] where none does.

    The line names the three tunnels with the most losses, and says how many more there are.
    """
    flapping = sorted(
        (r for r in rows if (r.losses or 0) >= FLAPS), key=lambda r: (-(r.losses or 0), r.name)
    )
    if not flapping:
        return []
    told = ", ".join(f"{r.shown} {r.losses} times" for r in flapping[:3])
    more = f", and {len(flapping) - 3} more" if len(flapping) > 3 else ""
    return [f"Went down within the last hour: {told}{more}."]
