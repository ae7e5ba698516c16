# SPDX-License-Identifier: MIT
"""Which IKE SAs are idle: established, and yet no sign that anybody tries to bring a Child up.

An IKE SA that remains after its Child SA was taken down, or that was there at the first look, is
no such sign. One that was seen to come, and has carried no Child SA yet, is an attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.tracking.observation import is_child, is_ike

if TYPE_CHECKING:
    from ipsecwatch.report import ConnectionKey, Report
    from ipsecwatch.tracking.log_evidence import LogEvidence
    from ipsecwatch.tracking.pluto_run import PlutoRun


def note_ikes(run: PlutoRun, log: LogEvidence, report: Report) -> None:
    """Update ``run.ikes``, ``run.idle`` and ``run.busy`` from a report and from what pluto logged.

    What the log told about IKE SAs that have gone is forgotten.
    """
    ikes = {s.serial: s.key for s in report.states if is_ike(s)}
    idle = {serial for serial in ikes if _was_idle(serial, run, log)}
    carrying = [s for s in report.states if is_child(s)]
    idle.update(s.parent_serial for s in carrying if s.parent_serial is not None)
    if run.ikes is None:  # found at the first look
        idle.update(ikes)
    else:
        new = [
            serial for serial in ikes if serial not in run.ikes and serial not in log.sas.origins
        ]
        idle.update(_rekeyed_idle(run, ikes, new) if new else ())
    run.ikes, run.idle = ikes, frozenset(idle)
    run.busy = frozenset([s.key for s in carrying])
    log.sas.keep(ikes.keys())


def _was_idle(serial: int, run: PlutoRun, log: LogEvidence) -> bool:
    """Return whether an IKE SA, or one that it replaced in a rekey, was idle or had a Child SA."""
    seen: set[int] = set()
    while serial not in seen:
        if serial in run.idle or serial in log.sas.carriers:
            return True
        seen.add(serial)
        serial = log.sas.origins.get(serial, serial)
    return False


def _rekeyed_idle(run: PlutoRun, ikes: dict[int, ConnectionKey], new: list[int]) -> list[int]:
    """Return the new IKE SAs of connections that had an idle one and no Child SA.

    They are taken for rekeys of the idle one.
    ``new`` are the new IKE SAs for which the log doesn't show whether they are rekeys.
    """
    idle = {key for serial, key in (run.ikes or {}).items() if serial in run.idle}
    quiet = idle - run.busy
    return [serial for serial in new if ikes[serial] in quiet]
